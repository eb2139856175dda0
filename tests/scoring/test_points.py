"""The points of one answer: by type of question, bounded, and by policy where there is none."""

import dataclasses

import pytest
from forms.answers import Value
from scoring.domain.profile import (
    QuestionPoints,
    UnansweredPolicy,
)

from tests.scoring.examples import PROFILE, D, run


@pytest.mark.parametrize(
    ("answers", "raw"),
    [
        ({}, "0"),
        ({"single": "a"}, "10"),
        ({"single": "c"}, "0"),
        ({"multi": ("a", "b")}, "10"),
        ({"multi": ("b", "a")}, "10"),
        ({"multi": ("a", "c")}, "4"),
        ({"multi": ("none",)}, "2"),
        ({"multi": ("none", "a")}, "2"),
        ({"number": D("2.99")}, "1"),
        ({"number": D(3)}, "5"),
        ({"number": D("4.99")}, "5"),
        ({"number": D(5)}, "0"),
        ({"flag": True}, "7"),
        ({"flag": False}, "0"),
        ({"text": "anything"}, "0"),
        ({"single": "a", "multi": ("a", "b"), "number": D(4), "flag": True, "text": "x"}, "32"),
    ],
)
def test_points_by_type(answers: dict[str, Value], raw: str) -> None:
    found = run(answers)
    assert found.raw == found.score == D(raw)
    assert (found.reachable_min, found.reachable_max) == (D(-2), D(32))
    assert found.complete


def test_cap_and_floor_bound_a_multiple_choice_before_the_weight() -> None:
    def with_bounds(cap: str | None, floor: str | None) -> tuple[QuestionPoints, ...]:
        multi = dataclasses.replace(PROFILE.questions[1], cap_points=cap and D(cap), floor_points=floor and D(floor))
        return (PROFILE.questions[0], multi, *PROFILE.questions[2:])

    assert run({"multi": ("a", "b")}, questions=with_bounds("4", None)).raw == 8
    assert run({"multi": ("c",)}, questions=with_bounds(None, "0")).raw == 0
    assert run({}, questions=with_bounds("4", "0")).reachable_max == 10 + 8 + 5 + 7


@pytest.mark.parametrize(
    ("policy", "points", "raw", "maximum", "percent", "complete"),
    [
        (UnansweredPolicy.ZERO, "0", "10", "32", "31.25", True),
        (UnansweredPolicy.SKIP, "0", "10", "32", "31.25", True),
        (UnansweredPolicy.DEFAULT, "3", "22", "32", "68.75", True),
        (UnansweredPolicy.BLOCK, "0", "10", "32", "31.25", False),
    ],
)
def test_unanswered_questions_by_policy(
    policy: UnansweredPolicy, points: str, raw: str, maximum: str, percent: str, complete: bool
) -> None:
    # 3 points by default: 3 × weight 2 for the multiple choice, 3 for the number, 3 for the flag.
    found = run({"single": "a"}, unanswered=policy, unanswered_points=D(points))
    assert (found.raw, found.reachable_max, found.percent, found.complete) == (
        D(raw),
        D(maximum),
        D(percent),
        complete,
    )
    assert (found.score is not None) is complete


def test_a_default_never_gives_more_than_the_question_could() -> None:
    assert run({}, unanswered=UnansweredPolicy.DEFAULT, unanswered_points=D(1000)).percent == 100
