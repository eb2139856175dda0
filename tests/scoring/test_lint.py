"""What lint finds in a profile for its form."""

import dataclasses
import json
from decimal import Decimal
from importlib.resources import files

import pytest
from forms.answers import Value
from forms.definition import Choice, Form, Question, QuestionType, form_from_json
from forms.lint import Severity
from scoring.domain.lint import lint_profile
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
from scoring.domain.reach import survey
from scoring.domain.score import score
from scoring.templates import profile_templates

D = Decimal
CHOICES = (Choice("a", "A"), Choice("b", "B"))
FORM = Form(
    "f",
    1,
    "",
    "",
    (
        Question("single", "", QuestionType.SINGLE_CHOICE, required=True, choices=CHOICES),
        Question("number", "", QuestionType.NUMBER, minimum=D(0), maximum=D(10)),
        Question("text", "", QuestionType.TEXT),
    ),
)
SINGLE = QuestionPoints("single", choices={"a": D(1), "b": D(0)})
NUMBER = QuestionPoints("number", bands=(Band(D(0), D(5), D(1)), Band(D(5), None, D(2))))
PROFILE = Profile("f", 1, Scale.RAW, (SINGLE, NUMBER))


def found(**changes: object) -> list[tuple[str, str, str]]:
    findings = lint_profile(FORM, dataclasses.replace(PROFILE, **changes))
    return [(finding.severity.value, finding.code, finding.pointer) for finding in findings]


def bands(*edges: tuple[int | None, int | None]) -> tuple[QuestionPoints, ...]:
    made = tuple(Band(None if low is None else D(low), None if high is None else D(high), D(1)) for low, high in edges)
    return (SINGLE, dataclasses.replace(NUMBER, bands=made))


def test_a_sound_profile_has_no_findings() -> None:
    assert found() == []


@pytest.mark.parametrize("key", ["prospecting", "discovery", "demo", "sales_feedback"])
def test_shipped_profiles_have_no_findings(key: str) -> None:
    document = json.loads((files("assessment") / "templates" / f"{key}.json").read_text(encoding="utf-8"))
    profile = profile_from_json(key, 1, profile_templates()[key].profile)
    assert lint_profile(form_from_json(document, 1), profile) == []


@pytest.mark.parametrize(
    ("questions", "expected"),
    [
        ((SINGLE, NUMBER, QuestionPoints("zzz")), [("error", "unknown_question", "/questions/2")]),
        ((SINGLE, NUMBER, SINGLE), [("error", "duplicate_question", "/questions/2")]),
        (
            (QuestionPoints("single", choices={"a": D(1), "b": D(0), "c": D(1)}), NUMBER),
            [("error", "unknown_choice", "/questions/0/choices/2")],
        ),
        (
            (QuestionPoints("single", choices={"a": D(1)}), NUMBER),
            [("warning", "unscored_choice", "/questions/0/choices")],
        ),
        (
            (QuestionPoints("single", choices={"a": D(1), "b": D(-1)}), NUMBER),
            [("warning", "negative_points", "/questions/0")],
        ),
        ((SINGLE,), [("warning", "unscored_question", "/questions")]),
        (
            (SINGLE, NUMBER, QuestionPoints("text")),
            [("warning", "text_has_no_points", "/questions/2")],
        ),
        (
            (dataclasses.replace(SINGLE, points_if_true=D(1), cap_points=D(1)), NUMBER),
            [
                ("error", "wrong_kind_of_points", "/questions/0/points_if_true"),
                ("error", "wrong_kind_of_points", "/questions/0/cap_points"),
            ],
        ),
        ((SINGLE, QuestionPoints("number")), [("warning", "no_bands", "/questions/1/bands")]),
        (bands((0, 5), (4, None)), [("error", "bands_overlap", "/questions/1/bands")]),
        (bands((None, 5), (None, 7)), [("error", "bands_overlap", "/questions/1/bands")]),
        (bands((0, None), (7, None)), [("error", "bands_overlap", "/questions/1/bands")]),
        (bands((0, 5), (6, None)), [("warning", "bands_leave_hole", "/questions/1/bands")]),
        (bands((1, None)), [("warning", "bands_leave_hole", "/questions/1/bands")]),
        (bands((0, 10)), [("warning", "bands_leave_hole", "/questions/1/bands")]),
        (bands((0, 11)), []),
        (bands((5, 5), (0, None)), [("error", "empty_band", "/questions/1/bands/0")]),
        (
            (QuestionPoints("single", choices={"a": D(0), "b": D(0)}),),
            [("error", "nothing_to_earn", "/questions"), ("warning", "unscored_question", "/questions")],
        ),
        (
            (QuestionPoints("single", choices={"a": D(3), "b": D(3)}),),
            [("warning", "unscored_question", "/questions"), ("warning", "always_the_same", "/questions")],
        ),
    ],
)
def test_questions(questions: tuple[QuestionPoints, ...], expected: list[tuple[str, str, str]]) -> None:
    assert found(questions=questions) == expected


def section(key: str, *question_keys: str) -> Section:
    return Section(key, SectionFunction.SUM, question_keys)


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ((section("s", "single"), section("s", "number")), [("error", "duplicate_section", "/sections/1/key")]),
        (
            (section("s", "single", "number"), section("t")),
            [("error", "empty_section", "/sections/1/question_keys")],
        ),
        (
            (section("s", "single", "number", "text"),),
            [("error", "unscored_question_in_section", "/sections/0/question_keys/2")],
        ),
        (
            (section("s", "single", "number", "single"),),
            [("error", "duplicate_question", "/sections/0/question_keys/2")],
        ),
        ((section("s", "single"),), [("warning", "question_outside_sections", "/sections")]),
        ((), [
            ("error", "no_sections", "/sections"),
            ("warning", "question_outside_sections", "/sections"),
            ("warning", "question_outside_sections", "/sections"),
        ]),
    ],
)  # fmt: skip
def test_sections(sections: tuple[Section, ...], expected: list[tuple[str, str, str]]) -> None:
    assert found(sections=sections, total_over=TotalOver.SECTIONS) == expected


def test_policy_and_minimum() -> None:
    assert found(unanswered_points=D(1)) == [("error", "default_unused", "/unanswered/points")]
    assert found(unanswered=UnansweredPolicy.DEFAULT, unanswered_points=D(1)) == []
    assert found(minimum_answered=3) == [("error", "never_complete", "/minimum_answered")]


def test_an_overlap_names_a_number_in_both_bands() -> None:
    (finding,) = lint_profile(FORM, dataclasses.replace(PROFILE, questions=bands((0, 5), (4, None))))
    assert finding.severity is Severity.ERROR
    assert finding.message == "4 is in two bands"


def test_points_that_the_crm_cannot_hold_are_told() -> None:
    found = lint_profile(
        FORM, Profile("f", 1, Scale.RAW, (QuestionPoints("single", choices={"a": D(100_000), "b": D(0)}), NUMBER))
    )
    assert ("too_large_for_crm", "/questions/0") in [(each.code, each.pointer) for each in found]


NONE = Choice("none", "None", exclusive=True)
PAINS = Form(
    "f",
    1,
    "",
    "",
    (
        Question("pains", "", QuestionType.MULTIPLE_CHOICE, required=True, choices=(*CHOICES, NONE)),
        Question("deadline", "", QuestionType.BOOLEAN, required=True),
        Question("event", "", QuestionType.BOOLEAN, required=True, visible_if="{pains} noneof ['none']"),
    ),
)
PAIN_POINTS = (
    QuestionPoints("pains", choices={"a": D(20), "b": D(20), "none": D(0)}),
    QuestionPoints("deadline", points_if_true=D(30), points_if_false=D(0)),
    QuestionPoints("event", points_if_true=D(30), points_if_false=D(0)),
)


def test_an_answer_that_hides_questions_for_nothing_is_named_with_its_witness() -> None:
    points = (QuestionPoints("pains", choices=dict.fromkeys(("a", "b", "none"), D(0))), *PAIN_POINTS[1:])
    profile = Profile("f", 1, Scale.PERCENT, points, percent_of=PercentOf.PATH)
    (finding,) = lint_profile(PAINS, profile)
    assert (finding.code, finding.pointer) == ("hiding_costs_nothing", "/questions/0")
    assert finding.message == "none to 'pains' hides event and still gives up to 100; a+b gives up to 100"
    assert lint_profile(PAINS, dataclasses.replace(profile, percent_of=PercentOf.PROFILE)) == []


def test_the_worst_answer_to_a_gate_is_no_way_to_100_percent() -> None:
    answers: dict[str, Value] = {"pains": ("none",), "deadline": True}
    for percent_of, percent in ((PercentOf.PROFILE, D("30.00")), (PercentOf.PATH, D("42.86"))):
        plan = survey(PAINS, Profile("f", 1, Scale.PERCENT, PAIN_POINTS, percent_of=percent_of)).plan
        assert score(plan, ("pains", "deadline"), answers).score == percent


def test_follow_ups_that_only_take_points_away_are_worth_hiding_in_any_scale() -> None:
    event = QuestionPoints("event", points_if_true=D(-30), points_if_false=D(-40))
    pains = QuestionPoints("pains", choices={"a": D(5), "b": D(5), "none": D(0)})
    codes = [f.code for f in lint_profile(PAINS, Profile("f", 1, Scale.RAW, (pains, PAIN_POINTS[1], event)))]
    assert "hiding_costs_nothing" in codes


def test_a_mean_of_the_answered_alone_needs_a_number_of_answers() -> None:
    sections = (Section("s", SectionFunction.MEAN, ("single", "number")),)
    changes = {"scale": Scale.PERCENT, "unanswered": UnansweredPolicy.SKIP, "sections": sections,
               "total_over": TotalOver.SECTIONS}  # fmt: skip
    assert ("warning", "one_answer_is_enough", "/minimum_answered") in found(**changes)
    assert "one_answer_is_enough" not in [code for _, code, _ in found(**changes, minimum_answered=2)]


def test_percentages_that_the_engine_could_not_hold_are_refused() -> None:
    single = QuestionPoints("single", choices={"a": D("0.000001"), "b": D(-(10**6))})
    codes = [code for _, code, _ in found(scale=Scale.PERCENT, questions=(single, NUMBER))]
    assert "percent_too_low" in codes
    single = QuestionPoints("single", choices={"a": D("0.000001"), "b": D(-(10**4))})
    codes = [code for _, code, _ in found(scale=Scale.PERCENT, questions=(single, NUMBER))]
    assert "percent_too_low" not in codes


def test_no_more_findings_than_a_person_reads_errors_first() -> None:
    many = tuple(QuestionPoints(f"q{index}") for index in range(600))
    findings = lint_profile(FORM, dataclasses.replace(PROFILE, questions=many))
    assert len(findings) == 501
    assert findings[-1].code == "findings_omitted"
