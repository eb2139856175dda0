"""Reachable totals against brute force over every answer."""

import dataclasses
from collections.abc import Iterator
from decimal import Decimal
from itertools import combinations, product

import pytest
from forms.answers import Value
from forms.check import check_answers, visible_questions
from forms.definition import Choice, Form, Question, QuestionType
from hypothesis import given
from hypothesis import strategies as st
from kit.numbers import plain
from scoring.domain.profile import (
    Band,
    PercentOf,
    Profile,
    QuestionPoints,
    Scale,
    Section,
    SectionFunction,
    TotalOver,
    UnansweredPolicy,
    profile_from_json,
)
from scoring.domain.reach import Survey, survey
from scoring.domain.score import score
from scoring.templates import profile_templates

from tests.builders import shipped_form

D = Decimal


@pytest.mark.parametrize(
    ("key", "minimum", "maximum"),
    [("prospecting", 10, 70), ("discovery", 0, 100), ("demo", 5, 100), ("sales_feedback", 0, 100)],
)
def test_shipped_profiles(key: str, minimum: int, maximum: int) -> None:
    form, profile = shipped_form(key), profile_from_json(key, 1, profile_templates()[key].profile)
    found = survey(form, profile).reachable
    assert (found.minimum, found.maximum, found.exact) == (minimum, maximum, True)
    if key == "prospecting":
        assert [plain(total) for total in found.scores] == ["10", "20", "40", "50", "70"]


CHOICES = (Choice("a", "a"), Choice("b", "b"), Choice("none", "none", exclusive=True))
CONDITIONS = {
    QuestionType.SINGLE_CHOICE: ["{%s} = 'a'", "{%s} empty", "{%s} != 'b'"],
    QuestionType.MULTIPLE_CHOICE: ["{%s} contains 'a'", "{%s} noneof ['a', 'none']"],
    QuestionType.NUMBER: ["{%s} > 2", "{%s} = 1 or {%s} empty"],
    QuestionType.BOOLEAN: ["{%s} = true", "!{%s}"],
}
POINTS = st.integers(-3, 5).map(Decimal)


@st.composite
def cases(draw: st.DrawFn, *, signed: bool = True) -> tuple[Form, Profile]:
    """A form of up to three questions, some conditional, with a profile of any policy and function."""
    points = POINTS if signed else POINTS.map(abs)
    questions: list[Question] = []
    scored: list[QuestionPoints] = []
    for index in range(draw(st.integers(1, 3))):
        type_ = draw(st.sampled_from(sorted(CONDITIONS)))
        key = f"q{index}"
        visible_if = ""
        if questions and draw(st.booleans()):
            gate = draw(st.sampled_from(questions))
            visible_if = draw(st.sampled_from(CONDITIONS[gate.type])).replace("%s", gate.key)
        questions.append(
            Question(
                key,
                key,
                type_,
                required=draw(st.booleans()),
                choices=CHOICES if "choice" in type_ else (),
                visible_if=visible_if,
                minimum=D(0) if type_ == "number" else None,
                maximum=D(3) if type_ == "number" else None,
                max_choices=draw(st.integers(0, 2)) if type_ == "multiple_choice" else 0,
            )
        )
        if draw(st.integers(0, 4)):
            scored.append(
                QuestionPoints(
                    key,
                    weight=draw(st.sampled_from([D(1), D("0.5"), D(3)])),
                    choices={choice.key: draw(points) for choice in CHOICES} if "choice" in type_ else {},
                    points_if_true=draw(points) if type_ == "boolean" else None,
                    points_if_false=draw(points) if type_ == "boolean" else None,
                    bands=(Band(None, D(1), draw(points)), Band(D(1), None, draw(points))) if type_ == "number" else (),
                    cap_points=draw(st.none() | st.just(D(4))) if type_ == "multiple_choice" else None,
                )
            )
    keys = [each.question_key for each in scored]
    sections = tuple(
        Section(f"s{index}", draw(st.sampled_from(SectionFunction)), tuple(part))
        for index, part in enumerate((keys[:2], keys[2:]))
        if part
    )
    profile = Profile(
        "f",
        1,
        draw(st.sampled_from(Scale)),
        tuple(scored),
        sections,
        draw(st.sampled_from(TotalOver)),
        draw(st.sampled_from(UnansweredPolicy)),
        percent_of=draw(st.sampled_from(PercentOf)),
        minimum_answered=draw(st.integers(0, min(1, len(scored)))),
        floor_zero=draw(st.booleans()),
    )
    if profile.unanswered is UnansweredPolicy.DEFAULT:
        profile = dataclasses.replace(profile, unanswered_points=draw(points))
    return Form("f", 1, "", "", tuple(questions)), profile


def all_values(question: Question) -> list[Value | None]:
    match question.type:
        case QuestionType.SINGLE_CHOICE:
            return [None, "a", "b", "none"]
        case QuestionType.MULTIPLE_CHOICE:
            return [None, *(taken for size in (1, 2, 3) for taken in combinations(("a", "b", "none"), size))]
        case QuestionType.NUMBER:
            return [None, *(D(number) for number in ("0", "0.5", "1", "1.5", "2", "2.5", "3"))]
        case _:
            return [None, True, False]


def all_submissions(form: Form) -> Iterator[tuple[tuple[str, ...], dict[str, Value]]]:
    for values in product(*(all_values(question) for question in form.questions)):
        answers = {
            question.key: value for question, value in zip(form.questions, values, strict=True) if value is not None
        }
        visible = visible_questions(form, answers)
        if answers.keys() <= set(visible) and not check_answers(form, answers):
            yield visible, answers


@given(cases())
def test_reachable_is_what_brute_force_finds(case: tuple[Form, Profile]) -> None:
    form, profile = case
    surveyed = survey(form, profile)
    plan, found = surveyed.plan, surveyed.reachable
    scores = [score(plan, visible, answers) for visible, answers in all_submissions(form)]
    complete = [each for each in scores if each.score is not None]
    if complete:
        assert found.exact
        assert found.minimum == min(each.raw for each in complete)
        assert found.maximum == max(each.raw for each in complete)
        assert found.scores == tuple(sorted({each.score for each in complete if each.score is not None}))
    else:
        assert found.scores == ()


@given(cases())
def test_every_score_lies_within_its_bounds(case: tuple[Form, Profile]) -> None:
    form, profile = case
    plan = survey(form, profile).plan
    for visible, answers in all_submissions(form):
        found = score(plan, visible, answers)
        if found.complete:
            assert found.reachable_min <= found.raw <= found.reachable_max


@given(cases(signed=False))
def test_hiding_questions_gains_nothing_in_percent_of_the_profile(case: tuple[Form, Profile]) -> None:
    form, profile = case
    profile = dataclasses.replace(profile, percent_of=PercentOf.PROFILE, scale=Scale.PERCENT)
    plan = survey(form, profile).plan
    complete = [found for each in all_submissions(form) if (found := score(plan, *each)).score is not None]
    by_points = sorted(complete, key=lambda found: found.raw)
    assert [found.percent for found in by_points] == sorted(found.percent for found in complete)
    if by_points and by_points[-1].raw > 0:
        assert by_points[-1].percent == 100


@given(cases())
def test_without_paths_the_bounds_are_wider_never_narrower(case: tuple[Form, Profile]) -> None:
    form, profile = case
    surveyed = survey(form, profile)
    exact, wide = surveyed.reachable, Survey(surveyed.plan, None).reachable
    if exact.scores:
        assert wide.minimum <= exact.minimum and exact.maximum <= wide.maximum
    assert wide.scores == ()


def test_a_large_form_gets_exact_bounds_without_a_list() -> None:
    questions = tuple(
        Question(
            f"q{index}",
            "",
            QuestionType.SINGLE_CHOICE,
            required=True,
            choices=tuple(Choice(f"c{choice}", "") for choice in range(5)),
            visible_if="{q0} = 'c4'" if index == 99 else "",
        )
        for index in range(100)
    )
    scored = tuple(
        QuestionPoints(question.key, choices={f"c{choice}": D(choice) for choice in range(5)}) for question in questions
    )
    found = survey(Form("f", 1, "", "", questions), Profile("f", 1, Scale.RAW, scored)).reachable
    assert (found.minimum, found.maximum, found.scores, found.exact) == (0, 400, (), True)


def test_conditions_on_texts_cannot_be_enumerated_so_bounds_are_not_claimed_exact() -> None:
    questions = (
        Question("why", "", QuestionType.TEXT),
        Question("flag", "", QuestionType.BOOLEAN, required=True, visible_if="{why} contains 'price'"),
    )
    profile = Profile("f", 1, Scale.RAW, (QuestionPoints("flag", points_if_true=D(5), points_if_false=D(2)),))
    surveyed = survey(Form("f", 1, "", "", questions), profile)
    plan, found = surveyed.plan, surveyed.reachable
    assert (found.minimum, found.maximum, found.scores, found.exact) == (0, 5, (), False)
    assert score(plan, ("why",), {"why": "time"}).percent == 0
    assert score(plan, ("why", "flag"), {"why": "price", "flag": True}).percent == 100


@given(cases(signed=False))
def test_invariants_of_scores(case: tuple[Form, Profile]) -> None:
    form, profile = case
    plan = survey(form, profile).plan
    for visible, answers in list(all_submissions(form))[:50]:
        found = score(plan, visible, answers)
        assert 0 <= found.percent <= 100
        assert all(0 <= section.percent <= 100 for section in found.sections)
        if profile.total_over is TotalOver.QUESTIONS:
            assert sum(each.points for each in found.contributions) == found.raw
        backwards = dict(reversed(answers.items()))
        hidden: dict[str, Value] = {question.key: "zzz" for question in form.questions if question.key not in visible}
        assert score(plan, visible, {**backwards, **hidden}) == found


@given(cases(signed=False), st.integers(1, 5))
def test_more_points_never_make_a_score_smaller(case: tuple[Form, Profile], extra: int) -> None:
    form, profile = case
    richer = dataclasses.replace(
        profile,
        questions=tuple(
            dataclasses.replace(
                each,
                choices={key: points + extra for key, points in each.choices.items()},
                points_if_true=each.points_if_true and each.points_if_true + extra,
                bands=tuple(dataclasses.replace(band, points=band.points + extra) for band in each.bands),
            )
            for each in profile.questions
        ),
    )
    plan, rich_plan = survey(form, profile).plan, survey(form, richer).plan
    for visible, answers in list(all_submissions(form))[:50]:
        assert score(rich_plan, visible, answers).raw >= score(plan, visible, answers).raw


@given(cases(signed=False), st.sampled_from([D(2), D("0.5"), D(10)]))
def test_one_weight_for_all_leaves_percent_alone(case: tuple[Form, Profile], factor: Decimal) -> None:
    form, profile = case
    profile = dataclasses.replace(profile, total_over=TotalOver.QUESTIONS)
    heavier = dataclasses.replace(
        profile,
        questions=tuple(dataclasses.replace(each, weight=each.weight * factor) for each in profile.questions),
    )
    plan, heavy_plan = survey(form, profile).plan, survey(form, heavier).plan
    for visible, answers in list(all_submissions(form))[:50]:
        light, heavy = score(plan, visible, answers), score(heavy_plan, visible, answers)
        assert heavy.percent == light.percent
        assert (heavy.raw, heavy.reachable_max) == (light.raw * factor, light.reachable_max * factor)
