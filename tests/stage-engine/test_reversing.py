"""Taking back over HTTP, on a real database and broker: outcomes, evidence, quarantines; and moves that lead on."""

from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio
from kit.ids import utc_now, uuid7
from stage_engine.service import reversing
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored
from stagecraft.stage.v1.pipeline_published_pb2 import CATEGORY_WON
from stagecraft.stage.v1.stage_changed_pb2 import TRANSITION_KIND_REOPEN, StageChanged
from stagecraft.stage.v1.stage_decided_pb2 import INPUT_KIND_HOP
from testing.service import ServiceUnderTest, StartService, eventually

from tests.stage_engine import Client, Tenant, codes

pytestmark = pytest.mark.stack

REP = ("rep", "rita")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def recommender(engine: ServiceUnderTest, start_service: StartService) -> AsyncIterator[ServiceUnderTest]:
    """What learns from the engine's events."""
    yield await start_service("recommender", topic_prefix=engine.settings.topic_prefix)


async def moved(tenant: Tenant, opportunity: str, revision: int) -> StageChanged:
    """The change that made this revision."""
    found = [m for m in await tenant.changes(revision) if m.opportunity_id == opportunity and m.revision == revision]
    assert len(found) == 1
    return found[0]


class TestReopening:
    @pytest.fixture
    def path(self) -> str:
        return "/v1/opportunities/o1"

    async def won(self, world_of: Tenant, admin: Client, path: str, **changes: Any) -> None:
        await world_of.publish_pipeline(**changes)
        await world_of.observe("o1", "negotiation")
        await world_of.changes(1)
        given = {"to_stage": "closed_won", "override": True, "reason_code": "SIGNED", "text": "On paper."}
        assert (await admin.post(f"{path}/transitions", given, match=1))["outcome"] == "accepted"

    async def test_won_reopened_gone_back_and_won_again_is_one_win(
        self, world_of: Tenant, admin: Client, recommender: ServiceUnderTest, tenant: str, path: str
    ) -> None:
        await self.won(world_of, admin, path)
        learned = Client(recommender, tenant)

        async def outcomes(won: int, lost: int) -> None:
            models = (await learned.get("/v1/model"))["pipelines"]
            assert [(each["won"], each["lost"]) for each in models] == [(won, lost)]

        await eventually(lambda: outcomes(1, 0))
        reopened = await admin.post(f"{path}/reopen", {"reason_code": "BOUNCED"}, match=2)
        move = reopened["transition"]
        assert (move["kind"], move["to_stage"], move["cycle_no"]) == ("reopen", "negotiation", 2)
        assert move["taken_back"] == {"category": "won", "revision": 2, "cycle_no": 1}
        event = await moved(world_of, "o1", 3)
        assert event.kind == TRANSITION_KIND_REOPEN
        back = event.taken_back
        assert (back.category, back.revision, back.cycle_no) == (CATEGORY_WON, 2, 1)
        await eventually(lambda: outcomes(0, 0))

        given = {"to_stage": "demo", "reason_code": "AGAIN"}
        assert (await admin.post(f"{path}/transitions", given, match=3))["transition"]["kind"] == "regress"
        given = {"to_stage": "closed_won", "override": True, "reason_code": "SIGNED", "text": "Once more."}
        won = await admin.post(f"{path}/transitions", given, match=4)
        assert (won["transition"]["cycle_no"], won["transition"]["taken_back"]) == (2, None)
        await eventually(lambda: outcomes(1, 0))
        funnel = {stage["key"]: stage for stage in (await admin.get("/v1/funnel"))["stages"]}
        assert funnel["closed_won"]["claimed"]["opportunities"] == 1
        assert (funnel["negotiation"]["entered"], funnel["negotiation"]["reached_later"]) == (1, 1)
        changes = (await admin.get("/v1/changes?opportunity_id=o1"))["items"]
        assert [c["kind"] for c in changes] == ["adopt", "close_won", "reopen", "regress", "close_won"]

    async def test_an_edit_in_the_crm_takes_the_outcome_back_as_well(
        self, world_of: Tenant, admin: Client, path: str
    ) -> None:
        await self.won(world_of, admin, path)
        await world_of.observe("o1", "closed_won")
        await world_of.observe("o1", "discovery")
        event = await moved(world_of, "o1", 3)
        assert (event.kind, event.cycle_no, event.taken_back.category) == (TRANSITION_KIND_REOPEN, 2, CATEGORY_WON)

    async def test_it_takes_a_manager_a_reason_a_closed_one_and_an_open_stage(
        self, world_of: Tenant, admin: Client, engine: ServiceUnderTest, tenant: str, path: str
    ) -> None:
        await self.won(world_of, admin, path)
        body = {"reason_code": "BOUNCED"}
        refused = await Client(engine, tenant, *REP).post(f"{path}/reopen", body, match=2, expect=403)
        assert refused["scope"] == "transitions:override"
        await admin.post(f"{path}/reopen", {"reason_code": ""}, match=2, expect=422)
        await admin.post(f"{path}/reopen", body, match=1, expect=412)
        for stage in ("closed_lost", "nowhere"):
            found = await admin.post(f"{path}/reopen", {**body, "to_stage": stage}, match=2, expect=422)
            assert found["code"] == "stage_unknown"
        blank = await admin.post(f"{path}/reopen", {"reason_code": " "}, match=2)
        assert (blank["outcome"], blank["reasons"][0]["fact"]) == ("rejected", "command.reason_code")
        named = await admin.post(f"{path}/reopen", {**body, "to_stage": "discovery"}, match=2)
        assert (named["outcome"], named["to_stage"]) == ("accepted", "discovery")
        again = await admin.post(f"{path}/reopen", body, match=3)
        assert (again["outcome"], again["reasons"][0]["fact"]) == ("rejected", "command.reopen")


class TestVoiding:
    async def in_demo(self, world_of: Tenant, **changes: Any) -> tuple[SubmissionScored, SubmissionScored]:
        await world_of.publish_pipeline(**changes)
        await world_of.observe("o1", "prospecting")
        await world_of.score("o1", "prospecting", "70", ("prospecting", 1))
        first = await world_of.score("o1", "discovery", "78", ("discovery", 2))
        await world_of.changes(3)
        second = await world_of.score("o1", "discovery", "99", ("discovery", 2), attempt_no=2)
        await world_of.decisions(4)
        return first, second

    def path(self, message: SubmissionScored) -> str:
        return f"/v1/opportunities/o1/evidence/{message.submission_id}/void"

    @pytest.mark.parametrize("page", [1, 2, 100])
    async def test_the_rest_counts_again_and_when_nothing_is_left_the_stage_goes_back(
        self, world_of: Tenant, admin: Client, monkeypatch: pytest.MonkeyPatch, page: int
    ) -> None:
        monkeypatch.setattr(reversing, "_PAGE", page)
        first, second = await self.in_demo(world_of, voided_evidence="regress")
        body = {"reason": "The wrong buyer."}
        made = await admin.post(self.path(second), body)
        assert (made["outcome"], made["transition"], made["earned_stage"]) == ("accepted", None, "demo")
        seen = await admin.get("/v1/opportunities/o1")
        assert seen["scores"]["discovery"]["submission_id"] == first.submission_id
        made = await admin.post(self.path(first), body)
        assert (made["transition"]["kind"], made["to_stage"]) == ("regress", "discovery")
        assert made["earned_stage"] == "discovery"
        assert [r["code"] for r in made["reasons"]] == ["VOIDED", "NO_LONGER_SUPPORTED"]
        assert made["crm_target_stage"] == "discovery"
        # What the CRM gets to know.
        said = (await world_of.decisions(6))[-1].submission
        assert (said.submission_id, said.voided, len(said.contributions)) == (first.submission_id, True, 0)
        replay = await admin.post(f"/v1/decisions/{made['decision_id']}/replay", expect=200)
        assert replay["identical"] is True
        # Scored anew by later points, it counts no more than before.
        again = SubmissionScored()
        again.CopyFrom(first)
        again.score_id, again.profile_version = str(uuid7()), 2
        await world_of.service.publish(again, tenant=world_of.tenant)
        assert codes((await world_of.decisions(7))[-1]) == ["VOIDED"]

    async def test_by_default_the_stage_stays_with_words(self, world_of: Tenant, admin: Client) -> None:
        first, second = await self.in_demo(world_of)
        for message in (first, second):
            made = await admin.post(self.path(message), {"reason": "The wrong buyer."})
        assert (made["transition"], made["to_stage"], made["earned_stage"]) == (None, "demo", "discovery")
        seen = await admin.get("/v1/opportunities/o1")
        assert (seen["claimed_stage"], seen["support"]) == ("demo", "no_evidence")
        assert seen["scores"].keys() == {"prospecting"}

    async def test_it_takes_a_manager_and_evidence_of_the_subject(
        self, world_of: Tenant, admin: Client, engine: ServiceUnderTest, tenant: str
    ) -> None:
        first, _ = await self.in_demo(world_of)
        body = {"reason": "The wrong buyer."}
        await Client(engine, tenant, *REP).post(self.path(first), body, expect=403)
        await admin.post(self.path(first), {"reason": ""}, expect=422)
        found = await admin.post(f"/v1/opportunities/o1/evidence/{uuid7()}/void", body, expect=404)
        assert found["code"] == "evidence_not_found"
        await admin.post(f"/v1/opportunities/o2/evidence/{first.submission_id}/void", body, expect=404)
        for pattern in ("%25", f"{first.submission_id[:-1]}_", first.submission_id.upper()):
            await admin.post(f"/v1/opportunities/o1/evidence/{pattern}/void", body, expect=404)


class TestReleasing:
    async def test_what_goes_to_and_fro_is_listed_with_words_until_a_person_releases_it(
        self, world_of: Tenant, admin: Client, engine: ServiceUnderTest, tenant: str
    ) -> None:
        await world_of.publish_pipeline(crm_edit_policy="revert", alternations_at_most=1)
        await world_of.observe("o1", "prospecting")
        await world_of.observe("o1", "demo", changed_by="flow-user")
        decided = (await world_of.decisions(2))[-1]
        assert (codes(decided)[-1], decided.crm_target_stage) == ("CONTESTED", "")
        (listed,) = (await admin.get("/v1/opportunities?quarantined=true"))["items"]
        assert (listed["opportunity_id"], listed["quarantine_code"]) == ("o1", "CONTESTED")
        sync = (await admin.get("/v1/opportunities/o1"))["sync"]
        assert (sync["state"], sync["code"]) == ("quarantined", "CONTESTED")
        assert sync["reason"].startswith("its stage went to and fro once: flow-user set demo at ")
        path, body = "/v1/opportunities/o1/release", {"reason": "The flow is off.", "keep": "engine"}
        await Client(engine, tenant, *REP).post(path, body, match=1, expect=403)
        released = await admin.post(path, body, match=1)
        assert (released["outcome"], released["crm_target_stage"]) == ("accepted", "prospecting")
        assert (await admin.get("/v1/opportunities?quarantined=true"))["items"] == []
        again = await admin.post(path, body, match=1)
        assert (again["outcome"], again["reasons"][0]["fact"]) == ("rejected", "command.release")


class TestCascades:
    async def test_one_report_leads_on_and_each_hop_is_logged(self, world_of: Tenant, admin: Client) -> None:
        stages = ["prospecting", "discovery", "demo", "negotiation"]
        rules = [
            {"rule_id": f"to_{target}", "from_stage": source, "to_stage": target, "mode": "auto",
             "conditions": [{"fact": "account.size", "cell": "> 10"}]}
            for source, target in pairwise(stages)
        ]  # fmt: skip
        facts = [{"name": "account.size", "type": "decimal"}]
        await world_of.publish_pipeline(rules=rules, facts=facts, cascade_at_most=2)
        await world_of.observe("o1", "prospecting")
        await world_of.changes(1)
        item = {
            "idempotency_key": "k1", "subject_id": "o1", "name": "account.size", "value": "20", "source": "erp",
            "observed_at": utc_now().isoformat(), "hops": 3,
        }  # fmt: skip
        (answer,) = (await admin.post("/v1/facts", {"items": [item]}, 200))["items"]
        decisions = (await admin.get("/v1/opportunities/o1/decisions"))["items"]
        first, hop = decisions[1:]
        assert answer["decision_id"] == first["decision_id"]
        assert [d["to_stage"] for d in (first, hop)] == ["discovery", "demo"]
        assert (hop["input"]["kind"], hop["input"]["cause"]) == ("hop", "facts:erp:k1")
        for decision in decisions:
            replay = await admin.post(f"/v1/decisions/{decision['decision_id']}/replay", expect=200)
            assert replay["identical"] is True
        assert [change.hops for change in await world_of.changes(3)] == [1, 4, 5]
        assert (await world_of.decisions(3))[-1].input_kind == INPUT_KIND_HOP

    async def test_subjects_that_react_to_each_other_come_to_rest(
        self, world_of: Tenant, admin: Client, engine: ServiceUnderTest, tenant: str
    ) -> None:
        """An account whose rules read the stage of its opportunity, and an opportunity that reads the account's."""
        low, high = "'prospecting'", "'discovery'"
        sides = {"account": ("sale", low, high), "opportunity": ("firm", high, low)}
        for side, (other, on, off) in sides.items():
            rules = [
                {"rule_id": "on", "from_stage": "prospecting", "to_stage": "discovery", "mode": "auto",
                 "conditions": [{"fact": f"{other}.stage", "cell": on}]},
                {"rule_id": "off", "from_stage": "discovery", "to_stage": "prospecting", "mode": "auto", "back": True,
                 "conditions": [{"fact": f"{other}.stage", "cell": off}]},
            ]  # fmt: skip
            facts = [{"name": f"{other}.stage", "type": "text"}]
            await world_of.publish_pipeline(
                key=side, object_type=side, is_default=True, rules=rules, facts=facts, alternations_at_most=20
            )
            await world_of.observe(side, "prospecting", object_type=side)
        await world_of.changes(2)
        stage, hops, moves, seen = "prospecting", 0, 0, []
        for turn in range(40):
            side = ["account", "opportunity"][turn % 2]
            item = {
                "idempotency_key": f"t{turn}", "object_type": side, "subject_id": side, "source": "bridge",
                "name": f"{sides[side][0]}.stage", "value": stage, "observed_at": utc_now().isoformat(), "hops": hops,
            }  # fmt: skip
            (answer,) = (await admin.post("/v1/facts", {"items": [item]}, 200))["items"]
            decision = await admin.get(f"/v1/decisions/{answer['decision_id']}")
            seen = [reason["code"] for reason in decision["reasons"]]
            if decision["transition"] is None:
                break
            stage, hops, moves = decision["to_stage"], decision["transition"]["hops"], moves + 1
        assert moves == hops == 10
        assert "HOP_LIMIT" in seen
