"""Facts that programs report over HTTP."""

from typing import Any

import pytest
from kit.contracts.facts import fact_of
from testing.service import ServiceUnderTest

from tests.plans.statements import largest_statement
from tests.stage_engine import Client, Tenant

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="session")]

DECISION_MAKERS = {"fact": "contacts.decision_makers", "cell": ">= 2"}


def item(key: str, value: Any, **given: Any) -> dict[str, Any]:
    fields = {
        "idempotency_key": key,
        "subject_id": "o1",
        "name": "contacts.decision_makers",
        "value": value,
        "observed_at": "2026-03-02T09:30:00Z",
        "source": "dialler",
    }
    return {**fields, **given}


class TestReport:
    @pytest.mark.capability(85)
    async def test_each_item_is_judged_by_itself(self, admin: Client, world_of: Tenant) -> None:
        await self.pipeline(world_of)
        items = [
            item("1", "x"),
            item("2", "1", source="crm"),
            item("3", "1", subject_id="nowhere"),
            item("4", "Retail", name="account.industry"),
            item("5", "1", observed_at="2999-01-01T00:00:00Z"),
            item("6", "2"),
        ]
        answers = (await admin.post("/v1/facts", {"items": items}, 200))["items"]
        assert [(a["outcome"], a["code"]) for a in answers] == [
            ("refused", "FACT_TYPE"),
            ("refused", "FACT_SOURCE"),
            ("refused", "SUBJECT_NOT_FOUND"),
            ("not_read", "FACT_UNREAD"),
            ("refused", "FACT_FUTURE"),
            ("decided", ""),
        ]
        assert (await admin.get("/v1/opportunities/o1"))["claimed_stage"] == "discovery"
        [other] = (await admin.post("/v1/facts", {"items": [item("7", "2", object_type="lead")]}, 200))["items"]
        assert (other["code"], "'o1' is of type opportunity" in other["detail"]) == ("SUBJECT_NOT_FOUND", True)
        again = (await admin.post("/v1/facts", {"items": [items[5]]}, 200))["items"]
        assert [a["outcome"] for a in again] == ["duplicate"]
        other = items[5] | {"value": "3"}
        (used,) = (await admin.post("/v1/facts", {"items": [other]}, 200))["items"]
        assert (used["outcome"], used["code"]) == ("refused", "IDEMPOTENCY_KEY_USED")
        other |= {"idempotency_key": "8", "observed_at": "2026-03-02T09:31:00Z"}
        (taken,) = (await admin.post("/v1/facts", {"items": [other]}, 200))["items"]
        assert taken["outcome"] == "decided"

    async def test_one_takes_the_subject_to_the_pipeline_that_applies_now(
        self, admin: Client, world_of: Tenant
    ) -> None:
        asked = [{"fact": "contacts.decision_makers", "cell": ">= 3"}]
        places = {"field_example": {"demo": "negotiation"}}
        await world_of.publish_pipeline()
        await world_of.publish_pipeline(key="committee", is_default=False, applies_when=asked, reassign=places)
        await world_of.observe("o1", "demo")
        await world_of.changes(1)
        # Its own pipeline does not read it.
        for key, value, of, stage in (("1", "2", "field_example", "demo"), ("2", "3", "committee", "negotiation")):
            report = {"items": [item(key, value, observed_at=f"2026-03-02T09:3{key}:00Z")]}
            (answer,) = (await admin.post("/v1/facts", report, 200))["items"]
            assert answer["outcome"] == "decided"
            shown = await admin.get("/v1/opportunities/o1")
            assert (shown["pipeline_key"], shown["claimed_stage"]) == (of, stage)

    async def test_subjects_of_every_type_have_facts_under_their_own_name(
        self, admin: Client, world_of: Tenant, eventually: Any
    ) -> None:
        await world_of.publish_pipeline(
            key="leads",
            object_type="lead",
            is_default=False,
            facts=[{"name": "lead.rating", "type": "text"}],
            applies_when=[{"fact": "lead.rating", "cell": "'Hot'"}],
        )
        await world_of.observe("l1", "demo", object_type="lead", facts=[fact_of("lead.rating", "Hot")])
        await world_of.observe("l2", "demo", object_type="lead", facts=[fact_of("lead.rating", "Cold")])
        await world_of.decisions(1)

        async def judged() -> None:
            of = [("l1", "lead"), ("l1", "opportunity"), ("l2", "lead")]
            items = [
                item(f"{n}", "Hot", name="lead.rating", subject_id=id_, object_type=object_type)
                for n, (id_, object_type) in enumerate(of)
            ]
            answers = (await admin.post("/v1/facts", {"items": items}, 200))["items"]
            assert [each["code"] for each in answers] == ["", "SUBJECT_NOT_FOUND", "SUBJECT_UNPLACED"]
            assert "lead.rating has to be 'Hot'" in answers[2]["detail"]

        await eventually(judged)

    async def test_a_fact_is_no_larger_than_can_be_kept_with_its_subject(self, admin: Client, world_of: Tenant) -> None:
        await self.pipeline(world_of)
        for value in (["x" * 2001], ["x" * 2000, "y" * 2000, "z"], ["x"] * 201):
            refused = await admin.post("/v1/facts", {"items": [item("1", value)]}, 422)
            assert refused["errors"][0]["pointer"].startswith("/items/0/value")
        move = {"to_stage": "discovery", "facts": [{"name": "account.tags", "value": ["x" * 4000, "y"]}]}
        await admin.post("/v1/opportunities/o1/transitions", move, match=1, expect=422)

    async def test_of_one_source_the_newest_word_counts_whatever_comes_when(
        self, admin: Client, world_of: Tenant
    ) -> None:
        await self.pipeline(world_of)
        moments = [f"2026-03-02T09:{minute}:00Z" for minute in ("30", "10", "50")]
        items = [item(str(n), str(n), observed_at=at) for n, at in enumerate(moments)]
        answers = (await admin.post("/v1/facts", {"items": items}, 200))["items"]
        assert [(a["outcome"], a["code"]) for a in answers] == [
            ("decided", ""), ("refused", "FACT_STALE"), ("decided", ""),
        ]  # fmt: skip
        assert (await admin.get("/v1/opportunities/o1"))["claimed_stage"] == "discovery"
        twice = await admin.post("/v1/facts", {"items": [items[0], items[0]]}, 422)
        assert twice["errors"][0]["pointer"] == "/items" or "idempotency key" in str(twice)

    async def test_ten_thousand_come_in_ten_calls_and_no_statement_grows(
        self, admin: Client, world_of: Tenant, engine: ServiceUnderTest
    ) -> None:
        await self.pipeline(world_of)
        sizes: list[tuple[int, int]] = []
        items: list[dict[str, Any]] = []
        for call in range(10):
            items = [
                item(
                    f"{call}-{n}",
                    "1",
                    observed_at=f"2026-03-02T0{call}:30:{n % 60:02}Z",
                )
                if n % 10
                else item(f"{call}-{n}", "1", subject_id=f"nowhere-{n}")
                for n in range(1000)
            ]
            with largest_statement(engine.database) as largest:
                answers = (await admin.post("/v1/facts", {"items": items}, 200))["items"]
            assert [a["idempotency_key"] for a in answers] == [each["idempotency_key"] for each in items]
            assert all((a["code"] == "SUBJECT_NOT_FOUND") == (not n % 10) for n, a in enumerate(answers))
            sizes.append((largest.parameters, largest.values))
        # At most a decision and a change for each item, however many were reported before.
        assert all(parameters < 100 and values <= 2000 for parameters, values in sizes), sizes
        again = (await admin.post("/v1/facts", {"items": items}, 200))["items"]
        assert {a["outcome"] for a in again} == {"duplicate", "refused"}

    async def pipeline(self, world_of: Tenant) -> None:
        await world_of.publish_pipeline(rules=[{
            "rule_id": "r", "from_stage": "prospecting", "to_stage": "discovery", "mode": "auto",
            "conditions": [DECISION_MAKERS],
        }])  # fmt: skip
        await world_of.observe("o1", "prospecting")
        await world_of.decisions(1)
