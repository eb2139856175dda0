"""Answers, facts and a move in one decision."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage_engine.domain.decision import Cause, Code, Outcome
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.facts import PERSON, FactInForce
from stage_engine.domain.inputs import RequestedMove, SuppliedFact
from stage_engine.domain.opportunity import Opportunity
from stage_engine.engine import compiled

from tests.decisions import after, codes

INDUSTRY = SuppliedFact("account.industry", "Retail")
SEATS = SuppliedFact("account.seats", "40")


@pytest.fixture(scope="module")
def rules(world: Any) -> Ruleset:
    """The field example; what leaves Prospecting has an industry, and what comes to Demo 20 seats at least. The rule
    out of Discovery only proposes."""
    stages = world.document()["stages"]
    stages[0] = {**stages[0], "exit": [{"key": "industry", "name": "Industry", "conditions": [
        {"fact": "account.industry", "cell": "known"}]}]}  # fmt: skip
    stages[2] = {**stages[2], "entry": [{"key": "seats", "name": "Seats", "conditions": [
        {"fact": "account.seats", "cell": ">= 20"}]}]}  # fmt: skip
    facts = [{"name": "account.industry", "type": "text"}, {"name": "account.seats", "type": "decimal"}]
    return world.ruleset(stages=stages, facts=facts, rule_1={"mode": "propose"})


def handed_in(world: Any, opportunity: Opportunity, score: str, move: RequestedMove, **given: Any) -> Any:
    return world.submission(
        opportunity.stage_key, score, opportunity, **{"move": move, "captured_at": world.start, **given}
    )


class TestMoved:
    def test_one_decision_takes_in_answers_and_facts_and_moves(self, world: Any, rules: Ruleset) -> None:
        opportunity = world.opportunity(rules=rules)
        asked = handed_in(world, opportunity, "70", RequestedMove("discovery", opportunity.revision, facts=(INDUSTRY,)))
        decision = world.decide(opportunity, asked, rules)
        moved, transition = after(decision), decision.transition
        assert (decision.outcome, moved.stage_key, moved.earned_stage) == (Outcome.ACCEPTED, "discovery", "discovery")
        assert (moved.override, moved.revision) == (None, opportunity.revision + 1)
        assert moved.facts["account.industry"] == FactInForce("account.industry", "Retail", PERSON, asked.captured_at)
        assert transition is not None
        assert (transition.cause, transition.actor, transition.submission_id) == (
            Cause.PERSON, "rita", asked.submission_id
        )  # fmt: skip
        assert decision.crm_target_stage == "discovery"
        assert (decision.move.to_stage, decision.move.refused) == ("discovery", ())

    def test_a_number_comes_as_text(self, world: Any, rules: Ruleset) -> None:
        opportunity = world.opportunity("discovery", rules=rules)
        asked = handed_in(world, opportunity, "80", RequestedMove("demo", facts=(SEATS,)))
        decision = world.decide(opportunity, asked, rules)
        assert [r.code for r in decision.move.refused] == [Code.OWN_PROPOSAL]
        freely = compiled(replace(rules.pipeline, confirm_own=True))
        decision = world.decide(opportunity, asked, freely)
        assert after(decision).stage_key == "demo"
        assert after(decision).facts["account.seats"].value == Decimal(40)

    def test_giving_up_needs_its_reason_here_too(self, world: Any, rules: Ruleset) -> None:
        opportunity = world.opportunity(rules=rules)
        without = world.decide(opportunity, handed_in(world, opportunity, "10", RequestedMove("closed_lost")), rules)
        assert [r.fact for r in without.move.refused] == ["command.reason_code"]
        asked = handed_in(world, opportunity, "10", RequestedMove("closed_lost", reason_code="PRICE"))
        decision = world.decide(opportunity, asked, rules)
        assert (after(decision).stage_key, decision.transition.reason_code) == ("closed_lost", "PRICE")
        assert "prospecting" in after(decision).scores

    def test_where_it_is_already_the_facts_count(self, world: Any, rules: Ruleset) -> None:
        opportunity = world.opportunity(rules=rules)
        asked = handed_in(world, opportunity, "10", RequestedMove("prospecting", facts=(INDUSTRY,)))
        decision = world.decide(opportunity, asked, rules)
        assert (after(decision).stage_key, decision.move.refused) == ("prospecting", ())
        assert "account.industry" in after(decision).facts


class TestRefused:
    """The answers count as without the move; the facts do not."""

    @pytest.mark.parametrize(
        ("score", "move", "given", "code"),
        [
            ("70", RequestedMove("discovery"), {}, Code.MISSING),
            ("50", RequestedMove("discovery", facts=(INDUSTRY,)), {}, Code.FAILED),
            ("70", RequestedMove("discovery", 7, facts=(INDUSTRY,)), {}, Code.STALE_REVISION),
            ("70", RequestedMove("demo", facts=(INDUSTRY, SEATS)), {}, Code.SKIP_FORBIDDEN),
            ("70", RequestedMove("moon", facts=(INDUSTRY,)), {}, Code.UNMAPPED_STAGE),
            ("70", RequestedMove("discovery", facts=(SuppliedFact("account.size", "1"),)), {}, Code.FACT_UNREAD),
            ("70", RequestedMove("discovery", facts=(SuppliedFact("account.seats", "x"),)), {}, Code.FACT_TYPE),
            ("70", RequestedMove("discovery", facts=(SuppliedFact("account.seats", True),)), {}, Code.FACT_TYPE),
            ("70", RequestedMove("discovery", facts=(SuppliedFact("opportunity.amount", "5"),)), {}, Code.FACT_UNREAD),
            ("70", RequestedMove("discovery", facts=(INDUSTRY,)), {"visit_no": 9}, Code.NOT_CURRENT_STAGE),
            ("70", RequestedMove("discovery", facts=(INDUSTRY,)), {"stage_key": "demo"}, Code.NOT_CURRENT_STAGE),
            (None, RequestedMove("discovery", facts=(INDUSTRY,)), {"unanswered": ("hours",)}, Code.MISSING),
        ],
    )
    def test_it_says_why(
        self, world: Any, rules: Ruleset, score: Any, move: RequestedMove, given: dict[str, Any], code: Code
    ) -> None:
        opportunity = world.opportunity(rules=rules)
        asked = handed_in(world, opportunity, score, move, **given)
        decision = world.decide(opportunity, asked, rules)
        assert [r.code for r in decision.move.refused][:1] == [code]
        assert set(decision.move.refused) <= set(decision.reasons)
        alone = world.decide(opportunity, replace(asked, move=None), rules)
        assert (decision.opportunity, decision.outcome) == (alone.opportunity, alone.outcome)

    def test_the_criterion_that_fails_is_named(self, world: Any, rules: Ruleset) -> None:
        opportunity = world.opportunity(rules=rules)
        decision = world.decide(opportunity, handed_in(world, opportunity, "70", RequestedMove("discovery")), rules)
        assert [(r.criterion, r.fact) for r in decision.move.refused] == [("industry", "account.industry")]
        assert after(decision).scores["prospecting"].score == 70

    def test_of_a_foreign_opportunity_nothing_is_told(self, world: Any, rules: Ruleset) -> None:
        opportunity = world.opportunity(rules=rules)
        asked = handed_in(world, opportunity, "70", RequestedMove("demo"), entitled=False, submitted_by="eve")
        decision = world.decide(opportunity, asked, rules)
        assert [r.code for r in decision.move.refused] == codes(decision) == [Code.NOT_OWNER]

    def test_a_closed_opportunity_is_not_reopened(self, world: Any, rules: Ruleset) -> None:
        closed = world.opportunity("closed_lost", rules=rules)
        decision = world.decide(closed, handed_in(world, closed, "70", RequestedMove("prospecting"),
                                                  assessment_key="prospecting"), rules)  # fmt: skip
        assert [r.code for r in decision.move.refused] == [Code.TERMINAL]

    def test_a_rule_may_move_it_all_the_same(self, world: Any) -> None:
        opportunity = world.opportunity()
        decision = world.decide(opportunity, handed_in(world, opportunity, "70", RequestedMove("demo")))
        assert (after(decision).stage_key, decision.transition.cause) == ("discovery", Cause.RULE)
        assert [r.code for r in decision.move.refused] == [Code.SKIP_FORBIDDEN]


@given(
    start=st.sampled_from(["prospecting", "discovery", "demo"]),
    score=st.sampled_from(["10", "61", "76", "90"]),
    target=st.sampled_from(["prospecting", "discovery", "demo", "negotiation", "closed_won", "closed_lost"]),
    facts=st.sets(st.sampled_from([INDUSTRY, SEATS, SuppliedFact("account.seats", "4")]), max_size=2),
    reason=st.sampled_from(["", "PRICE"]),
    skip=st.booleans(),
)
def test_it_is_the_command_given_in_the_same_breath(
    world: Any, rules: Ruleset, start: str, score: str, target: str, facts: set[SuppliedFact], reason: str, skip: bool
) -> None:
    given_facts = tuple({fact.name: fact for fact in sorted(facts, key=str)}.values())
    opportunity = world.opportunity(start, rules=rules)
    move = RequestedMove(target, opportunity.revision, reason, skip=skip, facts=given_facts)
    asked = handed_in(world, opportunity, score, move)
    decision = world.decide(opportunity, asked, rules)

    held_back = rules.held_back()
    typed = [
        world.fact(fact.name, "Retail" if fact is INDUSTRY else Decimal(str(fact.value)), PERSON, sequence=0)
        for fact in given_facts
    ]
    informed = after(world.decide(opportunity, world.facts(*typed), held_back)) if typed else opportunity
    answered = after(world.decide(informed, replace(asked, move=None), held_back))
    command = world.command(answered, target, actor="rita", role="rep", reason_code=reason, skip=skip)
    commanded = world.decide(answered, command, rules)
    if target == start:
        assert decision.move.refused == ()
        return
    assert (commanded.outcome is Outcome.ACCEPTED) == (not decision.move.refused)
    if decision.move.refused:
        alone = world.decide(opportunity, replace(asked, move=None), rules)
        assert decision.opportunity == alone.opportunity
        assert set(decision.move.refused) == set(commanded.reasons)
    else:
        assert _unnumbered(after(decision)) == _unnumbered(after(commanded))


def _unnumbered(opportunity: Opportunity) -> Opportunity:
    override = opportunity.override
    return opportunity.changed(decision_no=0, override=override and replace(override, role=""))
