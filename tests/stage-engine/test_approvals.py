"""Moves that people have to approve."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stage_engine.domain.approving import approvals_of
from stage_engine.domain.decision import Cause, Code, Decision, Outcome
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.inputs import Migration, Occasion, RequestedMove
from stage_engine.domain.modes import Modes
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.parsed import Tables
from stage_engine.domain.pending import ApprovalState
from stage_engine.domain.requests import Answer, HoldRequest, Keep, ReleaseRequest
from stage_engine.domain.rules import RuleMode
from stage_engine.domain.sync import write_confirmed
from stage_engine.domain.timers import first_due
from stage_engine.engine import compiled

from tests.approvals import RULE, TWO_MANAGERS, answer, gated, passed
from tests.decisions import OVERRIDE, after, codes


def asked(world: Any, rules: Any) -> Opportunity:
    """An opportunity that mona, a manager, wants in discovery against the evidence."""
    first = world.opportunity(rules=rules)
    return after(world.decide(first, world.command(first, "discovery", **OVERRIDE), rules))


def ends(decision: Decision) -> list[ApprovalState]:
    return [each.state for each in decision.ended_requests]


class TestAsking:
    def test_a_command_waits_and_the_stage_stays(self, world: Any) -> None:
        rules = gated(world)
        first = world.opportunity(rules=rules)
        decision = world.decide(first, world.command(first, "discovery", **OVERRIDE), rules)
        assert (decision.outcome, codes(decision)) == (Outcome.PROPOSED, [Code.APPROVAL_PENDING])
        assert (decision.to_stage, decision.proposed_stage) == ("prospecting", "discovery")
        request = after(decision).approval_request
        assert request is not None and (request.asked_by, request.to_stage) == ("mona", "discovery")
        assert request.expires_at == world.start + timedelta(hours=72)
        assert after(decision).revision == first.revision

    def test_a_rule_waits_as_well_and_what_is_earned_counts(self, world: Any) -> None:
        rules = gated(world)
        decision = passed(world, world.opportunity(rules=rules), rules)
        assert (decision.outcome, decision.rule_id, codes(decision)) == (
            Outcome.PROPOSED, RULE, [Code.APPROVAL_PENDING],
        )  # fmt: skip
        assert (after(decision).stage_key, after(decision).earned_stage) == ("prospecting", "discovery")
        assert after(decision).proposals == {}

    def test_what_is_lacking_is_said_before_anyone_is_asked(self, world: Any) -> None:
        rules = gated(world)
        first = world.opportunity(rules=rules)
        decision = world.decide(first, world.command(first, "discovery"), rules)
        assert (decision.outcome, codes(decision), after(decision).approval_request) == (
            Outcome.REJECTED, [Code.MISSING], None,
        )  # fmt: skip

    def test_the_same_again_goes_on_waiting_and_another_wish_takes_its_place(self, world: Any) -> None:
        rules = gated(world)
        waiting = asked(world, rules)
        again = world.decide(waiting, world.command(waiting, "discovery", actor="max", **OVERRIDE), rules)
        assert after(again).approval_request == waiting.approval_request
        assert (again.outcome, ends(again)) == (Outcome.PROPOSED, [])
        lost = world.decide(waiting, world.command(waiting, "closed_lost", reason_code="GONE"), rules)
        assert (ends(lost), after(lost).approval_request) == ([ApprovalState.SUPERSEDED], None)
        stages = [{**s, "approval": TWO_MANAGERS} for s in world.document()["stages"]]
        both = compiled(world.pipeline(stages=stages))
        other = world.decide(waiting, world.command(waiting, "closed_lost", reason_code="GONE"), both)
        request = after(other).approval_request
        assert request is not None
        assert (ends(other), request.to_stage) == ([ApprovalState.SUPERSEDED], "closed_lost")

    def test_a_rule_never_takes_the_place_of_a_person(self, world: Any) -> None:
        stages = [{**s, "approval": TWO_MANAGERS} for s in world.document()["stages"]]
        rules = compiled(world.pipeline(stages=stages))
        first = world.opportunity(rules=rules)
        waiting = after(world.decide(first, world.command(first, "closed_lost", reason_code="GONE"), rules))
        decision = passed(world, waiting, rules)
        assert (decision.outcome, codes(decision)) == (Outcome.REJECTED, [Code.APPROVAL_PENDING])
        assert after(decision).approval_request == waiting.approval_request

    def test_exempt_people_and_roles_ask_no_one(self, world: Any) -> None:
        exemptions: list[dict[str, Any]] = [{"exempt_people": ["mona"]}, {"exempt_roles": ["manager"]}]
        for exempt in exemptions:
            rules = gated(world, **exempt)
            first = world.opportunity(rules=rules)
            assert world.decide(first, world.command(first, "discovery", **OVERRIDE), rules).to_stage == "discovery"

    def test_a_move_is_held_to_all_that_it_passes_over_but_a_way_back_is_free(self, world: Any) -> None:
        rules = gated(world)
        first = world.opportunity(rules=rules)
        skipping = world.decide(first, world.command(first, "demo", skip=True, **OVERRIDE), rules)
        assert codes(skipping) == [Code.APPROVAL_PENDING]
        later = world.opportunity("demo", rules=rules)
        assert world.decide(later, world.command(later, "discovery", reason_code="X"), rules).to_stage == "discovery"
        closed = world.opportunity("closed_lost", rules=rules)
        assert codes(world.decide(closed, world.command(closed, "discovery", reason_code="X"), rules)) == [
            Code.APPROVAL_PENDING
        ]

    def test_a_step_says_for_itself_what_it_asks(self, world: Any) -> None:
        own = {"approvers": {"people": ["cfo"]}}
        pipeline = gated(world, rule_0={"approval": own, "mode": "off"}).pipeline
        (found,) = approvals_of(pipeline, "prospecting", "discovery")
        assert (found.approvers.people, found.needed) == (("cfo",), 1)

    def test_answers_that_come_with_the_move_count_at_once(self, world: Any) -> None:
        rules = gated(world)
        first = world.opportunity(rules=rules)
        given = world.submission("prospecting", "70", first, move=RequestedMove("discovery"), submitted_by="olga")
        decision = world.decide(first, given, replace_mode(world, rules, RuleMode.PROPOSE))
        # The submitter may not confirm the own answers; so the rule's word is what is left.
        assert after(decision).scores["prospecting"].score == 70
        again = world.decide(first, replace(given, submission_id="x"), rules)
        assert (again.outcome, again.move.refused[0].code) == (Outcome.PROPOSED, Code.APPROVAL_PENDING)
        assert after(again).earned_stage == "discovery"

    @pytest.mark.parametrize("policy", ["adopt_as_override", "validate_then_adopt", "propose_back"])
    def test_an_edit_in_the_crm_waits_for_it_under_every_policy(self, world: Any, policy: str) -> None:
        rules = gated(world, crm_edit_policy=policy)
        first = after(passed(world, world.opportunity(rules=rules), rules)).changed(approval_request=None)
        edited = world.decide(first, world.observation("discovery"), rules)
        assert (edited.outcome, edited.to_stage, edited.crm_target_stage) == (
            Outcome.PROPOSED, "prospecting", "prospecting",
        )  # fmt: skip
        request = after(edited).approval_request
        assert request is not None and request.asked_by == "carl"
        made = world.decide(after(edited), answer(after(edited), "mona"), rules)
        made = world.decide(after(made), answer(after(made), "max"), rules)
        assert made.transition is not None
        assert (made.to_stage, made.transition.actor, made.crm_target_stage) == ("discovery", "carl", "discovery")

    @pytest.mark.parametrize("stage", ["discovery", "demo", "closed_won"])
    @pytest.mark.parametrize(
        ("policy", "said"),
        [
            ("adopt_as_override", [Code.APPROVAL_PENDING]),
            ("propose_back", [Code.APPROVAL_PENDING, Code.MISSING]),
            ("validate_then_adopt", [Code.EDIT_REVERTED, Code.MISSING, Code.APPROVAL_PENDING]),
            ("revert", [Code.EDIT_REVERTED]),
        ],
    )
    def test_an_edit_without_evidence_waits_where_it_would_count(
        self, world: Any, policy: str, said: list[Code], stage: str
    ) -> None:
        """The same wherever it leads, on one step or over several."""
        stages = [{**s, "approval": TWO_MANAGERS} for s in world.document()["stages"]]
        rules = compiled(world.pipeline(stages=stages, crm_edit_policy=policy, skip_policy="if_guards_hold"))
        first = world.opportunity(rules=rules)
        edited = world.decide(first, world.observation(stage), rules)
        assert list(dict.fromkeys(codes(edited))) == said
        assert (after(edited).stage_key, edited.crm_target_stage) == ("prospecting", "prospecting")
        waits = policy in ("adopt_as_override", "propose_back")
        assert (after(edited).approval_request is not None) is waits
        if not waits:
            return
        one = world.decide(after(edited), answer(after(edited), "mona"), rules)
        two = world.decide(after(one), answer(after(one), "max"), rules)
        assert (two.to_stage, ends(two)) == (stage, [ApprovalState.APPROVED])
        override = after(two).override
        assert stage == "closed_won" or (override is not None and override.actor == "carl")
        lost = world.decide(after(edited), answer(after(edited), "mona", Answer.REJECT), rules)
        assert (lost.to_stage, ends(lost)) == ("prospecting", [ApprovalState.REJECTED])

    def test_the_exempt_and_a_way_back_in_the_crm_wait_for_no_one(self, world: Any) -> None:
        rules = gated(world, exempt_people=["mona"])
        first = world.opportunity(rules=rules)
        assert after(world.decide(first, world.observation("discovery", changed_by="mona"), rules)).stage_key == (
            "discovery"
        )
        later = world.opportunity("demo", rules=rules)
        assert after(world.decide(later, world.observation("discovery"), rules)).stage_key == "discovery"

    def test_an_edit_that_comes_again_and_again_is_contested_rather_than_written_back_for_ever(
        self, world: Any
    ) -> None:
        rules = gated(world)
        opportunity = world.opportunity(rules=rules)
        for number in range(rules.pipeline.alternations_at_most):
            assert not opportunity.contested
            edited = world.decide(opportunity, world.observation("discovery", number=2 * number + 1), rules)
            revision = after(edited).revision
            opportunity = write_confirmed(
                after(edited), world.confirmed(revision, "prospecting", number=2 * number + 2)
            )
        assert (opportunity.contested, edited.crm_target_stage) == (True, "")

    @pytest.mark.parametrize("policy", ["validate_then_adopt", "propose_back"])
    def test_what_the_engine_cannot_judge_waits_all_the_same(self, world: Any, policy: str) -> None:
        rules = gated(world, crm_edit_policy=policy)
        first = world.opportunity(rules=rules)
        broken = Ruleset(Tables.of(rules.pipeline), lambda *_: ["nonsense"])
        edited = world.decide(first, world.observation("discovery"), broken)
        assert codes(edited) == [Code.APPROVAL_PENDING, Code.ENGINE_DISAGREEMENT]
        assert after(edited).stage_key == "prospecting"


OPEN = ["prospecting", "discovery", "demo", "negotiation"]
ENDS = ["closed_won", "closed_lost"]
# Ways by which no one is asked on purpose are not among them: imports, exempt people, migrations, other pipelines.
WAYS = st.lists(
    st.one_of(
        st.tuples(st.just("edit"), st.sampled_from([*OPEN, *ENDS, ""])),
        st.tuples(st.just("undelete"), st.sampled_from([*OPEN, *ENDS, ""])),
        st.tuples(st.just("reopen"), st.sampled_from(OPEN)),
        st.tuples(st.just("command"), st.sampled_from([*OPEN, *ENDS])),
        st.tuples(st.just("passes"), st.sampled_from(["prospecting", "discovery", "demo", "sales_feedback"])),
        st.tuples(st.just("release"), st.sampled_from(list(Keep))),
        st.tuples(st.just("confirmed"), st.just("")),
    ),
    max_size=12,
)


class TestNoWayRound:
    """Whatever comes, and in whatever order: without the word of those who are asked, no stage from the one that has
    to be approved on is ever reached."""

    @settings(max_examples=400, suppress_health_check=[HealthCheck.differing_executors])
    @given(
        policy=st.sampled_from(["adopt_as_override", "validate_then_adopt", "propose_back", "revert"]),
        gate=st.sampled_from([*OPEN[1:], "closed_won"]),
        by_criteria=st.booleans(),
        begins=st.sampled_from([*OPEN, *ENDS, ""]),
        ways=WAYS,
    )
    def test_it_stays_before_what_has_to_be_approved(
        self, world: Any, policy: str, gate: str, by_criteria: bool, begins: str, ways: list[tuple[str, Any]]
    ) -> None:
        rules = gated(world, stage=gate, crm_edit_policy=policy, start_by_criteria=by_criteria)
        pipeline = rules.pipeline
        now, number = world.start, 1
        opportunity = after(
            world.decide(None, world.observation(begins, occasion=Occasion.CREATED, number=number), rules)
        )
        for way, what in ways:
            assert opportunity.stage_key in ("", "closed_lost") or pipeline.rank(opportunity.stage_key) < (
                pipeline.rank(gate)
            ), f"{opportunity.stage_key} was reached"
            number, now = number + 1, now + timedelta(minutes=1)
            if way == "confirmed":
                for revision, stage in opportunity.in_flight:
                    opportunity = write_confirmed(opportunity, world.confirmed(revision, stage, number=number))
                continue
            if way == "undelete":
                gone = world.observation(what, occasion=Occasion.DELETED, number=number)
                opportunity = after(world.decide(opportunity, gone, rules, now))
                number += 1
            given: Any = world.observation(
                what, occasion=Occasion.UNDELETED if way == "undelete" else Occasion.UPDATED, number=number
            )
            if way in ("command", "reopen"):
                given = world.command(opportunity, what, reopens=way == "reopen", skip=True, **OVERRIDE)
            elif way == "passes":
                given = world.submission(what, "100", opportunity)
            elif way == "release":
                given = ReleaseRequest(f"r{number}", "o1", opportunity.revision, "mona", True, what, "fine", "manager")
            opportunity = after(world.decide(opportunity, given, rules, now))
        assert opportunity.stage_key in ("", "closed_lost") or pipeline.rank(opportunity.stage_key) < (
            pipeline.rank(gate)
        )

    def test_closing_and_reopening_counts_from_where_it_was_closed(self, world: Any) -> None:
        rules = gated(world)
        later = world.opportunity("demo", rules=rules)
        lost = after(world.decide(later, world.command(later, "closed_lost", reason_code="GONE"), rules))
        for stage, waits in (("prospecting", False), ("demo", False), ("negotiation", False), ("discovery", True)):
            back = world.decide(lost, world.command(lost, stage, reason_code="BACK", reopens=True), rules)
            assert (back.outcome is Outcome.PROPOSED) is waits, stage

    @pytest.mark.parametrize("policy", ["adopt_as_override", "propose_back"])
    @pytest.mark.parametrize("stage", ["demo", "closed_won"])
    def test_an_edit_of_a_closed_one_is_made_once_it_is_approved(self, world: Any, policy: str, stage: str) -> None:
        rules = gated(world, crm_edit_policy=policy)
        lost = after(world.decide(world.opportunity(rules=rules), world.observation("closed_lost"), rules))
        waits = after(world.decide(lost, world.observation(stage), rules))
        one = after(world.decide(waits, answer(waits, "mona"), rules))
        two = world.decide(one, answer(one, "max"), rules)
        assert (two.to_stage, ends(two)) == (stage, [ApprovalState.APPROVED])

    def test_keeping_the_stage_of_the_crm_waits_for_it_in_the_name_of_who_keeps_it(self, world: Any) -> None:
        rules = gated(world, exempt_people=["eva"])
        fought = world.opportunity(rules=rules).changed(contested=True, quarantined=True, base_stage="discovery")
        kept = world.decide(fought, release_by("mona", fought), rules)
        request = after(kept).approval_request
        assert (kept.outcome, kept.crm_target_stage, after(kept).contested) == (Outcome.PROPOSED, "prospecting", False)
        assert request is not None and (request.asked_by, request.to_stage) == ("mona", "discovery")
        own = world.decide(after(kept), answer(after(kept), "mona"), rules)
        assert codes(own) == [Code.NOT_APPROVER]
        one = after(world.decide(after(kept), answer(after(kept), "max"), rules))
        two = world.decide(one, answer(one, "moritz"), rules)
        assert (two.to_stage, ends(two)) == ("discovery", [ApprovalState.APPROVED])
        assert world.decide(fought, release_by("eva", fought), rules).to_stage == "discovery"

    def test_nobody_approves_what_follows_from_the_own_answers_later(self, world: Any) -> None:
        rules = gated(world, {"approvers": {"roles": ["manager"]}})
        first, until = world.opportunity(rules=rules), world.start + timedelta(days=1)
        held = after(world.decide(first, HoldRequest("h", "o1", 1, "mona", "budget", until=until), rules))
        answered = after(passed(world, held, rules, submitted_by="mona"))
        assert answered.approval_request is None
        fired = first_due(answered, until)
        assert fired is not None
        waiting = after(world.decide(answered, fired, rules, until))
        assert waiting.approval_request is not None and waiting.approval_request.asked_by == "mona"
        assert codes(world.decide(waiting, answer(waiting, "mona"), rules, until)) == [Code.NOT_APPROVER]
        assert world.decide(waiting, answer(waiting, "max"), rules, until).to_stage == "discovery"

    def test_winning_passes_over_no_stage_that_has_to_be_approved(self, world: Any) -> None:
        rules = gated(world)
        first = world.opportunity(rules=rules)
        won = world.decide(first, world.command(first, "closed_won", **OVERRIDE), rules)
        assert (won.outcome, won.proposed_stage) == (Outcome.PROPOSED, "closed_won")


def release_by(actor: str, opportunity: Opportunity) -> ReleaseRequest:
    return ReleaseRequest(f"by-{actor}", "o1", opportunity.revision, actor, True, Keep.CRM, "fine", "manager")


def replace_mode(world: Any, rules: Any, mode: RuleMode) -> Any:
    return compiled(rules.pipeline, Modes(1, {RULE: mode}))


class TestAnswering:
    def test_it_moves_with_the_last_that_is_needed(self, world: Any) -> None:
        rules = gated(world)
        waiting = asked(world, rules)
        one = world.decide(waiting, answer(waiting, "max"), rules)
        assert (one.outcome, one.to_stage, ends(one)) == (Outcome.ACCEPTED, "prospecting", [])
        twice = world.decide(after(one), answer(after(one), "max"), rules)
        assert (twice.outcome, after(twice).approval_request) == (Outcome.NO_OP, after(one).approval_request)
        two = world.decide(after(one), answer(after(one), "olga"), rules)
        assert (two.outcome, two.to_stage, ends(two)) == (Outcome.ACCEPTED, "discovery", [ApprovalState.APPROVED])
        override = after(two).override
        assert two.transition is not None and override is not None
        assert (two.transition.actor, two.transition.cause, override.actor) == ("mona", Cause.PERSON, "mona")
        late = world.decide(after(two), answer(waiting, "pia"), rules)
        assert (late.outcome, codes(late)) == (Outcome.REJECTED, [Code.SUPERSEDED])

    def test_no_one_approves_the_own_wish_unless_the_pipeline_lets_them(self, world: Any) -> None:
        rules = gated(world)
        waiting = asked(world, rules)
        assert codes(world.decide(waiting, answer(waiting, "mona"), rules)) == [Code.NOT_APPROVER]
        own = gated(world, {**TWO_MANAGERS, "own": True, "needed": 1})
        assert world.decide(waiting, answer(waiting, "mona"), own).to_stage == "discovery"

    def test_answers_of_ones_own_are_approved_by_another(self, world: Any) -> None:
        rules = gated(world, {"approvers": {"roles": ["rep"]}})
        waiting = after(passed(world, world.opportunity(rules=rules), rules))
        refused = world.decide(waiting, answer(waiting, "rita", roles=("rep",)), rules)
        assert codes(refused) == [Code.NOT_APPROVER]
        made = world.decide(waiting, answer(waiting, "rob", roles=("rep",)), rules)
        assert (made.to_stage, made.transition.cause, made.transition.rule_id) == ("discovery", Cause.RULE, RULE)

    @pytest.mark.parametrize(
        ("approvers", "given", "may"),
        [
            ({"roles": ["manager"]}, {"roles": ("rep",)}, False),
            ({"people": ["max"]}, {"roles": ()}, True),
            ({"people": ["cfo"]}, {}, False),
            ({"teams": ["vera"]}, {"roles": (), "teams": ("vera", "ceo")}, True),
            ({"teams": ["vera"]}, {"roles": ("admin",), "teams": ("ceo",)}, False),
            ({"manager_of_owner": True}, {"roles": (), "manages_owner": True}, True),
            ({"manager_of_owner": True}, {}, False),
        ],
    )
    def test_who_may(self, world: Any, approvers: dict[str, Any], given: dict[str, Any], may: bool) -> None:
        rules = gated(world, {"approvers": approvers})
        waiting = asked(world, rules)
        decision = world.decide(waiting, answer(waiting, "max", **given), rules)
        assert (decision.outcome is Outcome.ACCEPTED) is may
        if not may:
            assert (codes(decision), after(decision).approval_request) == (
                [Code.NOT_APPROVER], waiting.approval_request,
            )  # fmt: skip

    def test_a_rejection_needs_a_reason_and_ends_it(self, world: Any) -> None:
        rules = gated(world)
        waiting = asked(world, rules)
        assert codes(world.decide(waiting, answer(waiting, "max", Answer.REJECT, reason=" "), rules)) == [Code.MISSING]
        decision = world.decide(waiting, answer(waiting, "max", Answer.REJECT), rules)
        (end,) = decision.ended_requests
        assert (decision.outcome, end.state, end.by, end.text) == (
            Outcome.ACCEPTED, ApprovalState.REJECTED, "max", "because",
        )  # fmt: skip
        assert (after(decision).approval_request, after(decision).stage_key) == (None, "prospecting")

    def test_only_who_asked_takes_it_back(self, world: Any) -> None:
        rules = gated(world)
        waiting = asked(world, rules)
        assert codes(world.decide(waiting, answer(waiting, "max", Answer.WITHDRAW), rules)) == [Code.NOT_APPROVER]
        assert ends(world.decide(waiting, answer(waiting, "mona", Answer.WITHDRAW), rules)) == [ApprovalState.WITHDRAWN]
        of_rule = after(passed(world, world.opportunity(rules=rules), rules))
        assert codes(world.decide(of_rule, answer(of_rule, "rita", Answer.WITHDRAW), rules)) == [Code.NOT_APPROVER]

    def test_what_does_not_hold_any_more_ends_with_what_is_missing(self, world: Any) -> None:
        rules = gated(world, {"approvers": {"roles": ["manager"]}})
        waiting = after(passed(world, world.opportunity(rules=rules), rules))
        worse = world.submission("prospecting", "50", waiting, attempt_no=2)
        waiting = after(world.decide(waiting, worse, rules))
        assert waiting.approval_request is not None
        decision = world.decide(waiting, answer(waiting, "mona"), rules)
        (end,) = decision.ended_requests
        assert (decision.outcome, decision.to_stage, codes(decision)) == (
            Outcome.REJECTED, "prospecting", [Code.FAILED],
        )  # fmt: skip
        assert (end.state, end.missing) == (ApprovalState.NO_LONGER_VALID, decision.reasons)
        assert after(decision).approval_request is None

    @pytest.mark.parametrize("mode", list(RuleMode))
    def test_a_rule_is_judged_in_the_mode_that_is_in_force_then(self, world: Any, mode: RuleMode) -> None:
        rules = gated(world, {"approvers": {"roles": ["manager"]}})
        waiting = after(passed(world, world.opportunity(rules=rules), rules))
        decision = world.decide(waiting, answer(waiting, "mona"), replace_mode(world, rules, mode))
        moves = mode in (RuleMode.AUTO, RuleMode.PROPOSE)
        assert ends(decision) == [ApprovalState.APPROVED if moves else ApprovalState.NO_LONGER_VALID]
        assert (decision.transition is not None) is moves

    def test_what_cannot_be_judged_now_goes_on_waiting(self, world: Any) -> None:
        rules = gated(world, {"approvers": {"roles": ["manager"]}})
        waiting = after(passed(world, world.opportunity(rules=rules), rules))
        held = after(world.decide(waiting, HoldRequest("h", "o1", waiting.revision, "mona", "budget"), rules))
        decision = world.decide(held, answer(held, "mona"), rules)
        assert (codes(decision), ends(decision)) == ([Code.ON_HOLD], [])
        assert after(decision).approval_request == waiting.approval_request


class TestEnding:
    def test_it_expires_by_its_timer(self, world: Any) -> None:
        rules = gated(world, {**TWO_MANAGERS, "expires_after": "2d"})
        waiting = asked(world, rules)
        late = world.start + timedelta(days=2)
        assert first_due(waiting, late - timedelta(seconds=1)) is None
        fired = first_due(waiting, late)
        assert fired is not None
        decision = world.decide(waiting, fired, rules, late)
        assert (ends(decision), codes(decision)) == ([ApprovalState.EXPIRED], [Code.EXPIRED])
        assert (after(decision).approval_request, after(decision).timers) == (None, {})

    def test_business_time_is_that_of_the_calendar(self, world: Any) -> None:
        rules = gated(world, {**TWO_MANAGERS, "expires_after": "2bd"})
        assert rules.pipeline.uses_calendar
        request = asked(world, rules).approval_request
        assert request is not None and request.expires_at == world.start + timedelta(hours=32)

    def test_any_move_overtakes_it(self, world: Any) -> None:
        rules = gated(world)
        waiting = asked(world, rules)
        for seen in (world.observation("closed_lost"), world.observation("prospecting", occasion=Occasion.DELETED)):
            decision = world.decide(waiting, seen, rules)
            assert (ends(decision), after(decision).approval_request) == ([ApprovalState.SUPERSEDED], None)

    @pytest.mark.parametrize(("cancel", "kept"), [(False, True), (True, False)])
    def test_a_migration_keeps_it_or_not_as_its_plan_says(self, world: Any, cancel: bool, kept: bool) -> None:
        rules = gated(world)
        waiting = asked(world, rules)
        target = compiled(replace(rules.pipeline, version=2))
        going = Migration("m1", "o1", 2, (), False, False, "olga", cancel)
        decision = world.decide(waiting, going, target)
        assert ends(decision) == ([] if kept else [ApprovalState.SUPERSEDED])
        assert (after(decision).approval_request is not None) is kept
        if kept:
            moved = world.decide(after(decision), answer(after(decision), "max"), target)
            assert world.decide(after(moved), answer(after(moved), "olga"), target).to_stage == "discovery"
        free = compiled(replace(world.rules.pipeline, version=2))
        assert ends(world.decide(waiting, going, free)) == [ApprovalState.SUPERSEDED]
