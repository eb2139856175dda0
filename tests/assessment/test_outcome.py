"""Which assessment is due, and the words for what became of one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from assessment.domain.capture import Visit
from assessment.domain.delivery import Available, NextReason, Opportunity, Stage, next_assessment
from assessment.domain.outcome import (
    Attempt,
    Decision,
    NearMiss,
    Outcome,
    Reason,
    Score,
    StandingKind,
    missing_of,
    outcome_in_words,
    standing_of,
)
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HERE = Visit("prospecting", 1)
OPPORTUNITY = Opportunity("006A", False, "ann", stage_key="prospecting", stage_category="open", visit_no=1)
CLOSED = replace(OPPORTUNITY, stage_category="lost")
STAGE = Stage("prospecting", "Prospecting", "open", ("fit", "pain"))
AVAILABLE = {key: Available(key, 2, key.title(), "a" * 64) for key in STAGE.assessment_keys}
SCORE = Score(UUID(int=1), Decimal(56), "raw", Decimal(70), complete=True, unanswered=(), scored_at=NOW)


def decision(outcome: Outcome, *reasons: tuple[str, str, str | None]) -> Decision:
    found = tuple(Reason(code, fact, margin or "", "words") for code, fact, margin in reasons)
    return Decision(UUID(int=2), outcome, "prospecting", "discovery", "discovery", found, (), NOW)


def attempt(key: str = "fit", outcome: Decision | None = None, **changes: Any) -> Attempt:
    fields: dict[str, Any] = {"visit": HERE, "attempt_no": 1, "received_at": NOW, "score": SCORE, **changes}
    return Attempt(uuid4(), key, decision=outcome, **fields)


FAILED = decision("rejected", ("FAILED", "fit.score", "-4"))
WAITS_FOR_PAIN = decision("rejected", ("MISSING", "pain.score", None))


class TestNextAssessment:
    @pytest.mark.parametrize(
        ("attempts", "reason", "due"),
        [
            ([], NextReason.NOT_STARTED, "fit"),
            ([attempt()], NextReason.NOT_STARTED, "pain"),
            ([attempt(outcome=FAILED)], NextReason.NOT_STARTED, "pain"),
            ([attempt(outcome=FAILED), attempt("pain")], NextReason.RETAKE, "fit"),
            ([attempt(), attempt("pain")], NextReason.WAITING_FOR_DECISION, None),
            ([attempt(outcome=WAITS_FOR_PAIN)], NextReason.NOT_STARTED, "pain"),
            (
                [attempt(outcome=WAITS_FOR_PAIN), attempt("pain", decision("proposed"))],
                NextReason.ALL_PASSED,
                None,
            ),
        ],
    )
    def test_first_open_then_retakes(self, attempts: list[Attempt], reason: str, due: str | None) -> None:
        answer = next_assessment(OPPORTUNITY, STAGE, AVAILABLE, attempts)
        assert answer.reason == reason
        assert (answer.due.assessment.assessment_key if answer.due else None) == due

    @pytest.mark.parametrize(
        ("state", "stage", "available", "reason"),
        [
            (replace(CLOSED, deleted=True), STAGE, AVAILABLE, NextReason.OPPORTUNITY_DELETED),
            (CLOSED, None, AVAILABLE, NextReason.OPPORTUNITY_CLOSED),
            (replace(OPPORTUNITY, visit_no=None), None, AVAILABLE, NextReason.STAGE_UNKNOWN),
            (OPPORTUNITY, None, AVAILABLE, NextReason.PIPELINE_UNKNOWN),
            (OPPORTUNITY, replace(STAGE, assessment_keys=()), AVAILABLE, NextReason.NO_ASSESSMENT_IN_STAGE),
            (OPPORTUNITY, STAGE, {}, NextReason.NOT_PUBLISHED),
        ],
    )
    def test_none_is_always_explained(self, state: Any, stage: Any, available: Any, reason: str) -> None:
        answer = next_assessment(state, stage, available, [])
        assert (answer.due, answer.reason) == (None, reason)
        assert answer.message

    def test_attempts_are_counted_over_all_visits(self) -> None:
        earlier = attempt(outcome=FAILED, visit=Visit("prospecting", 0), attempt_no=4)
        due = next_assessment(OPPORTUNITY, STAGE, AVAILABLE, [earlier]).due
        assert due is not None
        assert due.attempt_no == 5

    @given(
        st.lists(
            st.builds(
                attempt,
                key=st.sampled_from(["fit", "pain", "other"]),
                outcome=st.sampled_from([None, FAILED, WAITS_FOR_PAIN, decision("accepted"), decision("no_op")]),
                visit=st.sampled_from([HERE, Visit("demo", 2), None]),
                attempt_no=st.integers(1, 5),
            )
        )
    )
    def test_what_is_due_can_be_started_here_and_is_never_passed(self, attempts: list[Attempt]) -> None:
        answer = next_assessment(OPPORTUNITY, STAGE, AVAILABLE, attempts)
        kinds = {s.assessment_key: s.kind for s in answer.standings}
        if answer.due is None:
            assert set(kinds.values()) <= {StandingKind.PENDING, StandingKind.PASSED}
        else:
            key = answer.due.assessment.assessment_key
            assert kinds[key] in {StandingKind.NOT_STARTED, StandingKind.FAILED}
            assert all(a.attempt_no < answer.due.attempt_no for a in attempts if a.assessment_key == key)


class TestStanding:
    def test_the_last_attempt_counts_whatever_the_order_of_arrival(self) -> None:
        first = attempt(outcome=decision("proposed"), attempt_no=1, received_at=NOW + timedelta(hours=1))
        second = attempt(outcome=FAILED, attempt_no=2)
        for order in ([first, second], [second, first]):
            assert standing_of("fit", HERE, order).kind is StandingKind.FAILED

    def test_an_incomplete_score_fails(self) -> None:
        blocked = replace(SCORE, score=None, complete=False, unanswered=("budget",))
        tried = attempt(outcome=decision("rejected", ("MISSING", "fit.score", None)), score=blocked)
        assert standing_of("fit", HERE, [tried]).kind is StandingKind.FAILED
        assert [missing.text for missing in missing_of(tried)] == ["1 unanswered: budget"]

    @pytest.mark.parametrize(
        ("outcome", "kind"),
        [
            (FAILED, StandingKind.FAILED),
            (WAITS_FOR_PAIN, StandingKind.PASSED),
            (decision("rejected", ("OVERRIDE_ACTIVE", "fit.score", None)), StandingKind.FAILED),
            (decision("rejected", ("MISSING", "opportunity.amount", None)), StandingKind.PASSED),
            (decision("no_op"), StandingKind.PASSED),
            (decision("no_op", ("RULE_SHADOW", "", None)), StandingKind.PASSED),
            (decision("accepted", ("SYNC_BLOCKED", "", None)), StandingKind.PASSED),
        ],
    )
    def test_fails_by_its_own_facts_only(self, outcome: Decision, kind: StandingKind) -> None:
        assert standing_of("fit", HERE, [attempt(outcome=outcome)]).kind is kind

    def test_a_rule_for_low_scores_is_no_goal(self) -> None:
        low = NearMiss("lost", "closed_lost", "fit.score", "< 10", "65", "-55", ())
        passed = decision("rejected", ("FAILED", "fit.score", "-55"), ("MISSING", "pain.score", None))
        tried = attempt(outcome=replace(passed, near_misses=(low,)))
        assert standing_of("fit", HERE, [tried]).kind is StandingKind.PASSED
        assert outcome_in_words(tried, {}) == "pain was not answered yet"


class TestWords:
    @pytest.mark.parametrize(
        ("outcome", "words"),
        [
            (None, "waiting for its decision"),
            (decision("accepted"), "moved to Discovery"),
            (decision("proposed"), "passed; the move to Discovery waits for a person to confirm it"),
            (FAILED, "4 points short"),
            (decision("rejected", ("FAILED", "fit.score", "-1")), "1 point short"),
            (decision("rejected", ("FAILED", "fit.score", "-0.50")), "0.5 points short"),
            (decision("rejected", ("FAILED", "fit.score", "0.00")), "just at the limit, which must be exceeded"),
            (decision("rejected", ("FAILED", "opportunity.amount", "-500")), "amount is 500 short"),
            (decision("rejected", ("FAILED", "fit.score", "-24"), ("FAILED", "fit.score", "-4")), "4 points short"),
            (decision("rejected", ("FAILED", "pain.score", "-2")), "pain: 2 points short"),
            (decision("rejected", ("FAILED", "opportunity.amount", "0")), "amount is just at its limit"),
            (decision("no_op", ("RULE_SHADOW", "", None)), "moved nothing"),
            (WAITS_FOR_PAIN, "pain was not answered yet"),
            (decision("rejected", ("MISSING", "opportunity.amount", None)), "amount is empty"),
            (decision("no_op", ("TERMINAL", "", None)), "the opportunity is closed"),
            (decision("no_op", ("SOMETHING_NEW", "", None)), "words"),
            (decision("no_op"), "moved nothing"),
            (
                decision("rejected", ("FAILED", "fit.score", "-4"), ("MISSING", "opportunity.amount", None)),
                "4 points short; amount is empty",
            ),
        ],
    )
    def test_outcomes(self, outcome: Decision | None, words: str) -> None:
        assert outcome_in_words(attempt(outcome=outcome), {"discovery": "Discovery"}) == words

    def test_waiting_for_the_score(self) -> None:
        assert outcome_in_words(attempt(score=None), {}) == "waiting for its score"

    def test_too_few_answers_without_a_required_one(self) -> None:
        blocked = replace(SCORE, score=None, complete=False)
        assert outcome_in_words(attempt(outcome=decision("rejected"), score=blocked), {}) == "too few answers"

    def test_percent_is_named(self) -> None:
        percent = replace(SCORE, scale="percent")
        assert missing_of(attempt(outcome=FAILED, score=percent))[0].text == "4 percentage points short"

    def test_names_the_questions_that_lost_points(self) -> None:
        near = NearMiss("r1", "discovery", "fit.score", "> 60", "56", "-4", ("budget", "hours"))
        [missing] = missing_of(attempt(outcome=replace(FAILED, near_misses=(near,))))
        assert (missing.short_by, missing.question_keys) == (Decimal(4), ("budget", "hours"))
