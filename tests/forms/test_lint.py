"""What lint finds in a form, and that ranges read from labels tell the truth."""

import json
from collections.abc import Sequence
from decimal import Decimal
from importlib.resources import files

import pytest
from forms.definition import Choice, Form, Question, QuestionType, form_from_json
from forms.lint import Severity, lint
from forms.ranges import Hole, LabelRange, Overlap, inspect_labels, parse_label
from hypothesis import given
from hypothesis import strategies as st


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
        "no choice covers 0, below '1-2'",
        "2 is in both '1-2' and '2-4'",
        "no choice covers 5, between '2-4' and '>5'",
    ]


@pytest.mark.parametrize(
    ("questions", "expected"),
    [
        ((), [("no_questions", "/questions")]),
        ((single("a", "x"), single("a", "x")), [("duplicate_key", "/questions/1/key")]),
        ((single("1a", "x"),), [("bad_key", "/questions/0/key")]),
        ((single("a"),), [("no_choices", "/questions/0/choices")]),
        ((single("a", "x", " "),), [("empty_choice", "/questions/0/choices/1/text")]),
        ((single("a", "x", visible_if="{a} = 'c0'"),), [("forward_reference", "/questions/0/visible_if")]),
        (
            (single("a", "x", visible_if="{b} = 'c0'"), single("b", "x")),
            [("forward_reference", "/questions/0/visible_if")],
        ),
        ((single("a", "x", visible_if="{z} = 'c0'"),), [("unknown_reference", "/questions/0/visible_if")]),
        ((single("a", "x", visible_if="{a} ="),), [("bad_condition", "/questions/0/visible_if")]),
        ((single("a", "x"), single("b", "x", visible_if="{a} = 'c0'")), []),
        (
            (Question("a", "", QuestionType.SINGLE_CHOICE, choices=(Choice("x", "X"), Choice("x", "Y"))),),
            [("duplicate_key", "/questions/0/choices/1/key")],
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


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("1-2", LabelRange("1-2", Decimal(1), Decimal(2))),
        ("1 – 2 hours per week", LabelRange("1 – 2 hours per week", Decimal(1), Decimal(2))),
        ("$5k to 10k", LabelRange("$5k to 10k", Decimal(5000), Decimal(10000))),
        ("1,000-2,500.50", LabelRange("1,000-2,500.50", Decimal(1000), Decimal("2500.50"))),
        (">5", LabelRange(">5", Decimal(5), None, includes_lower=False)),
        ("more than 5 hours", LabelRange("more than 5 hours", Decimal(5), None, includes_lower=False)),
        ("At least 5", LabelRange("At least 5", Decimal(5), None)),
        ("10+", LabelRange("10+", Decimal(10), None)),
        ("10 people or more", LabelRange("10 people or more", Decimal(10), None)),
        ("< 3", LabelRange("< 3", None, Decimal(3), includes_upper=False)),
        ("up to 50%", LabelRange("up to 50%", None, Decimal(50))),
        ("7", LabelRange("7", Decimal(7), Decimal(7))),
        ("4-2", None),
        ("I do not know", None),
        ("2024-01-02", None),
        ("Yes", None),
        ("x" * 500, None),
    ],
)
def test_labels_are_read_as_ranges(label: str, expected: LabelRange | None) -> None:
    assert parse_label(label) == expected


@pytest.mark.parametrize(
    "labels",
    [
        ["under 10", "10 to 20", "more than 20"],
        ["0-2", "3-4", "5+"],
        ["Yes", "No"],
        ["1", "2", "3", "4", "5"],
        ["up to 5", "more than 5", "I do not know"],
    ],
)
def test_sound_labels_are_left_alone(labels: list[str]) -> None:
    assert list(inspect_labels(labels)) == []


def covers(found: LabelRange, number: Decimal) -> bool:
    above = found.lower is None or number > found.lower or (number == found.lower and found.includes_lower)
    below = found.upper is None or number < found.upper or (number == found.upper and found.includes_upper)
    return above and below


NUMBERS = st.integers(0, 12)
LABELS = st.one_of(
    st.tuples(NUMBERS, NUMBERS).map(lambda pair: f"{min(pair)}-{max(pair)}"),
    NUMBERS.map(lambda number: f">{number}"),
    NUMBERS.map(lambda number: f"<{number}"),
    NUMBERS.map(lambda number: f"at least {number}"),
    st.tuples(NUMBERS, NUMBERS).map(lambda pair: f"{min(pair)}.5-{max(pair)}.5"),
)


@given(st.lists(LABELS, max_size=5))
def test_every_witness_is_true_and_silence_means_whole_numbers_are_sound(labels: Sequence[str]) -> None:
    ranges = [found for found in map(parse_label, labels) if found is not None]
    found = list(inspect_labels(labels))
    for each in found:
        hits = [one for one in ranges if covers(one, each.witness)]
        if isinstance(each, Overlap):
            assert each.first in hits and each.second in hits
        else:
            assert hits == []
    if sum(each.lower != each.upper for each in ranges) < 2:
        assert found == []
        return
    highest = max(number for each in ranges for number in (each.lower, each.upper) if number is not None)
    for whole in map(Decimal, range(int(highest) + 1)):
        hits = sum(covers(one, whole) for one in ranges)
        if hits > 1:
            assert any(isinstance(each, Overlap) for each in found)
        if hits == 0 and any(one.lower is not None and one.lower > whole for one in ranges):
            assert any(isinstance(each, Hole) for each in found)
