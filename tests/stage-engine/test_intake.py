"""What waits, what the CRM reports, and the scores that can occur."""

from collections.abc import Sequence
from typing import Any

import pytest
from kit.aside.parking import expire
from kit.ids import utc_now
from stage_engine.templates import templates
from stagecraft.crm.v1 import record_observed_pb2 as crm
from stagecraft.crm.v1.crm_write_confirmed_pb2 import CrmWriteConfirmed
from stagecraft.crm.v1.crm_write_parked_pb2 import CrmWriteParked
from stagecraft.scoring.v1.scoring_profile_published_pb2 import SCALE_RAW, ScoringProfilePublished
from stagecraft.stage.v1 import stage_changed_pb2 as changed
from stagecraft.stage.v1 import stage_decided_pb2 as decided

from tests.builders import record_observed
from tests.stage_engine import Tenant, codes, stamp

pytestmark = pytest.mark.stack


class TestWaiting:
    async def test_a_score_of_an_unknown_opportunity_waits_for_it(self, world_of: Tenant, eventually: Any) -> None:
        await world_of.publish_pipeline()
        await world_of.score("o1", "prospecting", "40", ("prospecting", 1))
        await world_of.score("o1", "prospecting", "70", ("prospecting", 1), attempt_no=2)

        async def both_wait() -> None:
            assert await world_of.parked() == 2

        await eventually(both_wait)
        await world_of.observe("o1", "prospecting")
        assert [d.outcome for d in await world_of.decisions(3)] == [
            decided.OUTCOME_ACCEPTED,
            decided.OUTCOME_REJECTED,
            decided.OUTCOME_ACCEPTED,
        ]
        assert await world_of.parked() == 0

    async def test_only_so_many_wait_and_the_rest_is_put_aside(self, world_of: Tenant, eventually: Any) -> None:
        for number in range(7):
            await world_of.score(f"o{number}", "prospecting", "70", ("prospecting", 1))

        async def two_put_aside() -> None:
            letters = (await world_of.get("/v1/dead-letters"))["items"]
            assert [letter["code"] for letter in letters] == ["opportunity_unknown"] * 2

        await eventually(two_put_aside)
        assert await world_of.parked() == 5

    async def test_a_tenant_whose_scores_never_find_their_opportunities_stops_no_other(
        self, world_of: Tenant, eventually: Any
    ) -> None:
        evil = Tenant(world_of.service, f"{world_of.tenant}-evil")
        await world_of.publish_pipeline()
        for number in range(600):
            await evil.score(f"o{number % 50}", "prospecting", "70", ("prospecting", 1))
        await world_of.observe("o1", "prospecting")
        await world_of.changes(1)
        assert (await world_of.service.client.get("/livez")).status_code == 200

        async def the_rest_is_rejected() -> None:
            [(code, holds, count)] = await evil.rows("SELECT code, holds, count(*) FROM dead_letter GROUP BY 1, 2")
            assert (code, holds, count) == ("opportunity_unknown", False, 595)

        await eventually(the_rest_is_rejected)
        assert await evil.parked() == 5

    async def test_only_so_many_wait_for_one_opportunity(self, world_of: Tenant, eventually: Any) -> None:
        for number in range(5):
            await world_of.score("o1", "prospecting", str(number), ("prospecting", 1), attempt_no=number + 1)

        async def two_are_rejected() -> None:
            letters = (await world_of.get("/v1/dead-letters"))["items"]
            assert [letter["code"] for letter in letters] == ["opportunity_unknown"] * 2

        await eventually(two_are_rejected)
        assert await world_of.parked() == 3

    async def test_what_has_waited_too_long_becomes_a_dead_letter_and_can_still_be_decided(
        self, world_of: Tenant, eventually: Any
    ) -> None:
        await world_of.publish_pipeline()
        await world_of.score("o1", "prospecting", "70", ("prospecting", 1))

        async def one_waits() -> None:
            assert await world_of.parked() == 1

        await eventually(one_waits)
        await world_of.rows("UPDATE parked SET parked_at = now() - interval '31 days'")
        assert await expire(world_of.service.database, 30) == 1
        assert await world_of.parked() == 0
        [letter] = (await world_of.get("/v1/dead-letters"))["items"]
        assert (letter["code"], letter["holds"]) == ("waited_too_long", False)
        await world_of.observe("o1", "prospecting")
        await world_of.decisions(1)
        path = f"/v1/dead-letters/{letter['dead_letter_id']}/replay"
        replayed = await world_of.service.client.post(path, headers=world_of.headers)
        assert replayed.status_code == 200, replayed.text
        assert (await world_of.decisions(2))[1].HasField("submission")

    async def test_opportunities_seen_before_any_pipeline_are_placed_by_its_publication(
        self, world_of: Tenant, eventually: Any
    ) -> None:
        await world_of.observe("o1", "prospecting")
        await world_of.observe("o1", "demo")
        await world_of.observe("o2", "negotiation")
        await world_of.score("o2", "sales_feedback", "100", ("negotiation", 1))

        async def all_wait() -> None:
            assert await world_of.parked() == 1
            assert len((await world_of.get("/v1/unplaced"))["items"]) == 2
            [(last,)] = await world_of.rows("SELECT observation FROM unplaced WHERE record_id = 'o1'")
            assert '"demo"' in last

        await eventually(all_wait)
        await world_of.publish_pipeline()
        moves = await world_of.changes(3)
        # An observation is complete: only the last one says where it is.
        assert [m.to_stage for m in moves if m.opportunity_id == "o1"] == ["demo"]
        assert [m.to_stage for m in moves if m.opportunity_id == "o2"] == ["negotiation", "closed_won"]
        assert await world_of.parked() == 0

    async def test_an_opportunity_keeps_the_version_it_was_first_seen_in(self, world_of: Tenant) -> None:
        await world_of.publish_pipeline()
        await world_of.observe("o1", "prospecting")
        await world_of.changes(1)
        document = {k: v for k, v in templates()["field_example"].items() if k != "key"}
        document["rules"] = [
            {**rule, "conditions": [{"fact": "prospecting.score", "cell": "> 69"}]} if n == 0 else rule
            for n, rule in enumerate(document["rules"])
        ]
        client, headers = world_of.service.client, world_of.headers
        path = "/v1/pipelines/field_example"
        changed_draft = await client.put(f"{path}/draft", json=document, headers={**headers, "If-Match": '"1"'})
        assert changed_draft.status_code == 200, changed_draft.text
        assert (await client.post(f"{path}/publish", headers=headers)).status_code == 201
        await world_of.observe("o2", "prospecting")
        await world_of.changes(2)
        for opportunity_id in ("o1", "o2"):
            await world_of.score(opportunity_id, "prospecting", "65", ("prospecting", 1))
        found = {d.opportunity_id: d for d in await world_of.decisions(4) if d.HasField("submission")}
        assert (found["o1"].pipeline_version, found["o1"].outcome) == (1, decided.OUTCOME_ACCEPTED)
        assert (found["o2"].pipeline_version, found["o2"].outcome) == (2, decided.OUTCOME_REJECTED)


class TestTheCrm:
    async def moved(self, world_of: Tenant) -> None:
        await world_of.publish_pipeline()
        await world_of.observe("o1", "prospecting")
        await world_of.changes(1)
        await world_of.score("o1", "prospecting", "70", ("prospecting", 1))
        await world_of.changes(2)

    async def sync_is(self, world_of: Tenant, **expected: str) -> None:
        sync = (await world_of.get("/v1/opportunities/o1"))["sync"]
        assert {name: sync[name] for name in expected} == expected

    async def test_a_confirmed_write_becomes_the_base(self, world_of: Tenant, eventually: Any) -> None:
        await self.moved(world_of)
        await self.sync_is(world_of, state="pending", base_stage="prospecting")
        confirmed = CrmWriteConfirmed(
            intent_id="i1", write_id="w1", opportunity_id="o1", stage_key="discovery", revision=2,
            confirmed_at=utc_now(),
        )  # fmt: skip
        await world_of.service.publish(confirmed, tenant=world_of.tenant)
        await eventually(lambda: self.sync_is(world_of, state="agreed", base_stage="discovery"))
        await world_of.score("o1", "discovery", "90", ("discovery", 2))
        assert (await world_of.decisions(3))[-1].crm_expected_stage == "discovery"

    async def test_a_write_told_after_the_edit_that_followed_it_does_not_hide_the_edit(self, world_of: Tenant) -> None:
        await self.moved(world_of)
        sight = record_observed(
            opportunity_id="o1",
            kind=crm.OBSERVATION_KIND_UPDATED,
            stage_key="prospecting",
            crm_stage="Prospecting",
            changed_by="carl",
            change_id="late",
            committed_at=stamp(utc_now()),
        )
        await world_of.service.publish(sight, tenant=world_of.tenant, sequence=3)
        await world_of.decisions(3)
        confirmed = CrmWriteConfirmed(
            intent_id="i1",
            write_id="w1",
            opportunity_id="o1",
            stage_key="discovery",
            revision=2,
            confirmed_at=utc_now(),
        )
        await world_of.service.publish(confirmed, tenant=world_of.tenant, sequence=2)
        assert [change.to_stage for change in await world_of.changes(3)][2] == "prospecting"

    async def test_a_refused_write_is_shown_until_a_later_one_is_through(
        self, world_of: Tenant, eventually: Any
    ) -> None:
        await self.moved(world_of)
        refused = CrmWriteParked(
            intent_id="i1", opportunity_id="o1", stage_key="discovery", revision=2, code="VALIDATION", reason="amount",
            parked_at=utc_now(),
        )  # fmt: skip
        await world_of.service.publish(refused, tenant=world_of.tenant)
        await eventually(lambda: self.sync_is(world_of, state="blocked", code="VALIDATION", reason="amount"))
        await world_of.score("o1", "discovery", "90", ("discovery", 2))
        assert codes((await world_of.decisions(3))[-1]) == ["SYNC_BLOCKED"]

    async def test_a_persons_edit_wins_over_a_move_on_its_way(self, world_of: Tenant) -> None:
        await self.moved(world_of)
        await world_of.observe("o1", "closed_lost", kind=crm.OBSERVATION_KIND_CONFLICT)
        decision = (await world_of.decisions(3))[-1]
        assert (decision.outcome, codes(decision)) == (decided.OUTCOME_ACCEPTED, ["SUPERSEDED"])
        assert (decision.change.cause, decision.change.actor) == (changed.CAUSE_CRM, "carl")
        assert decision.crm_target_stage == ""

    async def test_an_unmapped_stage_quarantines_the_opportunity(self, world_of: Tenant) -> None:
        await self.moved(world_of)
        await world_of.observe("o1", "", crm_stage="Legal")
        decision = (await world_of.decisions(3))[-1]
        assert codes(decision) == ["UNMAPPED_STAGE"]
        await self.sync_is(world_of, state="quarantined", observed_crm_stage="Legal")

    async def test_commands_and_events_on_one_opportunity_leave_no_gap(self, world_of: Tenant, eventually: Any) -> None:
        await world_of.publish_pipeline()
        await world_of.observe("o1", "prospecting")
        await world_of.changes(1)
        for number in range(20):
            await world_of.score("o1", "prospecting", str(number), ("prospecting", 1), attempt_no=number + 1)
            response = await world_of.service.client.post(
                "/v1/opportunities/o1/transitions",
                json={"to_stage": "discovery"},
                headers={**world_of.headers, "If-Match": '"1"'},
            )
            assert response.json()["outcome"] == "rejected"
        found = await world_of.decisions(41)
        assert sorted(d.decision_no for d in found) == list(range(1, 42))
        assert [d.decision_no for d in found] == sorted(d.decision_no for d in found)


class TestScoreReach:
    async def profile(self, world_of: Tenant, scores: Sequence[str], version: int) -> None:
        message = ScoringProfilePublished(
            profile_id="p1", assessment_key="prospecting", assessment_version=1, version=version, scale=SCALE_RAW,
            reachable_min=scores[0], reachable_max=scores[-1], reachable_scores=scores,
        )  # fmt: skip
        await world_of.service.publish(message, tenant=world_of.tenant, sequence=version)

    async def test_published_points_are_what_thresholds_are_checked_against(
        self, world_of: Tenant, eventually: Any
    ) -> None:
        client, headers = world_of.service.client, world_of.headers
        await client.post("/v1/pipelines", json=templates()["field_example"], headers=headers)
        await self.profile(world_of, ["10", "20", "40", "50", "70"], 2)
        await self.profile(world_of, ["1", "2"], 1)

        async def found(code: str) -> Any:
            report = (await client.post("/v1/pipelines/field_example/lint", headers=headers)).json()
            matches = [f for f in report["findings"] if f["code"] == code]
            assert matches, report
            return matches[0]

        selective = await eventually(lambda: found("threshold_selective"))
        assert selective["witness"] == {"prospecting.score": "70"}
        await self.profile(world_of, ["10", "60"], 3)
        unreachable = await eventually(lambda: found("threshold_unreachable"))
        assert "at most 60" in unreachable["message"]
        refused = await client.post("/v1/pipelines/field_example/publish", headers=headers)
        assert refused.status_code == 422
