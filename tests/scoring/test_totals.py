"""Points added up: sections, floors and percentages."""

import dataclasses

import pytest
from forms.answers import Value
from scoring.domain.profile import (
    Section,
    SectionFunction,
    TotalOver,
)
from scoring.domain.totals import percent_of

from tests.scoring.examples import PROFILE, D, run


def test_a_negative_total_is_floored_only_when_the_profile_says_so() -> None:
    assert run({"multi": ("c",)}).raw == -2
    floored = run({"multi": ("c",)}, floor_zero=True)
    assert (floored.raw, floored.reachable_min, floored.percent) == (0, 0, 0)


@pytest.mark.parametrize(
    ("function", "points", "maximum", "percent"),
    [
        ("sum", "14", "22", "63.64"),
        ("mean", "4.67", "7.33", "63.71"),
        ("min", "1", "5", "20.00"),
        ("max", "10", "10", "100.00"),
    ],
)
def test_section_functions(function: str, points: str, maximum: str, percent: str) -> None:
    section = Section("s", SectionFunction(function), ("single", "number", "flag"))
    answers: dict[str, Value] = {"single": "a", "number": D(1), "flag": False, "multi": ("a",)}
    flag = dataclasses.replace(PROFILE.questions[3], points_if_false=D(3))
    changes = {"sections": (section,), "questions": (*PROFILE.questions[:3], flag)}
    found = run(answers, **changes)
    (got,) = found.sections
    assert (got.points, got.max_points, got.percent) == (D(points), D(maximum), D(percent))
    assert found.raw == 10 + 1 + 3 + 6
    assert run(answers, **changes, total_over=TotalOver.SECTIONS).raw == D(points)


def test_percent_is_rounded_half_up_and_nothing_to_reach_is_zero() -> None:
    quantum = D("0.01")
    assert percent_of(D(1), D(3), quantum) == D("33.33")
    assert percent_of(D("0.00005"), D(1), quantum) == D("0.01")
    assert percent_of(D("0.00004"), D(1), quantum) == D("0.00")
    assert percent_of(D(0), D(0), quantum) == percent_of(D(-5), D(-5), quantum) == 0
    assert percent_of(D("0.00005"), D(1), D("0.001")) == D("0.005")
