"""The link to an org that misbehaves: what is said of it, what is held back, and that it goes on by itself."""

from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from sandbox.salesforce.ids import make_id
from stagecraft.crm.v1.record_observed_pb2 import (
    OBSERVATION_KIND_CREATED,
    OBSERVATION_KIND_DELETED,
    OBSERVATION_KIND_IMPORTED,
    STAGE_CLOCK_SOURCE_HISTORY,
    RecordObserved,
)

pytestmark = pytest.mark.stack
Eventually = Callable[..., Awaitable[Any]]
GRAPH = "composite/graph"
STAGES = [
    {"ApiName": name, "IsClosed": name.startswith("Closed"), "IsWon": name == "Closed Won"}
    for name in ("Prospecting", "Discovery", "Demo", "Negotiation", "Closed Won", "Closed Lost")
]
OLD = [
    {"Id": make_id("006", 900_001), "StageName": "Demo", "CreatedDate": "2026-01-05T08:00:00Z"},
    {"Id": make_id("006", 900_002), "StageName": "Demo", "CreatedDate": "2026-01-06T08:00:00Z"},
]
HISTORY = [("Prospecting", 5), ("Demo", 9), ("Discovery", 12), ("Demo", 20), ("Demo", 25)]


@pytest.fixture(scope="module")
def loaded(org: Any) -> None:
    """Opportunities that were in their stage for long before the connector first came."""
    common = {"Name": "Old", "CloseDate": "2027-01-31", "LastModifiedDate": "2026-11-01T08:00:00Z"}
    history = [
        {"OpportunityId": OLD[0]["Id"], "StageName": stage, "CreatedDate": f"2026-01-{day:02}T08:00:00Z"}
        for stage, day in HISTORY
    ]
    org.sim("load", {"opportunities": [common | row for row in OLD], "history": history})


@pytest.fixture
async def link(loaded: None, linked: Any, eventually: Eventually) -> AsyncIterator[Any]:
    async def ask(path: str) -> None:
        reply = await linked.service.client.post(f"/v1/{path}", headers=linked.headers)
        assert reply.status_code == 202, reply.text

    async def connection(check: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async def seen() -> dict[str, Any]:
            found = await linked.get("connection")
            assert check(found), found
            return found

        return await eventually(seen)

    linked.ask, linked.connection = ask, connection
    yield linked
    linked.org.sim("faults", method="DELETE")
    linked.org.sim("rule", {"active": True})
    linked.org.sim("permissions", {})
    linked.org.sim("limits", {"DailyDeliveredPlatformEvents": {"Remaining": 1_000_000}})
    before = (await linked.get("connection"))["checked_at"]
    await ask("connection/retry")
    # The check that this asks for would meet the next test's faults.
    await connection(lambda found: found["checked_at"] > before)
    await connection(lambda found: found["state"] == "LIVE" and not found["holds"] and not found["missing"])


async def decide(
    link: Any, make: SimpleNamespace, count: int = 3, fault: dict[str, Any] | None = None, **more: Any
) -> list[str]:
    """Decisions on new opportunities; the org has the fault once the connector knows them."""
    opportunities = [await link.created() for _ in range(count)]
    if fault:
        link.org.sim("faults", fault)
    for opportunity in opportunities:
        given = {"submission": make.scored(opportunity)} if more.get("evidence") else {}
        await link.decide(make.decision(opportunity, target="discovery", expected="prospecting", **given))
    return opportunities


class TestHolds:
    @pytest.mark.parametrize(
        ("fault", "scope", "subject"),
        [
            ({"match": GRAPH, "code": "API_DISABLED_FOR_ORG", "status": 403}, "ORG", ""),
            ({"match": GRAPH, "code": "NO_SUCH_CODE", "status": 429}, "ORG", ""),
            (
                {
                    "match": "/Opportunity/",
                    "within": True,
                    "code": "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE",
                },
                "ORG",
                "",
            ),
            ({"match": "/Opportunity/", "within": True, "code": "INVALID_TYPE"}, "OBJECT", "Opportunity"),
            (
                {"match": "/Opportunity/", "within": True, "code": "INVALID_FIELD", "fields": ["StageName"]},
                "FIELD",
                "Opportunity",
            ),
        ],
        ids=lambda value: value["code"] if isinstance(value, dict) else str(value),
    )
    async def test_what_the_org_refuses_is_held_back_and_goes_on_by_itself(
        self, link: Any, make: SimpleNamespace, fault: dict[str, Any], scope: str, subject: str
    ) -> None:
        opportunities = await decide(link, make, fault={"times": None, **fault})
        found = await link.connection(lambda found: bool(found["holds"]))
        (hold,) = found["holds"]
        assert (found["writes"], hold["scope"], hold["subject"]) == ("HELD", scope, subject)
        assert (hold["code"], hold["fields"]) == (fault["code"], fault.get("fields", []))
        link.org.sim("faults", method="DELETE")
        await link.ask("connection/retry")
        for opportunity in opportunities:
            (intent,) = await link.state_of(opportunity, "ECHOED")
            assert intent["reason"] == ""
        await link.connection(lambda found: found["writes"] == "FLOWING")

    async def test_a_record_that_is_refused_among_others_is_parked_alone(
        self, link: Any, make: SimpleNamespace, eventually: Eventually
    ) -> None:
        bad, *good = [await link.created() for _ in range(4)]
        link.org.sim("faults", {"match": f"/{bad}", "within": True, "code": "INVALID_FIELD", "times": None})
        # All in one call: nothing is sent while the call before it fails.
        link.org.sim("faults", {"match": GRAPH, "html_503": True, "times": 1})
        for opportunity in (bad, *good):
            await link.decide(make.decision(opportunity, target="discovery", expected="prospecting"))
        for opportunity in good:
            await link.state_of(opportunity, "ECHOED")

        async def parked() -> None:
            for again in [await link.created() for _ in range(2)]:
                await link.decide(make.decision(again, target="discovery", expected="prospecting"))
            await link.ask("connection/retry")
            (item,) = (await link.get(f"write-intents?opportunity_id={bad}"))["items"]
            assert item["state"] == "PARKED", item

        await eventually(parked)

    async def test_a_field_taken_from_the_integration_user_stops_only_what_needs_it(
        self, link: Any, make: SimpleNamespace
    ) -> None:
        link.org.sim("permissions", {"read_only": ["Stagecraft_Answer__c.Value_Text__c"]})
        (answers,) = await decide(link, make, 1, evidence=True)
        # By the org's refusal of the write, or by a check that came before it.
        await link.connection(
            lambda found: bool(found["missing"]) or [h["subject"] for h in found["holds"]] == ["Stagecraft_Answer__c"]
        )
        (stage,) = await decide(link, make, 1)
        await link.state_of(stage, "ECHOED")
        await link.ask("connection/retry")
        found = await link.connection(lambda found: bool(found["missing"]))
        assert found["missing"] == ["The integration user may not edit the field Stagecraft_Answer__c.Value_Text__c."]
        link.org.sim("permissions", {})
        await link.ask("connection/retry")
        await link.state_of(answers, "ECHOED")


class TestPreflight:
    async def test_without_the_rule_no_stage_is_written(
        self, link: Any, make: SimpleNamespace, eventually: Eventually
    ) -> None:
        link.org.sim("rule", {"active": False})
        await link.ask("connection/retry")
        found = await link.connection(lambda found: bool(found["missing"]))
        assert "Stagecraft_Stage_Conflict" in found["missing"][0]
        opportunity = await link.created()
        before = link.record(opportunity)
        await link.decide(make.decision(opportunity, target="discovery", expected="prospecting"))
        await link.state_of(opportunity, "NEW")
        # Asking for the rule has changed nothing.
        assert link.record(opportunity) == before
        link.org.sim("rule", {"active": True})
        await link.ask("connection/retry")
        await link.state_of(opportunity, "ECHOED")


class TestEvents:
    async def test_changes_are_read_while_the_org_delivers_no_events(self, link: Any) -> None:
        opportunity = await link.created()
        link.org.sim("limits", {"DailyDeliveredPlatformEvents": {"Remaining": 0}})
        link.org.sim("edit", {"id": opportunity, "fields": {"StageName": "Demo"}})
        await link.connection(lambda found: found["state"] == "SWEEPING")
        found = await link.get("connection")
        assert "subscription.limit.exceeded" in found["last_error"]
        observations = await link.observed(opportunity, 2)
        assert observations[-1].crm_stage == "Demo"
        link.org.sim("edit", {"id": opportunity, "fields": {"StageName": "Negotiation"}})
        assert (await link.observed(opportunity, 3))[-1].crm_stage == "Negotiation"
        # No event told of its creation, but it is none of those that were there before we came.
        (made,) = await link.observed(await link.created(), 1)
        assert made.kind == OBSERVATION_KIND_CREATED
        link.org.sim("limits", {"DailyDeliveredPlatformEvents": {"Remaining": 1_000_000}})
        await link.ask("connection/retry")
        link.org.sim("edit", {"id": opportunity, "fields": {"StageName": "Discovery"}})
        await link.connection(lambda found: found["state"] == "LIVE" and not found["last_error"])
        assert [o.crm_stage for o in await link.observed(opportunity, 4)] == [
            "Prospecting", "Demo", "Negotiation", "Discovery",
        ]  # fmt: skip

    async def test_a_record_deleted_for_good_is_noticed_by_an_import(self, link: Any) -> None:
        opportunity = await link.created()
        link.org.sim("purge", {"id": opportunity})
        await link.ask("imports")
        try:
            observed = await link.observed(opportunity, 2)
        except AssertionError:
            # It joined an import that had begun before the record was seen.
            await link.ask("imports")
            observed = await link.observed(opportunity, 2)
        assert observed[-1].kind == OBSERVATION_KIND_DELETED

    async def test_a_record_deleted_for_good_while_the_position_is_lost_is_noticed(self, link: Any) -> None:
        gone, marker = await link.created(), await link.created()
        link.org.sim("purge", {"id": gone})
        link.org.sim(
            "faults",
            {
                "match": "PubSub/Subscribe/data/(Opportunity)?Change",
                "code": "subscription.fetch.replayid.corrupted",
                "times": 2,
            },
        )
        link.org.sim("edit", {"id": marker, "fields": {"Amount": 5}})
        link.org.sim("edit", {"id": marker, "fields": {"Amount": 6}})
        assert (await link.observed(gone, 2))[-1].kind == OBSERVATION_KIND_DELETED


class TestStages:
    async def test_a_new_stage_of_the_org_is_known_when_it_is_met_or_asked_for(
        self, link: Any, eventually: Eventually
    ) -> None:
        as_of = (await link.get("stage-mappings/sales"))["stages_as_of"]
        link.org.sim("load", {"stages": [*STAGES, {"ApiName": "Legal"}]})
        await link.ask("stage-mappings/refresh")

        async def refreshed() -> None:
            assert (await link.get("stage-mappings/sales"))["stages_as_of"] > as_of

        await eventually(refreshed)
        mapping = {"stages": {"prospecting": "Prospecting", "discovery": "Discovery", "demo": "Legal"}}
        headers = {**link.headers, "If-Match": '"0"'}
        reply = await link.service.client.put("/v1/stage-mappings/sales", json=mapping, headers=headers)
        assert reply.status_code == 200, reply.text


async def test_an_imported_opportunity_tells_since_when_it_is_in_its_stage(link: Any) -> None:
    events = await link.service.events(
        RecordObserved, tenant=link.tenant, count=2, where=lambda each: each.kind == OBSERVATION_KIND_IMPORTED
    )
    imported = {e.message.record_id: e.message for e in events}
    found = {
        key: (imported[key].in_stage_since.ToJsonString(), imported[key].in_stage_since_source)
        for key in (row["Id"] for row in OLD)
    }
    assert found == {
        OLD[0]["Id"]: ("2026-01-20T08:00:00Z", STAGE_CLOCK_SOURCE_HISTORY),
        OLD[1]["Id"]: ("2026-01-06T08:00:00Z", STAGE_CLOCK_SOURCE_HISTORY),
    }


async def test_an_event_that_cannot_be_read_is_set_aside_and_its_record_is_read(
    link: Any, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    from crm_connector.salesforce import changes

    opportunity, other = await link.created(), await link.created()
    reading = changes._compared

    def broken(object_type: str, name: str, value: Any, plan: Any) -> Any:
        if value == "Demo":
            raise KeyError("no such thing")
        return reading(object_type, name, value, plan)

    monkeypatch.setattr(changes, "_compared", broken)
    link.org.sim("edit", {"id": opportunity, "fields": {"StageName": "Demo"}})
    link.org.sim("edit", {"id": other, "fields": {"StageName": "Discovery"}})
    assert (await link.observed(opportunity, 2))[-1].crm_stage == "Demo"
    assert (await link.observed(other, 2))[-1].crm_stage == "Discovery"

    async def kept() -> None:
        letters = (await link.get("dead-letters"))["items"]
        (letter,) = [letter for letter in letters if letter["code"] == "change_unreadable"]
        assert "KeyError" in letter["detail"]

    await eventually(kept)


async def test_loops_that_fail_go_on_after_pauses_with_the_same_session(
    link: Any, monkeypatch: pytest.MonkeyPatch, make: SimpleNamespace, eventually: Eventually
) -> None:
    from crm_connector.salesforce.adapter import SalesforceCrm

    async def broken(self: Any, opportunity_ids: Any) -> Any:
        raise LookupError("a defect")

    opportunity = await link.created()
    before = link.org.sim("sessions", method="GET")["opened"]
    with monkeypatch.context() as patched:
        patched.setattr(SalesforceCrm, "read", broken)
        link.org.sim("gap", {"change_type": "GAP_UPDATE", "record_ids": [opportunity]})
        found = await link.connection(lambda found: found["state"] == "FAILED")
        assert found["last_error"] == "The connector failed: LookupError: a defect"

        async def ready() -> None:
            assert (await link.service.client.get("/readyz")).json()["reasons"] == []

        await eventually(ready)
    await link.ask("connection/retry")
    await link.connection(lambda found: found["state"] == "LIVE")
    assert link.org.sim("sessions", method="GET")["opened"] == before

    async def noted() -> None:
        notes = (await link.service.client.get("/readyz")).json()["notes"]
        assert notes["crm"].startswith("LIVE since")

    await eventually(noted)
