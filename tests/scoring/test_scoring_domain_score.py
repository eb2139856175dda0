"""The score of one submission: points per type, policies, sections, percent."""

import dataclasses
import json
from decimal import Decimal
from importlib.resources import files

import pytest
from forms.answers import Value
from forms.check import visible_questions
from forms.definition import Choice, Form, Question, QuestionType, form_from_json
from scoring.domain.plan import ScoringPlan, compile_plan
from scoring.domain.profile import (
    Band,
    Profile,
    QuestionPoints,
    Scale,
    Section,
    SectionFunction,
    TotalOver,
    UnansweredPolicy,
    profile_from_json,
    profile_to_json,
)
from scoring.domain.score import Contribution, Score, score
from scoring.domain.totals import percent_of
from scoring.templates import profile_templates

D = Decimal


def shipped(key: str) -> ScoringPlan:
    definition = json.loads((files("assessment") / "templates" / f"{key}.json").read_text(encoding="utf-8"))
    return compile_plan(form_from_json(definition, 1), profile_from_json(key, 1, profile_templates()[key].profile))


def choices(*keys: str) -> tuple[Choice, ...]:
    return tuple(Choice(key, key, exclusive=key == "none") for key in keys)


FORM = Form(
    "f",
    1,
    "",
    "",
    (
        Question("single", "", QuestionType.SINGLE_CHOICE, choices=choices("a", "b", "c")),
        Question("multi", "", QuestionType.MULTIPLE_CHOICE, choices=choices("a", "b", "c", "none"), max_choices=2),
        Question("number", "", QuestionType.NUMBER, minimum=D(0), maximum=D(10)),
        Question("flag", "", QuestionType.BOOLEAN),
        Question("text", "", QuestionType.TEXT),
    ),
)
PROFILE = Profile(
    "f",
    1,
    Scale.RAW,
    (
        QuestionPoints("single", choices={"a": D(10), "b": D(4)}),
        QuestionPoints("multi", weight=D(2), choices={"a": D(3), "b": D(2), "c": D(-1), "none": D(1)}),
        QuestionPoints("number", bands=(Band(None, D(3), D(1)), Band(D(3), D(5), D(5)))),
        QuestionPoints("flag", points_if_true=D(7)),
    ),
)


def run(answers: dict[str, Value], form: Form = FORM, **changes: object) -> Score:
    plan = compile_plan(form, dataclasses.replace(PROFILE, **changes))
    return score(plan, visible_questions(form, answers), answers)


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
        (UnansweredPolicy.SKIP, "0", "10", "10", "100.00", True),
        (UnansweredPolicy.DEFAULT, "3", "22", "32", "68.75", True),
        (UnansweredPolicy.BLOCK, "0", "10", "10", "100.00", False),
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


def test_too_few_answers_give_no_score() -> None:
    assert run({"single": "a", "text": "does not count"}, minimum_answered=2).score is None
    assert run({"single": "a", "flag": False}, minimum_answered=2).score == 10


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


def test_profile_survives_json() -> None:
    profile = dataclasses.replace(
        PROFILE,
        sections=(Section("s", SectionFunction.MEAN, ("single",)),),
        unanswered=UnansweredPolicy.DEFAULT,
        unanswered_points=D("1.5"),
        quantum=D("0.1"),
    )
    back = profile_from_json("f", 1, json.loads(json.dumps(profile_to_json(profile))))
    assert back == profile
    assert back.fingerprint == profile.fingerprint


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


def test_a_path_without_its_conditional_question_has_its_own_maximum() -> None:
    plan = shipped("discovery")
    answers: dict[str, Value] = {
        "decision_maker": "met",
        "pains": ("manual_work", "audit", "growth"),
        "months_to_decision": D(2),
        "budget_approved": False,
    }
    found = score(plan, visible_questions(plan.form, answers), answers)
    # Without an approved budget neither its 15 points nor the 10 of the question behind it can be had.
    assert (found.raw, found.reachable_max, found.percent) == (75, 75, 100)


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
