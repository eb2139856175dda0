"""From events to recommendations, on a real database and broker."""

import asyncio
import random
from datetime import UTC

import pytest
from kit.ids import uuid7
from stagecraft.recommendation.v1.stage_recommended_pb2 import StageRecommended
from stagecraft.stage.v1.stage_changed_pb2 import TRANSITION_KIND_REGRESS, TRANSITION_KIND_REOPEN
from stagecraft.stage.v1.stage_decided_pb2 import (
    INPUT_KIND_OBSERVATION,
    INPUT_KIND_SUBMISSION,
    OUTCOME_ACCEPTED,
    StageDecided,
)

from tests.builders import record_observed

pytestmark = pytest.mark.stack

GOOD_HISTORY = {("70", "discovery"): 180, ("70", "closed_lost"): 20, ("40", "closed_lost"): 60}
TO_DISCOVERY = ("prospecting", "fit", "70", "discovery")


class TestRecommending:
    @pytest.mark.capability(9)
    async def test_a_score_gets_the_stage_where_such_opportunities_went(self, world, say):
        await world.train(GOOD_HISTORY)
        await world.tell(say.stage_changed("opportunity", 1, "prospecting"))
        await world.tell(say.scored("opportunity"))
        recommendation = await world.recommendation("opportunity")
        assert recommendation["recommended_stage"] == "discovery"
        assert recommendation["abstention_code"] is None
        assert recommendation["reasons"]["level"] == "band"
        assert recommendation["reasons"]["counts"] == {"discovery": 180, "closed_lost": 20}

        found = await world.service.events(StageRecommended, tenant=world.tenant, count=261)
        (event,) = [event for event in found if event.message.opportunity_id == "opportunity"]
        assert (event.sequence, str(event.id)) == (1, recommendation["recommendation_id"])
        message = event.message
        assert (message.pipeline_key, message.current_stage) == ("sales", "prospecting")
        assert (message.recommended_stage, message.abstained, message.support) == ("discovery", False, 200)
        assert (message.submission_id, message.model_version) == ("opportunity-s1", recommendation["model_version"])
        assert sum(p.probability for p in message.probabilities) == pytest.approx(1)
        assert message.probabilities[0].stage_key == "discovery"
        assert (
            message.recommended_at.ToDatetime(UTC)
            .isoformat()
            .startswith(recommendation["recommended_at"].removesuffix("Z"))
        )

    async def test_a_fresh_tenant_abstains(self, world, say):
        await world.define()
        await world.tell(say.stage_changed("opportunity", 1, "prospecting"))
        await world.tell(say.scored("opportunity"))
        recommendation = await world.recommendation("opportunity")
        assert recommendation["abstention_code"] == "COLD_START"
        assert recommendation["recommended_stage"] is None
        (event,) = await world.service.events(StageRecommended, tenant=world.tenant, count=1)
        assert (event.message.abstained, event.message.abstention_code) == (True, "COLD_START")
        assert event.message.recommended_stage == ""

    async def test_where_history_is_divided_it_abstains(self, world, say):
        await world.train({("70", "discovery"): 105, ("70", "closed_lost"): 100})
        await world.apply(say.stage_changed("opportunity", 1, "prospecting"))
        await world.apply(say.scored("opportunity"))
        assert (await world.recommendation("opportunity"))["abstention_code"] == "LOW_CONFIDENCE"

    async def test_an_opportunity_does_not_learn_from_itself(self, world, say):
        await world.train(GOOD_HISTORY)
        await world.apply(
            say.stage_changed("opportunity", 1, "prospecting"), say.stage_changed("opportunity", 2, "closed_lost")
        )
        await world.apply(say.scored("opportunity"))
        reasons = (await world.recommendation("opportunity"))["reasons"]
        assert reasons["counts"] == {"discovery": 180, "closed_lost": 20}
        assert (await world.counts())["prospecting", "fit", "70", "closed_lost"] == 21

    async def test_a_blocked_score_is_a_class_of_its_own(self, world, say):
        await world.train(GOOD_HISTORY)
        await world.apply(say.stage_changed("opportunity", 1, "prospecting"))
        await world.apply(say.scored("opportunity", score=""))
        reasons = (await world.recommendation("opportunity"))["reasons"]
        assert (reasons["band"], reasons["level"]) == ("incomplete", "assessment")

    async def test_every_score_is_recommended_on_and_numbered(self, world, say):
        await world.define()
        await world.apply(say.stage_changed("opportunity", 1, "prospecting"))
        await world.apply(
            say.scored("opportunity", "a"),
            say.scored("opportunity", "b", at=12),
            say.scored("opportunity", "a", scoring=2),
        )
        found = await world.service.events(StageRecommended, tenant=world.tenant, count=3)
        assert [event.sequence for event in found] == [1, 2, 3]
        assert [event.message.submission_id for event in found] == ["a", "b", "a"]
        assert len({event.id for event in found}) == 3


class TestParking:
    @pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [3, 0, 2, 1], [1, 3, 0, 2]])
    async def test_a_recommendation_waits_for_what_it_needs_in_any_order(self, world, say, order):
        messages = [
            say.pipeline(),
            say.profile(),
            say.stage_changed("opportunity", 1, "prospecting"),
            say.scored("opportunity"),
        ]
        for index in order[:-1]:
            await world.apply(messages[index])
            assert (await world.get("/v1/opportunities/opportunity/recommendation")).status_code == 404
        expected = 1 if 3 in order[:-1] else 0
        assert sum((await world.get("/v1/model")).json()["waiting"].values()) == expected
        await world.apply(messages[order[-1]])
        assert (await world.recommendation("opportunity"))["recommendation_no"] == 1
        assert (await world.get("/v1/model")).json()["waiting"] == {}

    async def test_a_submission_waits_for_its_own_visit(self, world, say):
        await world.define()
        await world.apply(say.stage_changed("opportunity", 1, "prospecting"))
        await world.apply(say.scored("opportunity", visit=(2, "discovery")))
        assert (await world.get("/v1/model")).json()["waiting"] == {"visit": 1}
        await world.apply(say.stage_changed("opportunity", 2, "discovery"))
        assert (await world.recommendation("opportunity"))["stage_at_capture"] == "discovery"

    async def test_a_late_profile_makes_finished_opportunities_teach(self, world, say):
        await world.apply(say.pipeline())
        await world.apply(
            say.stage_changed("opportunity", 1, "prospecting"), say.stage_changed("opportunity", 2, "discovery")
        )
        await world.apply(say.scored("opportunity"))
        assert await world.counts() == {}
        await world.apply(say.profile())
        assert await world.counts() == {TO_DISCOVERY: 1}

    async def test_a_rescoring_by_a_known_profile_ends_the_wait(self, world, say):
        await world.define()
        await world.apply(say.stage_changed("opportunity", 1, "prospecting"))
        await world.apply(say.scored("opportunity", profile_id="unknown"))
        await world.apply(say.scored("opportunity", scoring=2))
        await world.apply(say.profile("unknown"))
        found = await world.service.events(StageRecommended, tenant=world.tenant, count=1)
        assert [event.sequence for event in found] == [1]


class TestLearning:
    async def test_redelivery_changes_nothing(self, world, say):
        await world.define()
        event_id = uuid7()
        history = [say.stage_changed("opportunity", 1, "prospecting"), say.stage_changed("opportunity", 2, "discovery")]
        for _ in range(2):
            await world.tell(*history)
            await world.publish(say.scored("opportunity"), event_id=event_id)
        await world.recommendation("opportunity")
        await world.tell(say.stage_changed("z-last", 1, "prospecting"))
        await world.tell(say.scored("z-last"), say.scored("opportunity"))
        await world.recommendation("z-last")

        async def settled():
            assert await world.counts() == {TO_DISCOVERY: 1}
            assert await world.totals() == {"ended_visits": 1}

        await world.eventually(settled)
        found = await world.service.events(StageRecommended, tenant=world.tenant, count=2)
        assert sorted(event.message.opportunity_id for event in found) == ["opportunity", "z-last"]

    @pytest.mark.parametrize("seed", [1, 2, 3])
    async def test_any_order_of_topics_and_batches_gives_the_same_table(self, world, other_world, say, seed):
        draw = random.Random(seed)
        opportunities = [f"opportunity-{number}" for number in range(12)]
        visits, scores = [], []
        for opportunity in opportunities:
            stages = ["prospecting", *draw.choices(["discovery", "demo", "closed_lost"], k=draw.randint(0, 3))]
            for visit_no, stage in enumerate(stages, 1):
                kind = draw.choice([1, TRANSITION_KIND_REGRESS, TRANSITION_KIND_REOPEN]) if visit_no > 1 else 1
                visits.append(say.stage_changed(opportunity, visit_no, stage, kind=kind))
            for number in range(draw.randint(0, 4)):
                visit_no = draw.randint(1, len(stages))
                scores.append(
                    say.scored(
                        opportunity,
                        f"{opportunity}-s{draw.randint(0, 2)}",
                        draw.choice(["40", "70"]),
                        visit=(visit_no, stages[visit_no - 1]),
                        at=10 * visit_no + draw.randint(0, 12),
                        scoring=number,
                    )
                )
        await world.define()
        await world.apply(*visits)
        await world.apply(*scores)

        queues = [list(visits), list(scores), [say.pipeline()], [say.profile()]]
        while queues:
            queue = draw.choice(queues)
            size = draw.randint(1, 7)
            await other_world.apply(*queue[:size])
            del queue[:size]
            queues = [queue for queue in queues if queue]
        assert await world.counts() == await other_world.counts() != {}
        assert await world.totals() == await other_world.totals()
        answers = [(await each.get("/v1/model")).json() for each in (world, other_world)]
        assert answers[0]["pipelines"] == answers[1]["pipelines"]

    async def test_two_topics_completing_one_case_at_once_do_not_lose_it(self, world, say):
        await world.define()
        opportunities = [f"opportunity-{number}" for number in range(20)]
        await world.apply(*[say.stage_changed(opportunity, 1, "prospecting") for opportunity in opportunities])
        await asyncio.gather(
            *[world.apply(say.scored(opportunity)) for opportunity in opportunities],
            *[world.apply(say.stage_changed(opportunity, 2, "discovery")) for opportunity in opportunities],
        )
        assert await world.counts() == {TO_DISCOVERY: 20}

    async def test_a_regress_and_a_reopening_revise_what_was_learned(self, world, say):
        await world.train({("70", "closed_lost"): 1})
        opportunity = "past-70-closed_lost-0"
        assert await world.totals() == {"ended_visits": 1, "lost": 1}
        reopened = say.stage_changed(opportunity, 3, "prospecting", kind=TRANSITION_KIND_REOPEN, cycle_no=2)
        await world.apply(reopened)
        assert await world.counts() == {("prospecting", "fit", "70", "prospecting"): 1}
        assert await world.totals() == {"ended_visits": 1}

    async def test_a_rescoring_moves_the_case_to_its_new_band(self, world, say):
        await world.train({("40", "discovery"): 1})
        await world.apply(say.scored("past-40-discovery-0", score="70", scoring=2))
        assert await world.counts() == {TO_DISCOVERY: 1}


class TestContext:
    async def test_claims_of_the_crm_and_decisions_of_the_engine_stand_beside_it(self, world, say):
        await world.define()
        claim = record_observed(opportunity_id="opportunity", stage_key="demo")
        decision = StageDecided(
            opportunity_id="opportunity",
            decision_no=1,
            outcome=OUTCOME_ACCEPTED,
            to_stage="discovery",
            input_kind=INPUT_KIND_SUBMISSION,
            input_id="opportunity-s1",
        )
        decision.decided_at.FromDatetime(say.day(12))
        other = StageDecided()
        other.CopyFrom(decision)
        other.MergeFrom(StageDecided(decision_no=2, to_stage="demo", input_kind=INPUT_KIND_OBSERVATION, input_id="x"))
        await world.tell(claim, sequence=5)
        await world.tell(decision, other)
        await world.tell(say.stage_changed("opportunity", 1, "prospecting"))
        await world.tell(say.scored("opportunity"))

        async def complete():
            recommendation = await world.recommendation("opportunity")
            assert recommendation["claimed_stage"] == "demo"
            assert recommendation["engine_outcome"] == "accepted"
            assert recommendation["engine_stage"] == "discovery"
            assert recommendation["current_stage"] == "prospecting"

        await world.eventually(complete)
        claim.mapped_stages[0].stage_key = "prospecting"
        await world.apply(claim, sequence=4)
        await world.apply(say.stage_changed("opportunity", 2, "discovery"))
        recommendation = await world.recommendation("opportunity")
        assert (recommendation["current_stage"], recommendation["claimed_stage"]) == ("discovery", "demo")


class TestBadInput:
    async def test_an_unreadable_number_is_put_aside_and_the_rest_goes_on(self, world, say):
        broken = say.profile("broken")
        broken.assessment_key = "another"
        broken.reachable_max = "many"
        await world.tell(broken)
        await world.tell(say.pipeline(), say.profile())
        await world.tell(say.stage_changed("opportunity", 1, "prospecting"))
        await world.tell(say.scored("another", score="NaN"))
        await world.tell(say.scored("opportunity"))
        assert (await world.recommendation("opportunity"))["submission_id"] == "opportunity-s1"

        async def put_aside():
            found = (await world.get("/v1/dead-letters", "admin")).json()["items"]
            assert sorted(letter["code"] for letter in found) == ["bad_decimal", "bad_decimal"]

        await world.eventually(put_aside)
