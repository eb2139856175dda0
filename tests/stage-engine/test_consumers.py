"""Events in and out of the stage engine on a real database and broker."""

from typing import Any

import pytest
from kit.ids import uuid7
from stage_engine.domain.evaluate import EngineDisagreement, Ruleset
from stagecraft.crm.v1 import record_observed_pb2 as crm
from stagecraft.stage.v1 import stage_changed_pb2 as changed
from stagecraft.stage.v1 import stage_decided_pb2 as decided
from testing.service import ServiceUnderTest

from tests.stage_engine import Tenant, codes

pytestmark = pytest.mark.stack


class TestTheFieldExample:
    @pytest.mark.capability(8, 13, 14)
    async def test_evidence_carries_an_opportunity_from_first_observation_to_the_win(
        self, world_of: Tenant, eventually: Any
    ) -> None:
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
        assert by_stage["closed_won"]["claimed"] == {
            "opportunities": 1,
            "amounts": [{"currency": "", "amount": "1000"}],
        }
        assert by_stage["closed_won"]["earned"]["opportunities"] == 1
        assert (by_stage["prospecting"]["entered"], by_stage["prospecting"]["conversion"]["value"]) == (1, "1")
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


class TestBadEvents:
    async def test_are_put_aside_and_hold_up_nothing_else(self, world_of: Tenant, eventually: Any) -> None:
        await world_of.publish_pipeline()
        await world_of.observe("o1", "prospecting")
        await world_of.changes(1)
        for score in ("NaN", "1e40", "high"):
            await world_of.score(f"bad {score}", "prospecting", score, ("prospecting", 1))
        await world_of.observe("bad", "demo", kind=crm.OBSERVATION_KIND_UNSPECIFIED)
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
