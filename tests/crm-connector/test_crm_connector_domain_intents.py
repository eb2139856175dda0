"""The life of a write intent."""

from datetime import timedelta
from uuid import UUID

import pytest
from crm_connector.domain.breaker import Breaker
from crm_connector.domain.intents import (
    LONGEST_RETRY,
    TRANSITIONS,
    UNFINISHED,
    IntentState,
    IntentTransitionInvalid,
    Lane,
    Settlement,
    Verdict,
    WriteResult,
    advance,
    expected_stage,
    resolve,
    retry_wait,
    settle,
)
from crm_connector.service.outbound import intent_id
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

DECISION = UUID("019ab3c4-0000-7000-8000-000000000000")


class IntentLife(RuleBasedStateMachine):
    """One opportunity's two intents against a CRM that may carry out, refuse, or lose anything: whatever happens, the
    first is finished before the second is sent, and no stage is carried out twice by a repetition."""

    def __init__(self) -> None:
        super().__init__()
        self.states = [IntentState.NEW, IntentState.NEW]
        self.attempts: list[list[str]] = [[], []]
        self.applied: list[list[str]] = [[], []]
        self.standing = ""
        self.pending: tuple[int, str, bool] | None = None

    def _head(self) -> int | None:
        return next((n for n, state in enumerate(self.states) if state in UNFINISHED), None)

    @precondition(lambda self: self._head() is not None and self.states[self._head()] is IntentState.NEW)
    @rule(carried_out=st.booleans())
    def send(self, carried_out: bool) -> None:
        head = self._head()
        assert head is not None
        write_id = f"{head}.{len(self.attempts[head])}"
        self.states[head] = advance(self.states[head], IntentState.SENT)
        self.attempts[head].append(write_id)
        if carried_out:
            self.applied[head].append(write_id)
            self.standing = write_id
        self.pending = (head, write_id, carried_out)

    @precondition(lambda self: self.pending is not None)
    @rule(lost=st.booleans(), verdict=st.sampled_from([Verdict.AGAIN, Verdict.REFUSED, Verdict.CONFLICT]))
    def answer(self, lost: bool, verdict: Verdict) -> None:
        assert self.pending is not None
        head, write_id, carried_out = self.pending
        self.pending = None
        known = Verdict.CONFIRMED if carried_out else verdict
        result = WriteResult(write_id, Verdict.UNKNOWN if lost else known)
        settlement = settle(result, len(self.attempts[head]), 0.5)
        if settlement.state is not IntentState.SENT:
            self.states[head] = advance(IntentState.SENT, settlement.state)

    @precondition(lambda self: self.pending is None and IntentState.SENT in self.states)
    @rule()
    def find_out(self) -> None:
        head = self.states.index(IntentState.SENT)
        verdict = resolve(self.attempts[head], self.standing)
        settlement = settle(WriteResult(self.standing, verdict), len(self.attempts[head]), 0.5)
        self.states[head] = advance(IntentState.SENT, settlement.state)

    @precondition(lambda self: IntentState.CONFIRMED in self.states)
    @rule()
    def echo(self) -> None:
        head = self.states.index(IntentState.CONFIRMED)
        self.states[head] = advance(self.states[head], IntentState.ECHOED)

    @precondition(lambda self: IntentState.PARKED in self.states and self._head() is None)
    @rule()
    def retry(self) -> None:
        head = self.states.index(IntentState.PARKED)
        self.states[head] = advance(self.states[head], IntentState.NEW)

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


class TestTransitions:
    def test_the_ends_are_ends(self) -> None:
        for state in (IntentState.ECHOED, IntentState.CONFLICT, IntentState.SUPERSEDED):
            assert TRANSITIONS[state] == frozenset()

    def test_what_is_confirmed_is_never_sent_again(self) -> None:
        with pytest.raises(IntentTransitionInvalid):
            advance(IntentState.CONFIRMED, IntentState.NEW)

    def test_every_settlement_is_allowed(self) -> None:
        for verdict in Verdict:
            state = settle(WriteResult("w", verdict), 1, 0).state
            assert state is IntentState.SENT or state in TRANSITIONS[IntentState.SENT]


class TestSettle:
    def test_an_unknown_outcome_stays_sent(self) -> None:
        assert settle(WriteResult("w", Verdict.UNKNOWN), 1, 0).state is IntentState.SENT

    def test_a_bounded_repetition_ends_parked(self) -> None:
        result = WriteResult("w", Verdict.AGAIN, most_attempts=2)
        assert settle(result, 1, 0).state is IntentState.NEW
        assert settle(result, 2, 0).state is IntentState.PARKED

    def test_the_crms_own_pause_is_kept(self) -> None:
        result = WriteResult("w", Verdict.AGAIN, not_before=timedelta(hours=1))
        assert settle(result, 1, 0) == Settlement(IntentState.NEW, timedelta(hours=1))

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

    def test_nothing_standing_proves_nothing(self) -> None:
        assert resolve(["w1", ""], "") is Verdict.AGAIN
        assert resolve(["w1", "w2"], "w1") is Verdict.CONFIRMED
        assert resolve(["w1"], "other") is Verdict.AGAIN


class TestBreaker:
    def test_opens_after_three_and_lets_one_try(self) -> None:
        now = [0.0]
        breaker = Breaker(lambda: now[0])
        breaker.failed()
        breaker.failed()
        assert not breaker.is_open
        assert breaker.doubtful
        breaker.failed()
        assert breaker.remaining == 1
        now[0] = 1
        assert not breaker.is_open
        breaker.failed()
        assert breaker.remaining == 2
        now[0] = 3
        breaker.succeeded()
        assert not breaker.doubtful

    def test_can_be_told_to_wait(self) -> None:
        breaker = Breaker(lambda: 0.0)
        breaker.trip(30)
        breaker.trip(5)
        assert breaker.remaining == 30
