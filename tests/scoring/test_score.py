"""The score of one submission: its scale, its trace, and what the field example gives."""

import dataclasses
from decimal import Decimal

import pytest
from forms.answers import Value
from forms.check import visible_questions
from scoring.domain.profile import (
    PercentOf,
    QuestionPoints,
    Scale,
)
from scoring.domain.score import Contribution, score

from tests.scoring.examples import FORM, D, run, shipped


def test_too_few_answers_give_no_score() -> None:
    assert run({"single": "a", "text": "does not count"}, minimum_answered=2).score is None
    assert run({"single": "a", "flag": False}, minimum_answered=2).score == 10


def test_the_scale_says_which_figure_is_the_score() -> None:
    assert run({"single": "b"}).score == 4
    assert run({"single": "b"}, scale=Scale.PERCENT).score == D("12.50")


def test_the_trace_names_every_visible_question_and_what_was_lost() -> None:
    found = run({"single": "b", "text": "why"})
    assert [tuple(getattr(each, name) for name in Contribution.__slots__) for each in found.contributions] == [
        ("single", "b", D(4), D(10), False),
        ("multi", None, D(0), D(10), True),
        ("number", None, D(0), D(5), True),
        ("flag", None, D(0), D(7), True),
        ("text", "why", D(0), D(0), False),
    ]


def test_what_may_be_left_unanswered_may_give_less_than_its_least_answer() -> None:
    both = QuestionPoints("flag", points_if_true=D(7), points_if_false=D(3))
    assert run({}, questions=(both,)).reachable_min == 0
    form = dataclasses.replace(FORM, questions=(dataclasses.replace(FORM.questions[3], required=True),))
    assert run({"flag": True}, form, questions=(both,)).reachable_min == 3


def test_the_inputs_hash_changes_with_answers_and_profile_only() -> None:
    one = run({"single": "b", "number": D("1.50")}).inputs_hash
    assert one == run({"number": D("1.5"), "single": "b"}).inputs_hash
    assert run({"multi": ("a", "b")}).inputs_hash == run({"multi": ("b", "a")}).inputs_hash
    assert one != run({"single": "c", "number": D("1.5")}).inputs_hash
    assert one != run({"single": "b", "number": D("1.5")}, floor_zero=True).inputs_hash


@pytest.mark.parametrize(
    ("hours", "compliance", "expected"),
    [
        ("one_to_two", "no", 10),
        ("two_to_four", "no", 20),
        ("over_5", "no", 40),
        ("one_to_two", "yes", 40),
        ("two_to_four", "yes", 50),
        ("over_5", "yes", 70),
    ],
)
def test_the_field_examples_prospecting(hours: str, compliance: str, expected: int) -> None:
    found = score(shipped("prospecting"), ("hours", "compliance"), {"hours": hours, "compliance": compliance})
    assert (found.score, found.reachable_min, found.reachable_max) == (expected, 10, 70)


@pytest.mark.parametrize(("of", "maximum", "percent"), [("profile", 100, 75), ("path", 90, D("83.33"))])
def test_a_path_without_its_conditional_question_has_its_own_maximum_only_by_choice(
    of: str, maximum: int, percent: Decimal
) -> None:
    plan = shipped("discovery")
    plan = dataclasses.replace(plan, profile=dataclasses.replace(plan.profile, percent_of=PercentOf(of)))
    answers: dict[str, Value] = {
        "decision_maker": "met",
        "pains": ("manual_work", "audit", "growth"),
        "months_to_decision": D(2),
        "budget_approved": False,
    }
    found = score(plan, visible_questions(plan.form, answers), answers)
    # Without an approved budget neither its 15 points nor the 10 of the question behind it can be had.
    assert (found.raw, found.reachable_max, found.percent) == (75, maximum, percent)


def test_somebody_can_reach_the_maximum_of_each_path_of_the_demo() -> None:
    plan = shipped("demo")
    best: dict[str, Value] = {
        "attendees": D(5),
        "decision_maker_present": True,
        "valued_features": ("automation", "integrations", "dashboards"),
        "reaction": "enthusiastic",
    }
    for rest in ({"objections": False}, {"objections": True, "objection_state": "resolved"}):
        answers = best | rest
        found = score(plan, visible_questions(plan.form, answers), answers)
        assert (found.raw, found.percent) == (100, 100)
