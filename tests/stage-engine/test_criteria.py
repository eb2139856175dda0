"""Criteria and milestones: what a move is held to, and what is remembered."""

from decimal import Decimal
from typing import Any

import pytest
from stage_engine.domain.criteria import criteria_now
from stage_engine.domain.decision import Cause, Code, Outcome, TransitionKind
from stage_engine.domain.document import from_document
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.opportunity import Opportunity
from stage_engine.engine import compiled
from stage_engine.templates import templates

from tests.decisions import OVERRIDE, after, codes, kind


@pytest.fixture(scope="module")
def sheet() -> Ruleset:
    return compiled(from_document(templates()["exit_criteria"], 1))


def qualified(world: Any, opportunity: Opportunity, total: int, budget: int, authority: int, **given: Any) -> Any:
    details = (("sections.budget", Decimal(budget)), ("sections.authority", Decimal(authority)))
    return world.submission("qualification", str(total), opportunity, details=details, **given)


class TestExitCriteriaSheet:
    """Total at least 84, budget and authority at least 10 each; one stage back when a dimension falls."""

    @pytest.mark.parametrize(
        ("figures", "short"),
        [
            ((84, 10, 10), []),
            ((83, 10, 10), ["total"]),
            ((84, 9, 10), ["budget"]),
            ((84, 10, 9), ["authority"]),
            ((50, 0, 0), ["authority", "budget", "total"]),
        ],
    )
    def test_all_of_it_is_needed(self, world: Any, sheet: Ruleset, figures: Any, short: list[str]) -> None:
        opportunity = world.opportunity("discovery", rules=sheet)
        decision = world.decide(opportunity, qualified(world, opportunity, *figures), sheet)
        assert after(decision).stage_key == ("discovery" if short else "proposal")
        assert after(decision).earned_stage == ("discovery" if short else "proposal")
        if short:
            now = criteria_now(after(decision), sheet, world.start)
            assert sorted(each.criterion.key for each in now if not each.met) == short

    @pytest.mark.parametrize(("budget", "authority", "reason"), [(9, 10, "BUDGET_FELL"), (10, 9, "AUTHORITY_FELL")])
    def test_one_stage_back_when_a_dimension_falls(
        self, world: Any, sheet: Ruleset, budget: int, authority: int, reason: str
    ) -> None:
        opportunity = world.opportunity("discovery", rules=sheet)
        opportunity = after(world.decide(opportunity, qualified(world, opportunity, 90, 12, 12), sheet))
        assert opportunity.stage_key == "proposal"
        same = world.decide(opportunity, qualified(world, opportunity, 70, 10, 10), sheet)
        assert same.outcome is not Outcome.ACCEPTED
        back = world.decide(opportunity, qualified(world, opportunity, 90, budget, authority), sheet)
        assert (kind(back), after(back).stage_key) == (TransitionKind.REGRESS, "discovery")
        assert back.transition is not None
        assert (back.transition.cause, back.transition.reason_code) == (Cause.RULE, reason)
        assert after(back).earned_stage == "discovery"
        assert Code.NO_LONGER_SUPPORTED in codes(back)

    def test_a_person_is_held_to_them_and_learns_what_is_missing(self, world: Any, sheet: Ruleset) -> None:
        opportunity = world.opportunity("discovery", rules=sheet)
        opportunity = after(world.decide(opportunity, qualified(world, opportunity, 90, 8, 12), sheet))
        refused = world.decide(opportunity, world.command(opportunity, "proposal"), sheet)
        assert refused.outcome is Outcome.REJECTED
        assert [(r.criterion, r.code) for r in refused.reasons] == [("budget", Code.FAILED)]
        assert refused.reasons[0].message == (
            "The buyer has the budget: qualification.sections.budget is 8; needed: >= 10; 2 points short"
        )
        forced = world.decide(opportunity, world.command(opportunity, "proposal", **OVERRIDE), sheet)
        assert forced.outcome is Outcome.ACCEPTED
        assert (after(forced).earned_stage, after(forced).override is not None) == ("discovery", True)

    def test_an_advisory_one_holds_nothing_back(self, world: Any, sheet: Ruleset) -> None:
        far = world.opportunity("proposal", rules=sheet, close_date="2030-01-01")
        far = after(world.decide(far, world.facts(world.fact("contacts.decision_makers", 1)), sheet))
        unmet = [c.criterion.key for c in criteria_now(far, sheet, world.start) if not c.met]
        assert unmet == ["date"]
        assert world.decide(far, world.command(far, "closed_won"), sheet).outcome is Outcome.ACCEPTED


def with_criteria(world: Any, **changes: Any) -> Ruleset:
    stages = world.document()["stages"]
    stages[0] = {**stages[0], "exit": [{"key": "industry", "name": "Industry", "conditions": [
        {"fact": "account.industry", "cell": "known"}]}]}  # fmt: skip
    stages[1] = {**stages[1], "entry": [{"key": "type", "name": "Type", "conditions": [
        {"fact": "opportunity.type", "cell": "'new'"}]}]}  # fmt: skip
    stages[5] = {**stages[5], "entry": [{"key": "rival", "name": "Who won", "conditions": [
        {"fact": "opportunity.rival", "cell": "known"}]}]}  # fmt: skip
    facts = [{"name": "account.industry", "type": "text"}, {"name": "opportunity.rival", "type": "text"}]
    return world.ruleset(stages=stages, facts=facts, **changes)


class TestGate:
    def test_a_rule_that_holds_waits_for_what_its_stages_demand(self, world: Any) -> None:
        rules = with_criteria(world)
        opportunity = world.opportunity(rules=rules)
        held = world.decide(opportunity, world.submission("prospecting", "70", opportunity), rules)
        assert (held.outcome, [r.criterion for r in held.reasons]) == (Outcome.REJECTED, ["industry", "type"])
        assert after(held).earned_stage == "prospecting"
        known = world.facts(world.fact("account.industry", "Retail"), world.fact("opportunity.type", "new"))
        ready = world.decide(after(held), known, rules)
        # The criteria are met, but no rule reads what changed; evidence has earned the stage for a person to confirm.
        assert (after(ready).stage_key, after(ready).earned_stage) == ("prospecting", "discovery")
        moved = world.decide(after(ready), world.command(after(ready), "discovery"), rules)
        assert moved.outcome is Outcome.ACCEPTED

    def test_giving_up_asks_only_what_the_end_demands(self, world: Any) -> None:
        rules = with_criteria(world)
        opportunity = world.opportunity(rules=rules)
        refused = world.decide(opportunity, world.command(opportunity, "closed_lost", reason_code="PRICE"), rules)
        assert [r.criterion for r in refused.reasons] == ["rival"]
        known = after(world.decide(opportunity, world.facts(world.fact("opportunity.rival", "Acme")), rules))
        lost = world.decide(known, world.command(known, "closed_lost", reason_code="PRICE"), rules)
        assert lost.outcome is Outcome.ACCEPTED


class TestMilestones:
    def rules(self, world: Any) -> Ruleset:
        stages = world.document()["stages"]
        stages[0] = {**stages[0], "milestones": [
            {"key": "met", "name": "Met", "repeatable": True, "conditions": [
                {"fact": "activity.last_touch_at", "cell": "> now - 1d"}]},
            {"key": "sponsor", "name": "A sponsor was found", "conditions": [
                {"fact": "contacts.sponsors", "cell": ">= 1"}]},
        ]}  # fmt: skip
        conditions = [{"fact": "milestones.met", "cell": ">= 2"}, {"fact": "milestones.sponsor", "cell": "true"}]
        return world.ruleset(stages=stages, rule_0={"conditions": conditions})

    def test_once_complete_they_move_the_opportunity_without_a_score(self, world: Any) -> None:
        rules = self.rules(world)
        opportunity = world.opportunity(rules=rules)
        for minutes, value in ((1, 1), (2, 0)):
            given = world.facts(world.fact("contacts.sponsors", value))
            opportunity = after(world.decide(opportunity, given, rules, world.at(minutes)))
        reached = opportunity.milestones["sponsor"]
        assert (reached.at, reached.count) == (world.at(1), 1)
        for minutes in (3, 4):
            assert opportunity.stage_key == "prospecting"
            given = world.facts(world.fact("activity.last_touch_at", world.at(minutes)))
            decision = world.decide(opportunity, given, rules, world.at(minutes))
            opportunity = after(decision)
        assert (opportunity.stage_key, opportunity.milestones["met"].count) == ("discovery", 2)
        assert dict(decision.facts) == {"milestones.met": "2", "milestones.sponsor": "true"}
        assert opportunity.milestones["met"].input_id != given.input_id
