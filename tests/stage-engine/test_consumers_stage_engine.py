"""Events in and out of the stage engine on a real database and broker."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from google.protobuf.timestamp_pb2 import Timestamp
from kit.ids import utc_now, uuid7
from stage_engine.domain.evaluate import EngineDisagreement, Ruleset
from stage_engine.tasks import check_one, measure_gap
from stage_engine.templates import templates
from stage_engine.tenants import Tenants
from stagecraft.crm.v1 import opportunity_observed_pb2 as crm
from stagecraft.crm.v1.crm_write_confirmed_pb2 import CrmWriteConfirmed
from stagecraft.crm.v1.crm_write_parked_pb2 import CrmWriteParked
from stagecraft.scoring.v1.scoring_profile_published_pb2 import SCALE_RAW, ScoringProfilePublished
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored
from stagecraft.stage.v1 import stage_changed_pb2 as changed
from stagecraft.stage.v1 import stage_decided_pb2 as decided
from stagecraft.stage.v1.stage_changed_pb2 import StageChanged
from stagecraft.stage.v1.stage_decided_pb2 import StageDecided
from testing.service import ServiceUnderTest, eventually

pytestmark = pytest.mark.stack


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def engine(start_service: Any) -> AsyncIterator[ServiceUnderTest]:
    yield await start_service("stage_engine", parked_submission_limit=5)


def stamp(moment: datetime) -> Timestamp:
    value = Timestamp()
    value.FromDatetime(moment.astimezone(UTC).replace(tzinfo=None))
    return value


class Tenant:
    """What other services tell the engine about one tenant, and what it answers."""

    def __init__(self, service: ServiceUnderTest, tenant: str) -> None:
        self.service = service
        self.tenant = tenant
        self.headers = service.headers(tenant)

    async def get(self, path: str) -> Any:
        response = await self.service.client.get(path, headers=self.headers)
        assert response.status_code == 200, response.text
        return response.json()

    async def publish_pipeline(self, **changes: Any) -> None:
        document = {**templates()["field_example"], **changes}
        made = await self.service.client.post("/v1/pipelines", json=document, headers=self.headers)
        assert made.status_code == 201, made.text
        done = await self.service.client.post(f"/v1/pipelines/{document['key']}/publish", headers=self.headers)
        assert done.status_code == 201, done.text

    async def observe(self, opportunity_id: str, stage: str, **given: Any) -> crm.OpportunityObserved:
        fields: dict[str, Any] = {
            "kind": crm.OBSERVATION_KIND_UPDATED,
            "stage_key": stage,
            "crm_stage": stage.title(),
            "amount": "1000",
            "owner_id": "rita",
            "changed_by": "carl",
            "change_id": str(uuid7()),
            "committed_at": stamp(utc_now()),
        }
        message = crm.OpportunityObserved(opportunity_id=opportunity_id, **{**fields, **given})
        await self.service.publish(message, tenant=self.tenant)
        return message

    async def score(
        self, opportunity_id: str, assessment: str, score: str, visit: tuple[str, int], **given: Any
    ) -> SubmissionScored:
        message = SubmissionScored(
            score_id=str(uuid7()),
            submission_id=given.pop("submission_id", str(uuid7())),
            opportunity_id=opportunity_id,
            assessment_key=assessment,
            assessment_version=1,
            profile_id="p1",
            profile_version=1,
            scale=SCALE_RAW,
            score=score,
            raw_points=score,
            complete=True,
            submitted_by="rita",
            attempt_no=given.pop("attempt_no", 1),
        )
        message.visit.stage_key, message.visit.visit_no = visit
        for name in ("captured_at", "received_at", "scored_at"):
            getattr(message, name).CopyFrom(stamp(given.get(name, utc_now())))
        for question, points, most in (("compliance", "0", "30"), ("hours", score, "40")):
            message.contributions.add(question_key=question, points=points, max_points=most)
        await self.service.publish(message, tenant=self.tenant, event_id=given.get("event_id"))
        return message

    async def decisions(self, count: int) -> list[StageDecided]:
        return [e.message for e in await self.service.events(StageDecided, tenant=self.tenant, count=count)]

    async def changes(self, count: int) -> list[StageChanged]:
        return [e.message for e in await self.service.events(StageChanged, tenant=self.tenant, count=count)]

    async def parked(self) -> int:
        connection = await asyncpg.connect(self.service.owner_url)
        try:
            await connection.execute("SELECT set_config('app.tenant_id', $1, false)", self.tenant)
            return await connection.fetchval("SELECT count(*) FROM parked_event")
        finally:
            await connection.close()


@pytest_asyncio.fixture(loop_scope="session")
async def world_of(engine: ServiceUnderTest, tenant: str) -> Tenant:
    return Tenant(engine, tenant)


def codes(decision: StageDecided) -> list[str]:
    return [reason.code for reason in decision.reasons]


class TestTheFieldExample:
    async def test_evidence_carries_a_deal_from_first_sight_to_the_win(self, world_of: Tenant, eventually: Any) -> None:
        await world_of.publish_pipeline()
        await world_of.observe("o1", "prospecting", kind=crm.OBSERVATION_KIND_IMPORTED)
        await world_of.changes(1)
        low = await world_of.score("o1", "prospecting", "40", ("prospecting", 1))
        high = await world_of.score("o1", "prospecting", "70", ("prospecting", 1), attempt_no=2)
        await world_of.changes(2)
        for stage, assessment, visit_no in (
            ("discovery", "discovery", 2), ("demo", "demo", 3), ("negotiation", "sales_feedback", 4),
        ):  # fmt: skip
            await world_of.score("o1", assessment, "100", (stage, visit_no))
            await world_of.changes(visit_no + 1)

        moves = await world_of.changes(5)
        assert [(m.revision, m.from_stage, m.to_stage, m.visit_no) for m in moves] == [
            (1, "", "prospecting", 1),
            (2, "prospecting", "discovery", 2),
            (3, "discovery", "demo", 3),
            (4, "demo", "negotiation", 4),
            (5, "negotiation", "closed_won", 5),
        ]
        assert [m.kind for m in moves] == [
            changed.TRANSITION_KIND_ADOPT,
            *[changed.TRANSITION_KIND_ADVANCE] * 3,
            changed.TRANSITION_KIND_CLOSE_WON,
        ]
        assert [m.cause for m in moves] == [changed.CAUSE_IMPORT, *[changed.CAUSE_RULE] * 4]
        assert (moves[1].rule_id, moves[1].submission_id) == ("prospecting_to_discovery", high.submission_id)

        all_decisions = await world_of.decisions(6)
        assert [d.decision_no for d in all_decisions] == [1, 2, 3, 4, 5, 6]
        first, refused, accepted = all_decisions[:3]
        assert (first.input_kind, first.crm_target_stage) == (decided.INPUT_KIND_OBSERVATION, "")
        assert (refused.outcome, codes(refused), refused.margin) == (decided.OUTCOME_REJECTED, ["FAILED"], "-20")
        assert (refused.reasons[0].fact, refused.reasons[0].margin) == ("prospecting.score", "-20")
        assert list(refused.near_misses[0].question_keys) == ["compliance"]
        assert refused.submission == low and not refused.HasField("change")
        assert (accepted.input_id, accepted.margin) == (high.submission_id, "10")
        assert accepted.submission == high and accepted.change == moves[1]
        assert (accepted.crm_expected_stage, accepted.crm_target_stage) == ("prospecting", "discovery")

        await world_of.score("o1", "sales_feedback", "100", ("negotiation", 4), attempt_no=2)
        assert codes((await world_of.decisions(7))[-1]) == ["TERMINAL"]
        funnel = await world_of.get("/v1/funnel")
        by_stage = {s["key"]: s for s in funnel["stages"]}
        assert by_stage["closed_won"]["claimed"] == {"deals": 1, "amount": "1000"}
        assert by_stage["closed_won"]["earned"]["deals"] == 1
        assert (by_stage["prospecting"]["entered"], by_stage["prospecting"]["conversion"]) == (1, "1.0000")
        for item in (await world_of.get("/v1/opportunities/o1/decisions"))["items"]:
            response = await world_of.service.client.post(
                f"/v1/decisions/{item['decision_id']}/replay", headers=world_of.headers
            )
            assert response.json()["identical"] is True

    async def test_a_delivery_repeated_in_any_form_is_one_decision(self, world_of: Tenant) -> None:
        await world_of.publish_pipeline()
        sight = await world_of.observe("o1", "prospecting")
        await world_of.changes(1)
        event_id = uuid7()
        first = await world_of.score("o1", "prospecting", "70", ("prospecting", 1), event_id=event_id)
        await world_of.service.publish(first, tenant=world_of.tenant, event_id=event_id)
        await world_of.service.publish(first, tenant=world_of.tenant)
        await world_of.service.publish(sight, tenant=world_of.tenant)
        await world_of.score("o1", "discovery", "10", ("discovery", 2))
        all_decisions = await world_of.decisions(3)
        assert [d.decision_no for d in all_decisions] == [1, 2, 3]
        assert len(await world_of.changes(2)) == 2

    async def test_two_tenants_with_the_same_ids_do_not_meet(self, engine: ServiceUnderTest, world_of: Tenant) -> None:
        other = Tenant(engine, f"{world_of.tenant}-b")
        for each in (world_of, other):
            await each.publish_pipeline()
            await each.observe("o1", "prospecting")
            await each.changes(1)
        await world_of.score("o1", "prospecting", "70", ("prospecting", 1))
        await world_of.changes(2)
        assert (await other.get("/v1/opportunities/o1"))["claimed_stage"] == "prospecting"
        assert (await world_of.get("/v1/opportunities/o1"))["claimed_stage"] == "discovery"


class TestWaiting:
    async def test_a_score_of_an_unknown_deal_waits_for_it(self, world_of: Tenant, eventually: Any) -> None:
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

    async def test_deals_seen_before_any_pipeline_are_placed_by_its_publication(
        self, world_of: Tenant, eventually: Any
    ) -> None:
        await world_of.observe("o1", "prospecting")
        await world_of.observe("o1", "demo")
        await world_of.observe("o2", "negotiation")
        await world_of.score("o2", "sales_feedback", "100", ("negotiation", 1))

        async def all_wait() -> None:
            assert await world_of.parked() == 4

        await eventually(all_wait)
        await world_of.publish_pipeline()
        moves = await world_of.changes(4)
        assert [m.to_stage for m in moves if m.opportunity_id == "o1"] == ["prospecting", "demo"]
        assert [m.to_stage for m in moves if m.opportunity_id == "o2"] == ["negotiation", "closed_won"]
        assert await world_of.parked() == 0

    async def test_a_deal_keeps_the_version_it_was_first_seen_in(self, world_of: Tenant) -> None:
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
            intent_id="i1", opportunity_id="o1", stage_key="discovery", revision=2, confirmed_at=utc_now()
        )
        await world_of.service.publish(confirmed, tenant=world_of.tenant)
        await eventually(lambda: self.sync_is(world_of, state="agreed", base_stage="discovery"))
        await world_of.score("o1", "discovery", "90", ("discovery", 2))
        assert (await world_of.decisions(3))[-1].crm_expected_stage == "discovery"

    async def test_a_write_told_after_the_edit_that_followed_it_does_not_hide_the_edit(self, world_of: Tenant) -> None:
        await self.moved(world_of)
        sight = crm.OpportunityObserved(
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

    async def test_an_unmapped_stage_quarantines_the_deal(self, world_of: Tenant) -> None:
        await self.moved(world_of)
        await world_of.observe("o1", "", crm_stage="Legal")
        decision = (await world_of.decisions(3))[-1]
        assert codes(decision) == ["UNMAPPED_STAGE"]
        await self.sync_is(world_of, state="quarantined", observed_crm_stage="Legal")

    async def test_commands_and_events_on_one_deal_leave_no_gap(self, world_of: Tenant, eventually: Any) -> None:
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


class TestBadEvents:
    async def test_are_put_aside_and_hold_up_nobody(self, world_of: Tenant, eventually: Any) -> None:
        await world_of.publish_pipeline()
        await world_of.observe("o1", "prospecting")
        await world_of.changes(1)
        for score in ("NaN", "1e40", "high"):
            await world_of.score("o1", "prospecting", score, ("prospecting", 1))
        await world_of.observe("o1", "demo", kind=crm.OBSERVATION_KIND_UNSPECIFIED)
        await world_of.score("o1", "prospecting", "70", ("prospecting", 1))
        await world_of.changes(2)

        async def put_aside() -> None:
            letters = (await world_of.get("/v1/dead-letters"))["items"]
            assert sorted(letter["code"] for letter in letters) == ["bad_decimal"] * 3 + ["unknown_value"]

        await eventually(put_aside)

    async def test_an_engine_that_disagrees_moves_nothing(
        self, world_of: Tenant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await world_of.publish_pipeline()
        await world_of.observe("o1", "prospecting")
        await world_of.changes(1)

        def disagree(self: Ruleset, stage_key: str, facts: Any) -> Any:
            raise EngineDisagreement(stage_key, [], ["x"])

        with monkeypatch.context() as patch:
            patch.setattr(Ruleset, "hits", disagree)
            await world_of.score("o1", "prospecting", "70", ("prospecting", 1))
            decision = (await world_of.decisions(2))[-1]
        assert (decision.outcome, codes(decision)) == (decided.OUTCOME_REJECTED, ["ENGINE_DISAGREEMENT"])
        metrics = (await world_of.service.client.get("/metrics")).text
        assert 'stage_engine_faults_total{code="ENGINE_DISAGREEMENT"}' in metrics


class TestTables:
    async def test_history_cannot_be_rewritten_by_the_application(self, engine: ServiceUnderTest) -> None:
        from sqlalchemy import text
        from sqlalchemy.exc import ProgrammingError

        for table in ("decision", "transition", "pipeline_version"):
            for statement in (f"UPDATE {table} SET tenant_id = tenant_id", f"DELETE FROM {table}"):
                with pytest.raises(ProgrammingError, match="permission denied"):
                    async with engine.database.engine.begin() as connection:
                        await connection.execute(text(statement))


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


class TestKpis:
    async def test_the_funnel_judges_no_deal_too_early_and_counts_each_once(self, world_of: Tenant) -> None:
        await world_of.publish_pipeline()
        long_ago = utc_now() - timedelta(days=200)
        for number, stage in enumerate(("prospecting", "prospecting", "discovery", "negotiation")):
            await world_of.observe(f"o{number}", stage, committed_at=stamp(long_ago), amount=str(100 * (number + 1)))
        await world_of.observe("young", "prospecting", amount="50")
        await world_of.changes(5)
        soon = long_ago + timedelta(days=10)
        await world_of.observe("o0", "discovery", committed_at=stamp(soon), amount="100")
        await world_of.observe("o0", "prospecting", committed_at=stamp(soon + timedelta(days=1)), amount="100")
        await world_of.observe("o0", "discovery", committed_at=stamp(soon + timedelta(days=2)), amount="100")
        await world_of.changes(8)
        stages = {s["key"]: s for s in (await world_of.get("/v1/funnel"))["stages"]}
        first = stages["prospecting"]
        assert (first["entered"], first["censored"], first["reached_later"]) == (3, 1, 1)
        assert (first["conversion"], first["strict_conversion"]) == ("0.5000", "0.5000")
        assert (first["claimed"], first["earned"]["deals"]) == ({"deals": 2, "amount": "250"}, 5)
        assert stages["demo"]["conversion"] is None

        gap = await world_of.get("/v1/optimism-gap")
        assert gap["overall"]["open"] == {"deals": 5, "amount": "1050"}
        assert gap["overall"]["ahead"] == {"deals": 3, "amount": "800"}
        assert Decimal(gap["overall"]["gap"]) == Decimal("0.7619")
        assert Decimal(gap["by_owner"][0]["mean_rank_gap"]) == 1


async def metric(service: ServiceUnderTest, name: str) -> float:
    """The value of a metric, given as a line of /metrics begins with it."""
    lines = (await service.client.get("/metrics")).text.splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)


class TestBackground:
    async def test_stored_decisions_are_decided_again_and_a_changed_one_is_found(self, world_of: Tenant) -> None:
        runtime, same = world_of.service.runtime, 'stage_replays_total{outcome="same"}'
        await world_of.publish_pipeline()
        await world_of.observe("o1", "prospecting")
        await world_of.changes(1)
        await world_of.score("o1", "prospecting", "70", ("prospecting", 1))
        made = {UUID(d.decision_id) for d in await world_of.decisions(2)}
        assert await metric(world_of.service, "stage_decision_latency_seconds_count") > 0
        before = await metric(world_of.service, same)
        assert {await check_one(runtime, world_of.tenant, place) for place in (0.0, 0.5, 1.0)} <= made
        # The check also runs by itself.
        assert await metric(world_of.service, same) >= before + 3
        assert runtime.resources.get(Tenants).any()
        connection = await asyncpg.connect(world_of.service.owner_url)
        await connection.execute("SELECT set_config('app.tenant_id', $1, false)", world_of.tenant)
        await connection.execute(
            "UPDATE decision SET after = replace(after, 'discovery', 'demo') WHERE decision_no = 2"
        )
        await connection.close()
        different = await metric(world_of.service, 'stage_replays_total{outcome="different"}')
        await check_one(runtime, world_of.tenant, 1.0)
        assert await metric(world_of.service, 'stage_replays_total{outcome="different"}') > different
        assert await check_one(runtime, "nobody", 0.5) is None

    async def test_the_check_runs_by_itself(self, start_service: Any) -> None:
        own = await start_service("stage_engine", replay_check_seconds=0.05)
        tenant = Tenant(own, "acme")
        await tenant.publish_pipeline()
        await tenant.observe("o1", "prospecting")
        await tenant.changes(1)
        checked = await metric(own, 'stage_replays_total{outcome="same"}')

        async def more() -> None:
            assert await metric(own, 'stage_replays_total{outcome="same"}') > checked

        await eventually(more)

    async def test_what_waits_and_the_gap_are_counted_over_all_tenants(self, start_service: Any) -> None:
        own = await start_service("stage_engine", replay_check_seconds=0)
        waiting = 'waiting_items{service="stage-engine",what="%s"}'
        for name in ("acme", "umbrella"):
            tenant = Tenant(own, name)
            await tenant.score("unseen", "prospecting", "70", ("prospecting", 1))
            await tenant.publish_pipeline()
            await tenant.observe("o1", "prospecting")
            await tenant.observe("o2", "", crm_stage="Renamed")
            await tenant.observe("o3", "demo", kind=crm.OBSERVATION_KIND_UPDATED)
            await tenant.decisions(3)

        async def counted() -> None:
            assert await metric(own, waiting % "parked_events") == 2
            assert await metric(own, waiting % "quarantined_opportunities") == 2
            assert await metric(own, waiting.replace("items", "oldest_age_seconds") % "parked_events") > 0

        await eventually(counted)
        stop = asyncio.Event()
        task = asyncio.create_task(measure_gap(own.runtime, stop))

        async def measured() -> None:
            assert await metric(own, "stage_open_opportunities") == 4

        await eventually(measured)
        stop.set()
        await task
