"""What the lint finds in conditions: references, choices, tests that are decided beforehand, and cost."""

from decimal import Decimal

import pytest
from forms.answers import Value
from forms.check import MAX_TEXT_LENGTH, visible_questions
from forms.conditions import MAX_LENGTH
from forms.definition import Choice, Form, Question, QuestionType
from forms.lint import Severity, lint
from forms.steps import TooManySteps
from forms.syntax import written
from hypothesis import given
from hypothesis import strategies as st

from tests.forms.drawn import CONDITIONS, NUMBERS

CHOICES = tuple(Choice(key, key) for key in ("yes", "no", "1", "New Zealand"))
ASKED = (
    Question("single", "", QuestionType.SINGLE_CHOICE, choices=CHOICES),
    Question("several", "", QuestionType.MULTIPLE_CHOICE, choices=(*CHOICES, Choice("none", "None", exclusive=True))),
    Question("two", "", QuestionType.MULTIPLE_CHOICE, choices=CHOICES, max_choices=2),
    Question("number", "", QuestionType.NUMBER, minimum=Decimal(0), maximum=Decimal(100)),
    Question("flag", "", QuestionType.BOOLEAN),
    Question("text", "", QuestionType.TEXT),
)


def form(*conditions: str) -> Form:
    last = (Question(f"q{number}", "", QuestionType.TEXT, visible_if=each) for number, each in enumerate(conditions))
    return Form("f", 1, "", "", (*ASKED, *last))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("{single}", "bare_reference"),
        ("{flag} and {number}", "bare_reference"),
        ("!{text}", "bare_reference"),
        ("{single} = 'maybe'", "unknown_choice"),
        ("{single} != 'maybe'", "unknown_choice"),
        ("'maybe' = {single}", "unknown_choice"),
        ("{single} anyof ['yes', 'maybe']", "unknown_choice"),
        ("{several} contains 'maybe'", "unknown_choice"),
        ("{several} = ['yes', 'maybe']", "unknown_choice"),
        ("{several} = 'yes'", "constant_test"),
        ("{number} > 100", "constant_test"),
        ("{number} = -1 or {flag}", "constant_test"),
        ("{number} = 'many'", "constant_test"),
        ("{flag} = 'perhaps'", "constant_test"),
        ("1 = 1", "constant_test"),
        ("true and {flag}", "constant_test"),
        ("{single} = 'yes' and {single} = 'no'", "never_visible"),
        ("{number} > 50 and {number} < 20", "never_visible"),
        ("{several} contains 'none' and {several} contains 'yes'", "never_visible"),
        ("{two} allof ['yes', 'no', '1']", "constant_test"),
        ("{flag} and !{flag}", "never_visible"),
        ("{flag} or !{flag}", "always_visible"),
    ],
)
def test_what_is_found(condition: str, expected: str) -> None:
    assert [(found.code, found.pointer) for found in lint(form(condition))] == [(expected, "/questions/6/visible_if")]


@pytest.mark.parametrize(
    "condition",
    [
        "{flag}",
        "{single} = 'yes'",
        "{single} = 'YES'",
        "{single} = 1",
        "{single} anyof ['New Zealand', 1]",
        "{single} contains 'Zealand'",
        "{several} contains 'yes' and {several} contains 'no'",
        "{several} notempty",
        "{two} allof ['yes', 'no']",
        "{number} > 1 and {number} < 2",
        "{number} >= 100",
        "{text} contains 'a' and {text} contains 'b'",
        "{number} > {single}",
        "{single} = 'yes' and {flag} and {number} > 5 or {several} anyof ['yes', 'none']",
    ],
)
def test_sound_conditions_are_left_alone(condition: str) -> None:
    assert lint(form(condition)) == []


def test_an_unknown_choice_is_told_with_those_that_exist() -> None:
    (found,) = lint(form("{single} = 'maybe'"))
    assert found.message == "'single' has no choice 'maybe'. Its choices: 'yes', 'no', '1', 'New Zealand'."


def costly(number: int) -> Form:
    """Many texts of the greatest length, each looked through for many words."""
    words = ",".join(["'a'"] * ((MAX_LENGTH - 20) // 4))
    asked = [Question("text", "", QuestionType.TEXT)]
    asked += [
        Question(f"q{each}", "", QuestionType.TEXT, visible_if=f"{{text}} allof [{words}]") for each in range(number)
    ]
    return Form("f", 1, "", "", tuple(asked))


def test_conditions_that_cost_too_much_are_refused_before_any_answer() -> None:
    answers: dict[str, Value] = {"text": "a" * MAX_TEXT_LENGTH}
    found = lint(costly(4))
    assert [(each.severity, each.code) for each in found] == [(Severity.ERROR, "conditions_too_complex")]
    with pytest.raises(TooManySteps):
        visible_questions(costly(4), answers)


@given(st.data(), st.lists(CONDITIONS, max_size=4))
def test_what_is_said_to_be_never_or_always_visible_is(data: st.DataObject, drawn: list) -> None:
    keys = dict(zip("abc", data.draw(st.permutations([question.key for question in ASKED])), strict=False))
    conditions = [written(each) for each in drawn]
    for short, key in keys.items():
        conditions = [each.replace(f"{{{short}}}", f"{{{key}}}") for each in conditions]
    asked = form(*conditions)
    wrong = {found.pointer: found.code for found in lint(asked)}
    taken = st.lists(st.sampled_from([choice.key for choice in CHOICES]), max_size=2, unique=True).map(tuple)
    values: dict[str, st.SearchStrategy[Value]] = {
        "single": st.sampled_from([choice.key for choice in CHOICES]),
        "several": taken,
        "two": taken,
        "number": NUMBERS.filter(lambda number: 0 <= number <= 100),
        "flag": st.booleans(),
        "text": st.text(max_size=3),
    }
    answers = data.draw(st.fixed_dictionaries({}, optional=values))
    visible = visible_questions(asked, answers)
    for index, question in enumerate(asked.questions):
        code = wrong.get(f"/questions/{index}/visible_if")
        assert code != "never_visible" or question.key not in visible
        assert code != "always_visible" or question.key in visible
