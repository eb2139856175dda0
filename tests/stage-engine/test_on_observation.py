"""Edits in the CRM and the echo of our writes."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from kit.contracts.facts import fact_of
from stage_engine.domain import sync
from stage_engine.domain.decision import Cause, Code, Outcome, TransitionKind
from stage_engine.domain.document import from_document
from stage_engine.domain.facts import FactInForce
from stage_engine.domain.fold import fold
from stage_engine.domain.inputs import MappedStage, Occasion
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.sync import ParkedWrite
from stage_engine.messages import read_observation

from tests.builders import received, record_observed
from tests.decisions import OVERRIDE, after, codes, kind


class TestReconciliation:
    def test_first_observation_adopts(self, world: Any) -> None:
        for sight, cause in ((Occasion.IMPORTED, Cause.IMPORT), (Occasion.CREATED, Cause.CRM)):
            decision = world.decide(None, world.observation("demo", occasion=sight))
            assert (decision.outcome, kind(decision)) == (Outcome.ACCEPTED, TransitionKind.ADOPT)
            assert decision.transition is not None and decision.transition.cause is cause
            opportunity = after(decision)
            assert (opportunity.stage_key, opportunity.earned_stage, opportunity.base_stage) == (
                "demo",
                "prospecting",
                "demo",
            )
            assert (opportunity.revision, opportunity.visit_no, opportunity.decision_no, opportunity.override) == (
                1,
                1,
                1,
                None,
            )
            assert decision.crm_target_stage == ""

    @pytest.mark.parametrize("source", ["history", "stage_stamp", "creation"])
    def test_the_clock_of_an_imported_stage_began_when_the_crm_says(self, world: Any, source: str) -> None:
        dated = {"in_stage_since": world.at(-90), "in_stage_since_source": source}
        given = world.observation("demo", occasion=Occasion.IMPORTED, committed_at=world.at(5), **dated)
        decision = world.decide(None, given, now=world.at(6))
        assert after(decision).visit_opened_at == world.at(-90)
        assert decision.transition is not None
        assert decision.transition.changed_at == world.at(-90)
        assert decision.transition.reason_code == f"STAGE_CLOCK_{source.upper()}"

    def test_the_clock_of_a_stage_that_we_saw_entered_is_our_own(self, world: Any) -> None:
        dated = {"in_stage_since": world.at(-90), "in_stage_since_source": "history"}
        opportunity = world.opportunity()
        decision = world.decide(
            opportunity, world.observation("demo", committed_at=world.at(5), **dated), now=world.at(6)
        )
        assert after(decision).visit_opened_at == world.at(5)

    def test_nothing_changed_nothing_happens(self, world: Any) -> None:
        opportunity = world.opportunity()
        decision = world.decide(opportunity, world.observation("prospecting"))
        assert (decision.outcome, after(decision).revision) == (Outcome.NO_OP, opportunity.revision)

    @pytest.mark.parametrize(
        ("stage", "expected"),
        [
            ("discovery", TransitionKind.ADVANCE),
            ("negotiation", TransitionKind.SKIP),
            ("closed_lost", TransitionKind.CLOSE_LOST),
            ("closed_won", TransitionKind.CLOSE_WON),
        ],
    )
    def test_a_persons_edit_is_adopted_and_not_written_back(
        self, world: Any, stage: str, expected: TransitionKind
    ) -> None:
        opportunity = world.opportunity()
        decision = world.decide(opportunity, world.observation(stage, committed_at=world.at(5)), now=world.at(6))
        assert kind(decision) is expected
        assert decision.transition is not None
        assert (decision.transition.cause, decision.transition.actor) == (Cause.CRM, "carl")
        assert (after(decision).base_stage, decision.crm_target_stage) == (stage, "")
        assert (after(decision).override is not None) is not stage.startswith("closed")

    def test_an_edit_backwards_is_adopted_and_sticks(self, world: Any) -> None:
        opportunity = world.opportunity("demo")
        edited = after(
            world.decide(opportunity, world.observation("discovery", committed_at=world.at(5)), now=world.at(6))
        )
        assert (edited.stage_key, edited.visit_no) == ("discovery", 2)
        assert edited.override is not None and edited.override.at == world.at(5)
        older = world.submission("discovery", "100", edited, captured_at=world.at(4))
        assert codes(world.decide(edited, older)) == [Code.OVERRIDE_ACTIVE]

    def moved_by_rule(self, world: Any) -> Opportunity:
        opportunity = world.opportunity()
        return after(world.decide(opportunity, world.submission("prospecting", "70", opportunity)))

    def test_our_own_move_is_pending_until_the_crm_agrees(self, world: Any) -> None:
        opportunity = self.moved_by_rule(world)
        assert (opportunity.base_stage, opportunity.in_flight) == ("prospecting", ((2, "discovery"),))
        decision = world.decide(opportunity, world.observation("prospecting", amount=Decimal(5)))
        assert (decision.outcome, decision.crm_target_stage) == (Outcome.NO_OP, "")
        confirmed = sync.write_confirmed(after(decision), world.confirmed(2, "discovery"))
        assert (confirmed.base_stage, confirmed.in_flight) == ("discovery", ())
        assert sync.write_confirmed(confirmed, world.confirmed(1, "prospecting")) == confirmed

    def test_the_echo_of_our_write_converges_without_an_override(self, world: Any) -> None:
        opportunity = self.moved_by_rule(world)
        decision = world.decide(opportunity, world.observation("discovery"))
        assert decision.outcome is Outcome.NO_OP
        assert (after(decision).base_stage, after(decision).override) == ("discovery", None)

    def test_the_echo_of_an_earlier_write_is_no_edit_and_the_newer_write_is_repeated(self, world: Any) -> None:
        opportunity = self.moved_by_rule(world)
        opportunity = after(world.decide(opportunity, world.submission("discovery", "90", opportunity)))
        assert opportunity.stage_key == "demo"
        decision = world.decide(opportunity, world.observation("discovery", occasion=Occasion.CONFLICT))
        assert (decision.outcome, after(decision).override) == (Outcome.NO_OP, None)
        assert (decision.crm_expected_stage, decision.crm_target_stage) == ("discovery", "demo")

    @pytest.mark.parametrize("stage", ["negotiation", "closed_lost"])
    def test_when_both_moved_the_person_wins(self, world: Any, stage: str) -> None:
        opportunity = self.moved_by_rule(world)
        decision = world.decide(opportunity, world.observation(stage, occasion=Occasion.CONFLICT))
        flagged = [Code.SKIP_FORBIDDEN] if stage == "negotiation" else []
        assert (decision.outcome, codes(decision)) == (Outcome.ACCEPTED, [Code.SUPERSEDED, *flagged])
        assert (after(decision).stage_key, after(decision).base_stage) == (stage, stage)
        assert (after(decision).in_flight, decision.crm_target_stage) == ((), "")
        assert sync.write_confirmed(after(decision), world.confirmed(2, "discovery")) == after(decision)

    def test_an_edit_seen_before_the_write_it_followed_is_adopted_once_the_write_is_reported(self, world: Any) -> None:
        of = {"account_id": "a1", "account_type": "Customer"}
        edited = world.observation("prospecting", number=3, committed_at=world.at(2), **of)
        opportunity = after(world.decide(self.moved_by_rule(world), edited))
        assert opportunity.stage_key == "discovery", "it may be the base that the write will replace"
        opportunity = sync.write_confirmed(opportunity, world.confirmed(2, "discovery", 2))
        crossed = sync.left_unreconciled(opportunity, world.confirmed(2, "discovery", 2, "w1"))
        assert crossed is not None
        decision = world.decide(opportunity, crossed, now=world.at(3))
        assert (decision.outcome, after(decision).stage_key, decision.crm_target_stage) == (
            Outcome.ACCEPTED,
            "prospecting",
            "",
        )
        assert decision.actor == edited.changed_by
        assert sync.left_unreconciled(after(decision), world.confirmed(2, "discovery", 2, "w1")) is None
        assert (after(decision).account_id, after(decision).account_type) == ("a1", "Customer")

    def test_a_write_that_went_over_an_edit_is_taken_back(self, world: Any) -> None:
        opportunity = after(world.decide(self.moved_by_rule(world), world.observation("negotiation", number=2)))
        assert (opportunity.stage_key, opportunity.revision) == ("negotiation", 3)
        opportunity = sync.write_confirmed(opportunity, world.confirmed(2, "discovery", 3))
        crossed = sync.left_unreconciled(opportunity, world.confirmed(2, "discovery", 3, "w1"))
        assert crossed is not None
        decision = world.decide(opportunity, crossed, now=world.at(3))
        assert (decision.outcome, after(decision).stage_key) == (Outcome.NO_OP, "negotiation")
        assert (decision.crm_expected_stage, decision.crm_target_stage) == ("discovery", "negotiation")
        opportunity = sync.write_confirmed(after(decision), world.confirmed(3, "negotiation", 4))
        assert opportunity.base_stage == "negotiation"
        assert sync.left_unreconciled(opportunity, world.confirmed(3, "negotiation", 4, "w2")) is None

    def test_an_old_report_of_a_write_is_not_taken_for_one_that_went_over_an_edit(self, world: Any) -> None:
        opportunity = after(world.decide(self.moved_by_rule(world), world.observation("negotiation", number=3)))
        assert sync.write_confirmed(opportunity, world.confirmed(2, "discovery", 2)) == opportunity
        assert sync.left_unreconciled(opportunity, world.confirmed(2, "discovery", 2, "w1")) is None

    def test_a_proposal_completed_by_the_crm_does_not_swallow_the_repeated_write(self, world: Any) -> None:
        conditions = [{"fact": "discovery.score", "cell": "> 75"}, {"fact": "opportunity.amount", "cell": "> 0"}]
        rules = world.ruleset(rule_1={"conditions": conditions, "mode": "propose"})
        opportunity = world.opportunity(rules=rules, amount=None)
        opportunity = after(world.decide(opportunity, world.submission("prospecting", "70", opportunity), rules))
        opportunity = after(world.decide(opportunity, world.submission("discovery", "90", opportunity), rules))
        seen = world.observation("prospecting", occasion=Occasion.CONFLICT, amount=Decimal(5))
        decision = world.decide(opportunity, seen, rules)
        assert (decision.outcome, decision.proposed_stage) == (Outcome.PROPOSED, "demo")
        assert (decision.crm_expected_stage, decision.crm_target_stage) == ("prospecting", "discovery")

    def test_a_conflict_over_nothing_repeats_the_write(self, world: Any) -> None:
        opportunity = self.moved_by_rule(world)
        decision = world.decide(opportunity, world.observation("prospecting", occasion=Occasion.CONFLICT))
        assert decision.outcome is Outcome.NO_OP
        assert (decision.crm_expected_stage, decision.crm_target_stage) == ("prospecting", "discovery")

    def test_an_unmapped_stage_quarantines_until_it_is_mapped(self, world: Any) -> None:
        opportunity = world.opportunity()
        decision = world.decide(opportunity, world.observation("", crm_stage="Legal review"))
        assert (decision.outcome, codes(decision)) == (Outcome.REJECTED, [Code.UNMAPPED_STAGE])
        held = after(decision)
        assert held.quarantined and held.stage_key == "prospecting"
        scored = world.decide(held, world.submission("prospecting", "70", held))
        assert (codes(scored), scored.crm_target_stage) == ([Code.UNMAPPED_STAGE], "")
        assert after(scored).scores["prospecting"].score == 70
        assert codes(world.decide(held, world.command(held, "closed_lost", reason_code="X"))) == [Code.UNMAPPED_STAGE]
        mapped = world.decide(held, world.observation("demo"))
        assert (mapped.outcome, after(mapped).quarantined) == (Outcome.ACCEPTED, False)

    @pytest.mark.parametrize("blocked", ["quarantined", "deleted"])
    def test_evidence_that_came_meanwhile_counts_once_nothing_blocks_it(self, world: Any, blocked: str) -> None:
        blocking = {
            "quarantined": world.observation("", crm_stage="Legal review"),
            "deleted": world.observation("prospecting", occasion=Occasion.DELETED),
        }[blocked]
        held = after(world.decide(world.opportunity(), blocking))
        scored = world.decide(held, world.submission("prospecting", "70", held))
        assert (scored.outcome, scored.transition) == (Outcome.REJECTED, None)
        freed = world.decide(after(scored), world.observation("prospecting"))
        assert (freed.outcome, after(freed).stage_key) == (Outcome.ACCEPTED, "discovery")
        assert freed.transition is not None and freed.transition.cause is Cause.RULE

    def test_evidence_counts_once_an_override_has_ended(self, world: Any) -> None:
        opportunity = world.opportunity()
        early = world.submission("prospecting", "70", captured_at=world.at(1))
        forced = world.command(opportunity, "discovery", expires_at=world.at(60), **OVERRIDE)
        opportunity = after(world.decide(opportunity, forced, now=world.at(2)))
        early = replace(early, assessment_key="discovery", score=Decimal(80), stage_key="discovery", visit_no=2)
        refused = world.decide(opportunity, early, now=world.at(3))
        assert codes(refused) == [Code.OVERRIDE_ACTIVE]
        still = world.decide(after(refused), world.observation("discovery", number=1), now=world.at(59))
        assert after(still).stage_key == "discovery"
        decision = world.decide(after(still), world.observation("discovery", number=2), now=world.at(61))
        assert (after(decision).stage_key, decision.rule_id) == ("demo", "discovery_to_demo")

    def test_a_proposal_written_again_says_as_a_move_does_that_the_crm_refused(self, world: Any) -> None:
        rules = world.ruleset(
            rule_1={"mode": "propose", "conditions": [{"fact": "opportunity.amount", "cell": "> 5000"}]}
        )
        moved = after(world.decide(world.opportunity(rules=rules), world.submission("prospecting", "70"), rules))
        refusal = ParkedWrite("o1", moved.revision, "discovery", "FIELD", "no", world.at(1))
        blocked = sync.write_parked(moved, refusal)
        assert blocked.sync_error is not None
        given = world.observation("prospecting", amount=Decimal(9000), occasion=Occasion.CONFLICT)
        decision = world.decide(blocked, given, rules)
        assert (decision.outcome, decision.crm_target_stage) == (Outcome.PROPOSED, "discovery")
        assert codes(decision) == [Code.SYNC_BLOCKED]

    def test_an_outcome_replaced_by_another_has_earned_nothing(self, world: Any) -> None:
        opportunity = world.opportunity("negotiation")
        won = after(world.decide(opportunity, world.submission("sales_feedback", "100", opportunity)))
        assert (won.stage_key, won.earned_stage) == ("closed_won", "closed_won")
        lost = after(world.decide(won, world.observation("closed_lost")))
        assert (lost.stage_key, lost.earned_stage) == ("closed_lost", "prospecting")
        reopened = after(world.decide(won, world.observation("demo")))
        # What the CRM was first seen in was claimed, never earned.
        assert reopened.earned_stage == "prospecting"

    def test_an_opportunity_first_seen_unmapped_waits_unplaced(self, world: Any) -> None:
        decision = world.decide(None, world.observation("", crm_stage="Legal review"))
        held = after(decision)
        assert (codes(decision), held.stage_key, held.revision) == ([Code.UNMAPPED_STAGE], "", 0)
        assert codes(world.decide(held, world.submission("prospecting", "70", held))) == [Code.UNMAPPED_STAGE]
        placed = world.decide(held, world.observation("discovery"))
        assert kind(placed) is TransitionKind.ADOPT
        assert (after(placed).revision, after(placed).visit_no) == (1, 1)

    def test_a_stage_of_another_pipeline_is_unmapped_here(self, world: Any) -> None:
        seen = world.observation("", mapped=(MappedStage("renewals", 1, "demo"),))
        (step,) = fold(world.opportunity(), [seen], world.rules, world.start, set())
        assert codes(step.decision) == [Code.UNMAPPED_STAGE]
        assert step.given.mapped == ()

    def test_the_stage_is_that_of_the_version_or_of_the_nearest_that_is_named(self, world: Any) -> None:
        named = (MappedStage("field_example", 3, "demo"), MappedStage("field_example", 6, "discovery"))
        seen = world.observation("", mapped=(*named, MappedStage("renewals", 1, "negotiation")))
        at = {n: from_document(world.document(), n) for n in (1, 3, 6, 9)}
        assert {n: seen.stage_in(pipeline) for n, pipeline in at.items()} == {
            1: "demo", 3: "demo", 6: "discovery", 9: "discovery"
        }  # fmt: skip

    def test_a_deleted_opportunity_rests_until_it_comes_back(self, world: Any) -> None:
        opportunity = world.opportunity()
        gone = after(world.decide(opportunity, world.observation("", occasion=Occasion.DELETED, amount=None)))
        assert (gone.deleted, gone.amount, gone.revision) == (True, opportunity.amount, opportunity.revision)
        assert codes(world.decide(gone, world.submission("prospecting", "70", gone))) == [Code.TERMINAL]
        assert codes(world.decide(gone, world.command(gone, "closed_lost", reason_code="X"))) == [Code.TERMINAL]
        back = world.decide(gone, world.observation("demo", occasion=Occasion.UNDELETED))
        assert (after(back).deleted, after(back).stage_key) == (False, "demo")

    def test_an_edit_dated_ahead_of_us_does_not_outlive_evidence(self, world: Any) -> None:
        opportunity = world.opportunity()
        edited = after(
            world.decide(opportunity, world.observation("discovery", committed_at=world.at(9999)), now=world.at(5))
        )
        assert edited.override is not None and edited.override.at == world.at(5)

    def test_a_refused_write_is_named_with_the_next_one(self, world: Any) -> None:
        opportunity = self.moved_by_rule(world)
        blocked = sync.write_parked(
            opportunity, ParkedWrite("o1", 2, "discovery", "VALIDATION", "amount is required", world.at(1))
        )
        assert blocked.sync_error is not None and blocked.in_flight == ()
        decision = world.decide(blocked, world.submission("discovery", "90", blocked))
        assert (decision.outcome, codes(decision)) == (Outcome.ACCEPTED, [Code.SYNC_BLOCKED])
        assert sync.write_confirmed(after(decision), world.confirmed(3, "demo")).sync_error is None


class TestWhatComesLate:
    """Numbers order all that the CRM told of an opportunity; one below the last was replayed."""

    def test_an_older_observation_changes_nothing(self, world: Any) -> None:
        opportunity = after(
            world.decide(world.opportunity(number=1), world.observation("demo", number=5, amount=Decimal(5)))
        )
        late = world.decide(opportunity, world.observation("discovery", number=3, amount=Decimal(3)))
        assert (late.outcome, [reason.code for reason in late.reasons]) == (Outcome.NO_OP, [Code.STALE_REVISION])
        assert after(late) == opportunity.changed(decision_no=opportunity.decision_no + 1)
        newer = world.decide(after(late), world.observation("discovery", number=6))
        assert after(newer).stage_key == "discovery"

    def test_a_deleted_opportunity_is_not_brought_back_by_an_older_observation(self, world: Any) -> None:
        opportunity = after(
            world.decide(
                world.opportunity(number=1), world.observation("prospecting", number=7, occasion=Occasion.DELETED)
            )
        )
        assert after(world.decide(opportunity, world.observation("prospecting", number=4))).deleted
        assert not after(
            world.decide(opportunity, world.observation("prospecting", number=8, occasion=Occasion.UNDELETED))
        ).deleted


class TestFacts:
    def rules(self, world: Any, currency: str = "EUR") -> Any:
        rule = {"conditions": [{"fact": "opportunity.amount", "cell": "> 50000"}]}
        return world.ruleset(rule_0=rule, currency=currency)

    @pytest.mark.parametrize(
        ("amount", "currency", "of_pipeline", "moves"),
        [
            (60_000, "EUR", "EUR", True),
            (60_000, "", "EUR", True),
            (60_000, "", "", True),
            (1_500_000, "JPY", "EUR", False),
            (1_500_000, "JPY", "", False),
        ],
    )
    def test_amounts_are_compared_in_the_pipelines_currency_only(
        self, world: Any, amount: int, currency: str, of_pipeline: str, moves: bool
    ) -> None:
        rules = self.rules(world, of_pipeline)
        opportunity = world.opportunity(rules=rules, currency=currency)
        given = world.observation("prospecting", amount=Decimal(amount), currency=currency)
        decision = world.decide(opportunity, given, rules)
        assert (decision.transition is not None) is moves
        if not moves:
            assert Code.OTHER_CURRENCY in codes(decision)
            assert (after(decision).amount, after(decision).currency) == (amount, currency)

    def test_another_currency_is_another_amount(self, world: Any) -> None:
        rules = self.rules(world)
        opportunity = world.opportunity(rules=rules, amount=Decimal(60_000), currency="JPY")
        decision = world.decide(
            opportunity, world.observation("prospecting", amount=Decimal(60_000), currency="EUR"), rules
        )
        assert after(decision).stage_key == "discovery"

    def test_a_fact_that_cannot_be_read_is_unknown_and_the_rest_counts(self, world: Any) -> None:
        message = record_observed(amount="1234567890123456", stage_key="closed_lost", owner_id="zoe")
        given = replace(read_observation(received(message)), opportunity_id="o1")
        (step,) = fold(world.opportunity(), [given], world.rules, world.start, set())
        decision = step.decision
        assert (after(decision).stage_key, after(decision).owner_id) == ("closed_lost", "zoe")
        assert after(decision).amount is None
        assert codes(decision) == [Code.FACT_UNREADABLE]
        assert "opportunity.amount" in decision.reasons[0].message


class TestReading:
    def test_what_the_crm_holds_is_taken_where_it_may_write(self, world: Any) -> None:
        facts = [{"name": "account.industry", "type": "text", "sources": ["crm", "dialler"]}]
        rules = world.ruleset(facts=facts, rule_0={"conditions": [{"fact": "account.industry", "cell": "known"}]})
        message = record_observed(facts=[fact_of("account.industry", "Steel")])
        decision = world.decide(None, replace(read_observation(received(message)), stage_key="prospecting"), rules)
        assert (after(decision).facts["account.industry"].value, codes(decision)) == ("Steel", [])

    def test_every_fact_is_the_word_of_the_crm_and_comes_with_its_time(self) -> None:
        then = datetime(2026, 1, 1, tzinfo=UTC)
        facts = [
            fact_of("opportunity.lead_source", "Web", source="Opportunity.LeadSource", observed_at=then),
            fact_of("opportunity.probability", Decimal(25)),
            fact_of("opportunity.next_step", None),
        ]
        message = record_observed(facts=facts)
        read = read_observation(received(message, sequence=7))
        now = message.committed_at.ToDatetime(UTC)
        assert read.facts == (
            FactInForce("opportunity.lead_source", "Web", "crm", then, 7),
            FactInForce("opportunity.probability", Decimal(25), "crm", now, 7),
            FactInForce("opportunity.next_step", None, "crm", now, 7),
        )

    def test_a_record_of_any_type_comes_with_its_stage_in_every_pipeline(self) -> None:
        read = read_observation(received(record_observed(object_type="lead", pipelines=("a", "b"), stage_key="new")))
        assert read.object_type == "lead"
        assert read.mapped == (MappedStage("a", 1, "new"), MappedStage("b", 1, "new"))
