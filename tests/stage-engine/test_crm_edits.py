"""What becomes of edits in the CRM, by the policy of the pipeline."""

from typing import Any

import pytest
from stage_engine.domain.decision import Cause, Code, Outcome
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.sync import write_confirmed

from tests.decisions import after, codes


def rules_of(world: Any, policy: str, **changes: Any) -> Ruleset:
    return world.ruleset(crm_edit_policy=policy, exempt_people=["mona"], exempt_roles=["admin"], **changes)


class TestPolicies:
    def test_by_default_the_person_wins(self, world: Any) -> None:
        opportunity = world.opportunity()
        edited = world.decide(opportunity, world.observation("discovery"))
        assert (edited.outcome, edited.reasons) == (Outcome.ACCEPTED, ())
        assert after(edited).override is not None

    @pytest.mark.parametrize("policy", ["validate_then_adopt", "revert"])
    def test_an_edit_that_may_not_be_is_written_back(self, world: Any, policy: str) -> None:
        rules = rules_of(world, policy)
        opportunity = world.opportunity(rules=rules)
        edited = world.decide(opportunity, world.observation("discovery", number=5), rules)
        assert (edited.outcome, codes(edited)[0]) == (Outcome.REJECTED, Code.EDIT_REVERTED)
        assert (after(edited).stage_key, after(edited).visit_no) == ("prospecting", 1)
        assert (edited.crm_expected_stage, edited.crm_target_stage) == ("discovery", "prospecting")
        confirmed = write_confirmed(after(edited), world.confirmed(after(edited).revision, "prospecting", number=6))
        assert confirmed.base_stage == "prospecting"
        again = world.decide(confirmed, world.observation("prospecting", number=7), rules)
        assert (again.outcome, after(again).in_flight) == (Outcome.NO_OP, ())

    def test_one_that_lacks_something_says_what(self, world: Any) -> None:
        rules = rules_of(world, "validate_then_adopt")
        opportunity = world.opportunity(rules=rules)
        edited = world.decide(opportunity, world.observation("discovery"), rules)
        assert codes(edited) == [Code.EDIT_REVERTED, Code.MISSING]
        assert edited.reasons[1].fact == "prospecting.score"
        skipping = world.decide(opportunity, world.observation("demo"), rules)
        assert Code.SKIP_FORBIDDEN in codes(skipping)

    def test_one_that_the_evidence_supports_is_adopted(self, world: Any) -> None:
        rules = rules_of(world, "validate_then_adopt", rule_0={"mode": "propose"})
        opportunity = world.opportunity(rules=rules)
        opportunity = after(world.decide(opportunity, world.submission("prospecting", "70", opportunity), rules))
        edited = world.decide(opportunity, world.observation("discovery"), rules)
        assert (edited.outcome, after(edited).override) == (Outcome.ACCEPTED, None)
        assert edited.transition is not None and edited.transition.cause is Cause.CRM

    def test_back_and_out_are_free(self, world: Any) -> None:
        rules = rules_of(world, "validate_then_adopt")
        opportunity = world.opportunity("demo", rules=rules)
        for stage in ("prospecting", "closed_lost"):
            assert world.decide(opportunity, world.observation(stage), rules).outcome is Outcome.ACCEPTED

    def test_closing_it_first_is_no_way_past_what_it_lacks(self, world: Any) -> None:
        rules = rules_of(world, "validate_then_adopt")
        lost = after(world.decide(world.opportunity(rules=rules), world.observation("closed_lost"), rules))
        for stage, lacks in (("closed_won", True), ("demo", True), ("discovery", True), ("prospecting", False)):
            edited = world.decide(lost, world.observation(stage), rules)
            assert (edited.outcome is Outcome.REJECTED) is lacks, stage
            assert edited.crm_target_stage == ("closed_lost" if lacks else "")
        later = world.opportunity("demo", rules=rules)
        lost = after(world.decide(later, world.observation("closed_lost"), rules))
        assert world.decide(lost, world.observation("demo"), rules).to_stage == "demo"

    def test_a_proposal_names_the_way_back_and_what_is_missing(self, world: Any) -> None:
        rules = rules_of(world, "propose_back")
        opportunity = world.opportunity(rules=rules)
        edited = world.decide(opportunity, world.observation("discovery"), rules)
        assert (edited.outcome, edited.proposed_stage) == (Outcome.ACCEPTED, "prospecting")
        assert codes(edited) == [Code.MISSING]
        assert after(edited).stage_key == "discovery"

    @pytest.mark.parametrize("exempt", [{"changed_by": "mona"}, {"changed_by_roles": ("rep", "admin")}])
    @pytest.mark.parametrize("policy", ["validate_then_adopt", "propose_back", "revert"])
    def test_the_exempt_are_followed(self, world: Any, policy: str, exempt: dict[str, Any]) -> None:
        rules = rules_of(world, policy)
        opportunity = world.opportunity(rules=rules)
        edited = world.decide(opportunity, world.observation("discovery", **exempt), rules)
        assert (edited.outcome, edited.proposed_stage, edited.reasons) == (Outcome.ACCEPTED, "", ())

    def test_what_is_imported_is_always_taken(self, world: Any) -> None:
        assert world.opportunity("demo", rules=rules_of(world, "revert")).stage_key == "demo"
