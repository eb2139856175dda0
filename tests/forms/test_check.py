"""Visibility and the checks of answers."""

from decimal import Decimal

import pytest
from forms.answers import Value
from forms.check import MAX_TEXT_LENGTH, check_answers, visible_questions
from forms.definition import Choice, Form, Question, QuestionType
from hypothesis import given
from hypothesis import strategies as st

CHOICES = (Choice("a", "A"), Choice("b", "B"), Choice("c", "C"), Choice("none", "None", exclusive=True))
FORM = Form(
    "f",
    1,
    "",
    "",
    (
        Question("flag", "", QuestionType.BOOLEAN, required=True),
        Question("single", "", QuestionType.SINGLE_CHOICE, True, choices=CHOICES, visible_if="{flag} = true"),
        Question("multi", "", QuestionType.MULTIPLE_CHOICE, choices=CHOICES, max_choices=2),
        Question("number", "", QuestionType.NUMBER, minimum=Decimal(0), maximum=Decimal(10)),
        Question("text", "", QuestionType.TEXT, max_length=5, visible_if="{single} = 'A'"),
        Question("free", "", QuestionType.TEXT),
    ),
)


def codes(answers: dict[str, Value]) -> list[tuple[str, str]]:
    return [(problem.question_key, problem.code) for problem in check_answers(FORM, answers)]


def test_conditions_decide_what_is_visible() -> None:
    assert visible_questions(FORM, {}) == ("flag", "multi", "number", "free")
    assert visible_questions(FORM, {"flag": True}) == ("flag", "single", "multi", "number", "free")
    everything = ("flag", "single", "multi", "number", "text", "free")
    assert visible_questions(FORM, {"flag": True, "single": "a"}) == everything


def test_the_answer_to_a_hidden_question_does_not_count_later() -> None:
    assert "text" not in visible_questions(FORM, {"flag": False, "single": "a"})


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"flag": False}, []),
        ({"flag": True, "single": "a", "multi": ("a", "b"), "number": Decimal(10), "text": "12345"}, []),
        ({}, [("flag", "required_missing")]),
        ({"flag": True}, [("single", "required_missing")]),
        ({"flag": True, "single": " "}, [("single", "required_missing")]),
        ({"flag": False, "single": "zzz", "text": "much too long"}, []),
        ({"flag": False, "other": "x"}, [("other", "unknown_question")]),
        ({"flag": "maybe"}, [("flag", "wrong_type")]),
        ({"flag": False, "number": True}, [("number", "wrong_type")]),
        ({"flag": False, "number": "5"}, [("number", "wrong_type")]),
        ({"flag": False, "multi": "a"}, [("multi", "wrong_type")]),
        ({"flag": True, "single": ("a",)}, [("single", "wrong_type")]),
        ({"flag": True, "single": "A"}, [("single", "unknown_choice")]),
        ({"flag": False, "multi": ("a", "z")}, [("multi", "unknown_choice")]),
        ({"flag": False, "multi": ("a", "b", "c")}, [("multi", "too_many_choices")]),
        ({"flag": False, "multi": ("a", "a")}, [("multi", "too_many_choices")]),
        ({"flag": False, "multi": ("none",)}, []),
        ({"flag": False, "multi": ("a", "none")}, [("multi", "exclusive_choice")]),
        ({"flag": False, "multi": ()}, []),
        ({"flag": False, "number": Decimal("-0.01")}, [("number", "out_of_range")]),
        ({"flag": False, "number": Decimal("10.01")}, [("number", "out_of_range")]),
        ({"flag": False, "number": Decimal("NaN")}, [("number", "out_of_range")]),
        ({"flag": False, "number": Decimal("Infinity")}, [("number", "out_of_range")]),
        ({"flag": False, "number": Decimal("1E+999999")}, [("number", "out_of_range")]),
        ({"flag": False, "number": Decimal("1E-999999")}, [("number", "out_of_range")]),
        ({"flag": True, "single": "a", "text": "123456"}, [("text", "too_long")]),
        ({"flag": False, "free": "x" * MAX_TEXT_LENGTH}, []),
        ({"flag": False, "free": "x" * (MAX_TEXT_LENGTH + 1)}, [("free", "too_long")]),
        ({"flag": False, "free": "a\x00"}, [("free", "bad_text")]),
        ({"flag": False, "free": "\ud83d"}, [("free", "bad_text")]),
        ({"flag": False, "text": "\udc00"}, [("text", "bad_text")]),
    ],
)
def test_problems(answers: dict[str, Value], expected: list[tuple[str, str]]) -> None:
    assert codes(answers) == expected


VALUES = st.one_of(
    st.text(max_size=4),
    st.sampled_from(["a", "b", "none"]),
    st.decimals(),
    st.booleans(),
    st.lists(st.sampled_from(["a", "b", "c", "none", "z"]), max_size=3).map(tuple),
)


@given(st.dictionaries(st.sampled_from([question.key for question in FORM.questions]), VALUES))
def test_hidden_answers_change_nothing(answers: dict[str, Value]) -> None:
    visible = visible_questions(FORM, answers)
    kept = {key: value for key, value in answers.items() if key in visible}
    assert visible_questions(FORM, kept) == visible
    unstorable = [problem for problem in check_answers(FORM, answers) if problem.code == "bad_text"]
    if not unstorable:
        assert check_answers(FORM, kept) == check_answers(FORM, answers)
