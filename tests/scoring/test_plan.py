"""What scoring a submission costs, and its arithmetic at the edges of what a profile may hold."""

from collections.abc import Callable
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from forms.answers import Value
from forms.check import visible_questions
from forms.definition import Choice, Form, Question, QuestionType
from hypothesis import given, settings
from hypothesis import strategies as st
from scoring.domain.lint import analyse
from scoring.domain.plan import Bounds, ScoringPlan, compile_plan
from scoring.domain.profile import Profile, profile_from_json
from scoring.domain.score import score
from scoring.domain.totals import LEAST_PERCENT
from scoring.schemas import ProfileBody
from testing.pace import spent

from tests.scoring.largest import largest_form, largest_profile

D = Decimal

CHOICES = (Choice("a", ""), Choice("b", ""))
EDGE = st.sampled_from(["1000000", "-1000000", "0.000001", "-0.000001", "999999.999999", "0"])
FORM = Form(
    "f",
    1,
    "",
    "",
    (
        Question("gate", "", QuestionType.BOOLEAN, required=True),
        Question(
            "one",
            "",
            QuestionType.SINGLE_CHOICE,
            choices=CHOICES,
            visible_if="{gate} = true",
        ),
        Question("many", "", QuestionType.MULTIPLE_CHOICE, choices=CHOICES),
        Question("number", "", QuestionType.NUMBER),
    ),
)


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """Profiles with the largest, the smallest and the finest numbers that the API takes."""
    weights = st.sampled_from(["1000", "0.0001", "999.9999", "1"])
    choices = [{"choice_key": key, "points": draw(EDGE)} for key in "ab"]
    sections = [
        {"key": f"s{index}", "function": draw(st.sampled_from(["sum", "mean", "min", "max"])), "question_keys": keys}
        for index, keys in enumerate((["gate", "one"], ["many", "number", "one"]))
    ]
    return {
        "scale": draw(st.sampled_from(["raw", "percent"])),
        "questions": [
            {"question_key": "gate", "weight": draw(weights),
             "points_if_true": draw(EDGE), "points_if_false": draw(EDGE)},
            {"question_key": "one", "weight": draw(weights), "choices": choices},
            {"question_key": "many", "weight": draw(weights), "choices": choices,
             "cap_points": draw(st.none() | EDGE)},
            {"question_key": "number", "weight": draw(weights), "bands": [
                {"lower": "-1000000000000000", "upper": "0.0000000001", "points": draw(EDGE)},
                {"lower": "0.0000000001", "points": draw(EDGE)}]},
        ],
        "sections": sections,
        "total_over": draw(st.sampled_from(["questions", "sections"])),
        "unanswered": {"policy": draw(st.sampled_from(["zero", "skip", "block"]))},
        "quantum": draw(st.sampled_from(["1", "0.1", "0.01", "0.001", "0.0001"])),
        "percent_of": draw(st.sampled_from(["profile", "path"])),
        "floor_zero": draw(st.booleans()),
    }  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(bodies())
def test_every_legal_profile_is_analysed_and_scores_every_legal_answer_within_bounds(body: dict[str, Any]) -> None:
    document = ProfileBody.model_validate(body).model_dump(mode="json")
    profile = profile_from_json("f", 1, document)
    analysis = analyse(FORM, profile)
    if analysis.reachable is None:
        return
    plan = compile_plan(FORM, profile, analysis.reachable.bounds)
    values: list[list[Value | None]] = [
        [True, False], [None, "a", "b"], [None, ("a",), ("a", "b")], [None, D(-(10**15)), D("1e-10"), D(10**15)]
    ]  # fmt: skip
    for given_answers in product(*values):
        named = zip(("gate", "one", "many", "number"), given_answers, strict=True)
        answers = {key: value for key, value in named if value is not None}
        found = score(plan, visible_questions(FORM, answers), answers)
        assert LEAST_PERCENT <= found.percent <= 100
        assert abs(found.raw) < 10**15
        if found.complete:
            assert found.score is not None


def seconds_of(work: Callable[[Any], object], *given: Any) -> float:
    """The processor time of the cheapest of these pieces of work, in seconds of a machine that does nothing else."""
    taken: list[float] = []
    for each in given:
        with spent() as one:
            work(each)
        taken.append(one.seconds)
    return min(taken)


def largest_profiles(count: int, **changes: Any) -> list[Profile]:
    return [profile_from_json("f", 1, largest_profile(**changes)) for _ in range(count)]


@pytest.mark.parametrize("percent_of", ["profile", "path"])
def test_no_legal_profile_makes_a_submission_cost_more_than_some_milliseconds(percent_of: str) -> None:
    form = largest_form()
    [profile] = largest_profiles(1, percent_of=percent_of)
    plan = compile_plan(form, profile, Bounds(D(0), D(1)))
    answered: list[tuple[tuple[str, ...], dict[str, Value]]] = []
    for number in range(60):
        # Another set of questions each time, so that nothing remembered helps.
        answers: dict[str, Value] = {q.key: True for q in form.questions if q.required or hash((q.key, number)) % 2}
        answered.append((visible_questions(form, answers), answers))

    def score_all(some: list[tuple[tuple[str, ...], dict[str, Value]]]) -> None:
        for visible, answers in some:
            score(plan, visible, answers)

    assert seconds_of(score_all, answered[:20], answered[20:40], answered[40:]) / 20 < 0.02


def test_the_largest_profile_is_analysed_in_seconds_and_compiled_at_once() -> None:
    form = largest_form()
    assert seconds_of(lambda profile: analyse(form, profile), *largest_profiles(1)) < 5
    assert seconds_of(lambda profile: compile_plan(form, profile, Bounds(D(0), D(1))), *largest_profiles(3)) < 0.1


def test_many_equal_choices_cost_no_more_than_others() -> None:
    choices = tuple(Choice(f"c{index}", "") for index in range(200))
    question = Question("q", "", QuestionType.MULTIPLE_CHOICE, choices=choices)
    points = {"question_key": "q", "choices": [{"choice_key": c.key, "points": "1"} for c in choices]}
    document = ProfileBody.model_validate({"scale": "raw", "questions": [points]}).model_dump(mode="json")
    form = Form("f", 1, "", "", (question,))

    def compiled(document: dict[str, Any]) -> ScoringPlan:
        return compile_plan(form, profile_from_json("f", 1, document), Bounds(D(0), D(1)))

    assert seconds_of(compiled, *[document] * 3) < 0.01
    assert compiled(document).scorers["q"].maximum == 200
