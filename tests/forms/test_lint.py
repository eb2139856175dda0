"""What lint finds in a form."""

import json
from decimal import Decimal
from importlib.resources import files

import pytest
from forms.definition import Choice, Form, Question, QuestionType, form_from_json
from forms.lint import Severity, lint
from forms.syntax import Comparison, Reference, written


def form(*questions: Question) -> Form:
    return Form("f", 1, "", "", questions)


def single(key: str, *texts: str, visible_if: str = "") -> Question:
    choices = tuple(Choice(f"c{index}", text) for index, text in enumerate(texts))
    return Question(key, "", QuestionType.SINGLE_CHOICE, choices=choices, visible_if=visible_if)


def findings(*questions: Question) -> list[tuple[str, str]]:
    return [(finding.code, finding.pointer) for finding in lint(form(*questions))]


def test_the_field_example_overlaps_at_two_and_leaves_zero_and_five_out() -> None:
    found = lint(form(single("hours", "1-2", "2-4", ">5")))
    assert {finding.severity for finding in found} == {Severity.WARNING}
    assert [finding.message for finding in found] == [
        "No choice covers 0, below '1-2'.",
        "2 is in both '1-2' and '2-4'.",
        "No choice covers 5, between '2-4' and '>5'.",
    ]


@pytest.mark.parametrize(
    ("questions", "expected"),
    [
        ((), [("no_questions", "/questions")]),
        ((single("a", "x"), single("a", "x")), [("duplicate_key", "/questions/1/key")]),
        ((single("a", "x"), single("A", "x")), [("duplicate_key", "/questions/1/key")]),
        ((single("a"),), [("no_choices", "/questions/0/choices")]),
        ((single("a", "x", " "),), [("empty_choice", "/questions/0/choices/1/text")]),
        ((single("a", "x", visible_if="{a} = 'c0'"),), [("self_reference", "/questions/0/visible_if")]),
        (
            (single("a", "x", visible_if="{b} = 'c0'"), single("b", "x")),
            [("forward_reference", "/questions/0/visible_if")],
        ),
        ((single("a", "x", visible_if="{z} = 'c0'"),), [("unknown_reference", "/questions/0/visible_if")]),
        ((single("a", "x", visible_if="{a} ="),), [("bad_condition", "/questions/0/visible_if")]),
        ((single("a", "x", "y"), single("b", "x", visible_if="{a} = 'c0'")), []),
        ((single("a", "1–2 weeks", "1–2 months"),), [("range_units", "/questions/0/choices")]),
        (
            (Question("a", "", QuestionType.SINGLE_CHOICE, choices=(Choice("x", "X"), Choice("X", "Y"))),),
            [("duplicate_key", "/questions/0/choices/1/key")],
        ),
        (
            (Question("a", "", QuestionType.MULTIPLE_CHOICE, choices=(Choice("x", "X"),), max_choices=3),),
            [("max_choices_unreachable", "/questions/0/max_choices")],
        ),
        (
            (Question("a", "", QuestionType.TEXT, choices=(Choice("x", "X"),)),),
            [("choices_unused", "/questions/0/choices")],
        ),
        (
            (Question("a", "", QuestionType.NUMBER, minimum=Decimal(2), maximum=Decimal(1)),),
            [("empty_range", "/questions/0/minimum")],
        ),
        ((Question("a", "", QuestionType.TEXT, minimum=Decimal(2)),), [("limit_unused", "/questions/0")]),
        ((Question("a", "", QuestionType.TEXT, max_choices=1),), [("limit_unused", "/questions/0/max_choices")]),
        ((Question("a", "", QuestionType.NUMBER, max_length=1),), [("limit_unused", "/questions/0/max_length")]),
        ((Question("a", "", QuestionType.TEXT, max_length=-1),), [("negative_limit", "/questions/0")]),
    ],
)
def test_findings(questions: tuple[Question, ...], expected: list[tuple[str, str]]) -> None:
    assert findings(*questions) == expected


@pytest.mark.parametrize("key", ["prospecting", "discovery", "demo", "sales_feedback"])
def test_shipped_assessments_have_no_errors(key: str) -> None:
    document = json.loads((files("assessment") / "templates" / f"{key}.json").read_text(encoding="utf-8"))
    found = lint(form_from_json(document, 1))
    assert [finding for finding in found if finding.severity is Severity.ERROR] == []
    assert bool(found) is (key == "prospecting")


FIELD_KEYS = ["0", "1", "New Zealand", "/44250-9", "don't know", "a.b", "Été", "x" * 80]


@pytest.mark.parametrize("key", FIELD_KEYS)
def test_keys_of_the_field_are_accepted(key: str) -> None:
    choices = (Choice(key, "This"), Choice("other", "That"))
    literal = written(Comparison("=", Reference(key), key))
    asked = Question(key, "", QuestionType.SINGLE_CHOICE, choices=choices)
    assert findings(asked, Question("then", "", QuestionType.TEXT, visible_if=literal)) == []


@pytest.mark.parametrize("key", ["", " a", "a ", "a{b", "a}", "a[0]", 'a"b', "#a", "$a", "a.length", "a\nb", "x" * 81])
def test_keys_that_a_page_reads_otherwise_are_refused(key: str) -> None:
    assert findings(Question(key, "", QuestionType.TEXT)) == [("bad_key", "/questions/0/key")]


@pytest.mark.parametrize("key", ["", " a", "a ", "a\nb", "x" * 101])
def test_keys_of_choices_are_any_short_text(key: str) -> None:
    asked = Question("a", "", QuestionType.SINGLE_CHOICE, choices=(Choice(key, "This"),))
    assert findings(asked) == [("bad_key", "/questions/0/choices/0/key")]


def test_what_the_crm_shortens_is_told_when_it_is_written() -> None:
    number = Question("n", "", QuestionType.NUMBER, minimum=Decimal("-1e14"), maximum=Decimal("99999999999999"))
    assert findings(Question("k" * 80, "t" * 255, QuestionType.TEXT), number) == [
        ("too_large_for_crm", "/questions/1/minimum")
    ]
    # UTF-16 counts an emoji twice.
    assert findings(Question("\U0001f600" * 41, "\U0001f600" * 128, QuestionType.TEXT)) == [
        ("too_long_for_crm", "/questions/0/key"),
        ("too_long_for_crm", "/questions/0/text"),
    ]
