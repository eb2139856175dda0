"""The life of a write."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from crm_connector.domain.intents import (
    IN_LINE,
    LONGEST_RETRY,
    IntentState,
    IntentTransitionInvalid,
    Lane,
    Move,
    Reply,
    Settlement,
    Verdict,
    expected_stage,
    left_out_after,
    resolve,
    retry_wait,
    settle,
)
from crm_connector.service.settling import intent_id
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

DECISION = UUID("019ab3c4-0000-7000-8000-000000000000")


class IntentLife(RuleBasedStateMachine):
    """One opportunity's two writes against a CRM that may carry out, refuse, or lose anything: whatever happens, the
    first is finished before the second is sent, and no stage is carried out twice by a repetition."""

    def __init__(self) -> None:
        super().__init__()
        self.states = [IntentState.NEW, IntentState.NEW]
        self.attempts: list[list[str]] = [[], []]
        self.applied: list[list[str]] = [[], []]
        self.held = ""
        self.pending: tuple[int, str, bool] | None = None

    def _head(self) -> int | None:
        return next((n for n, state in enumerate(self.states) if state in IN_LINE), None)

    @precondition(lambda self: self._head() is not None and self.states[self._head()] is IntentState.NEW)
    @rule(carried_out=st.booleans())
    def send(self, carried_out: bool) -> None:
        head = self._head()
        assert head is not None
        write_id = f"{head}.{len(self.attempts[head])}"
        self.states[head] = Move.SEND.of(self.states[head])
        self.attempts[head].append(write_id)
        if carried_out:
            self.applied[head].append(write_id)
            self.held = write_id
        self.pending = (head, write_id, carried_out)

    @precondition(lambda self: self.pending is not None)
    @rule(lost=st.booleans(), verdict=st.sampled_from([Verdict.AGAIN, Verdict.REFUSED, Verdict.CONFLICT]))
    def reply(self, lost: bool, verdict: Verdict) -> None:
        assert self.pending is not None
        head, write_id, carried_out = self.pending
        self.pending = None
        known = Verdict.CONFIRMED if carried_out else verdict
        reply = Reply(write_id, Verdict.UNKNOWN if lost else known)
        self.states[head] = settle(reply, len(self.attempts[head]), 0.5).move.of(IntentState.SENT)

    @precondition(lambda self: self.pending is None and IntentState.SENT in self.states)
    @rule()
    def find_out(self) -> None:
        head = self.states.index(IntentState.SENT)
        verdict = resolve(self.attempts[head], self.held)
        settlement = settle(Reply(self.held, verdict), len(self.attempts[head]), 0.5)
        self.states[head] = settlement.move.of(IntentState.SENT)

    @precondition(lambda self: IntentState.CONFIRMED in self.states)
    @rule()
    def echo(self) -> None:
        head = self.states.index(IntentState.CONFIRMED)
        self.states[head] = Move.ECHO.of(self.states[head])

    @precondition(lambda self: IntentState.PARKED in self.states and self._head() is None)
    @rule()
    def retry(self) -> None:
        head = self.states.index(IntentState.PARKED)
        self.states[head] = Move.RETRY.of(self.states[head])

    @rule()
    def nothing_happens(self) -> None:
        """Always possible, so that a finished life may go on for as long as the search likes."""

    @invariant()
    def nothing_is_carried_out_twice(self) -> None:
        assert all(len(applied) <= 1 for applied in self.applied)

    @invariant()
    def one_at_a_time(self) -> None:
        assert self.states.count(IntentState.SENT) <= 1

    @invariant()
    def confirmed_means_carried_out(self) -> None:
        for state, applied in zip(self.states, self.applied, strict=True):
            if state in (IntentState.CONFIRMED, IntentState.ECHOED):
                assert applied


TestIntentLife = IntentLife.TestCase


class TestMove:
    @pytest.mark.parametrize("move", Move)
    @pytest.mark.parametrize("state", IntentState)
    def test_a_move_leads_from_its_sources_and_from_nowhere_else(self, move: Move, state: IntentState) -> None:
        if state in move.sources:
            assert move.of(state) is move.target
        else:
            with pytest.raises(IntentTransitionInvalid):
                move.of(state)

    def test_every_state_can_be_reached(self) -> None:
        reached = {IntentState.NEW}
        for _ in IntentState:
            reached |= {move.target for move in Move if reached & set(move.sources)}
        assert reached == set(IntentState)

    def test_what_is_settled_is_never_sent_again(self) -> None:
        for move in Move:
            assert move.target.is_settled or not any(state.is_settled for state in move.sources)

    def test_what_is_not_settled_can_be(self) -> None:
        ending = {state for state in IntentState if state.is_settled}
        for _ in IntentState:
            ending |= {state for move in Move if move.target in ending for state in move.sources}
        assert ending == set(IntentState)

    def test_every_reply_moves_a_sent_write(self) -> None:
        for verdict in Verdict:
            assert IntentState.SENT in settle(Reply("w", verdict), 1, 0).move.sources


class TestSettle:
    def test_an_unknown_outcome_stays_sent(self) -> None:
        assert settle(Reply("w", Verdict.UNKNOWN), 1, 0).move is Move.DOUBT

    def test_a_bounded_repetition_ends_parked(self) -> None:
        reply = Reply("w", Verdict.AGAIN, most_attempts=2)
        assert settle(reply, 1, 0).move is Move.REPEAT
        assert settle(reply, 2, 0).move is Move.PARK

    def test_the_crms_own_pause_is_kept(self) -> None:
        reply = Reply("w", Verdict.AGAIN, not_before=timedelta(hours=1))
        assert settle(reply, 1, 0) == Settlement(Move.REPEAT, timedelta(hours=1))

    @given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
    def test_waits_grow_within_bounds(self, attempt: int, chance: float) -> None:
        assert timedelta(milliseconds=250) <= retry_wait(attempt, chance) <= LONGEST_RETRY
        assert retry_wait(attempt, 0) <= retry_wait(attempt + 1, 0)


class TestExpectedStage:
    def test_the_decisions_own_expectation(self) -> None:
        assert expected_stage("Prospecting", "Demo", known_is_ours=False) == "Prospecting"

    def test_our_own_earlier_write_may_be_replaced(self) -> None:
        assert expected_stage("Prospecting", "Discovery", known_is_ours=True) == "Discovery"

    def test_without_any_agreement_what_was_seen_last(self) -> None:
        assert expected_stage("", "Demo", known_is_ours=False) == "Demo"
        assert expected_stage("", None, known_is_ours=False) == ""


class TestIdentity:
    def test_one_decision_is_one_intent(self) -> None:
        assert intent_id(DECISION) == intent_id(UUID(str(DECISION)))
        assert intent_id(DECISION) != intent_id(DECISION, Lane.ANSWERS)

    def test_no_write_id_proves_nothing(self) -> None:
        assert resolve(["w1", ""], "") is Verdict.AGAIN
        assert resolve(["w1", "w2"], "w1") is Verdict.CONFIRMED
        assert resolve(["w1"], "other") is Verdict.AGAIN


class TestLeftOut:
    REFUSED = Reply("w", Verdict.REFUSED, "BAD", "no", refused="a")

    def after(self, reply: Reply, left_out: dict[str, str] | None = None) -> dict[str, str] | None:
        return left_out_after(reply, settle(reply, 1, 0.5), left_out or {}, ("a", "b", "c"))

    def test_first_one_answer_then_all_of_them(self) -> None:
        assert self.after(self.REFUSED) == {"a": "BAD: no"}
        second = self.after(replace(self.REFUSED, refused="b"), {"a": "BAD: no"})
        assert second is not None
        assert second.keys() == {"a", "b", "c"}

    def test_an_assessment_leaves_without_its_answers(self) -> None:
        assert self.after(replace(self.REFUSED, refused="")) == {"": "BAD: no"}

    def test_what_passes_soon_or_is_about_the_opportunity_leaves_nothing_out(self) -> None:
        assert self.after(replace(self.REFUSED, verdict=Verdict.AGAIN)) is None
        assert self.after(replace(self.REFUSED, verdict=Verdict.UNKNOWN)) is None
        assert self.after(replace(self.REFUSED, refused=None)) is None

    def test_what_waits_for_an_hour_does(self) -> None:
        storage = replace(self.REFUSED, verdict=Verdict.AGAIN, not_before=timedelta(hours=1))
        assert self.after(storage) == {"a": "BAD: no"}

    def test_the_same_part_is_never_left_out_twice(self) -> None:
        assert self.after(self.REFUSED, {"a": "BAD: no"}) is None
