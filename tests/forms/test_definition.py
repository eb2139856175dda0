"""A form survives its way through events and JSON, and its hash with it."""

import dataclasses
from decimal import Decimal

import pytest
from forms.answers import AnswerMalformed, parse_number
from forms.definition import (
    Choice,
    Form,
    Question,
    QuestionType,
    definition_hash,
    form_from_json,
    form_to_json,
)
from forms.messages import answers_from_proto, answers_to_proto, form_from_event, form_to_event_fields
from hypothesis import given
from hypothesis import strategies as st
from kit.numbers import plain
from stagecraft.assessment.v1.assessment_published_pb2 import AssessmentPublished
from stagecraft.common.v1.answer_pb2 import Answer, ChoiceList

TEXTS = st.text(st.characters(codec="utf-8"), max_size=10)
BOUNDS = st.none() | st.decimals(-(10**6), 10**6, places=3)
QUESTIONS = st.builds(
    Question,
    key=TEXTS,
    text=TEXTS,
    type=st.sampled_from(QuestionType),
    required=st.booleans(),
    help_text=TEXTS,
    section=TEXTS,
    choices=st.lists(st.builds(Choice, TEXTS, TEXTS, st.booleans()), max_size=3).map(tuple),
    visible_if=TEXTS,
    minimum=BOUNDS,
    maximum=BOUNDS,
    max_choices=st.integers(0, 9),
    max_length=st.integers(0, 999),
)
FORMS = st.builds(Form, TEXTS, st.integers(1, 99), TEXTS, TEXTS, st.lists(QUESTIONS, max_size=4).map(tuple))


@given(FORMS)
def test_event_and_json_give_the_form_back(form: Form) -> None:
    event = AssessmentPublished.FromString(AssessmentPublished(**form_to_event_fields(form)).SerializeToString())
    assert form_from_event(event) == form
    assert form_from_json(form_to_json(form), form.version) == form
    assert event.definition_hash == definition_hash(form_from_event(event)) == definition_hash(form)


@given(FORMS, FORMS)
def test_hash_tells_forms_apart(one: Form, other: Form) -> None:
    assert (definition_hash(one) == definition_hash(other)) == (one == other)


def test_hash_ignores_how_a_bound_is_written() -> None:
    question = Question("n", "n", QuestionType.NUMBER, maximum=Decimal("10"))
    form = Form("f", 1, "", "", (question,))
    other = dataclasses.replace(form, questions=(dataclasses.replace(question, maximum=Decimal("1.00E+1")),))
    assert definition_hash(form) == definition_hash(other)


def test_unknown_question_type_is_refused() -> None:
    event = AssessmentPublished(assessment_key="a", version=1)
    event.questions.add(key="q")
    with pytest.raises(ValueError, match="unknown type"):
        form_from_event(event)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30))
def test_plain_is_exact_and_unique(number: Decimal) -> None:
    assert Decimal(plain(number)) == number
    assert plain(number) == plain(Decimal(plain(number) + ("0" if "." in plain(number) else ".0")))


FORM = Form(
    "f",
    1,
    "",
    "",
    (
        Question("single", "", QuestionType.SINGLE_CHOICE, choices=(Choice("a", "A"),)),
        Question("multi", "", QuestionType.MULTIPLE_CHOICE, choices=(Choice("a", "A"), Choice("b", "B"))),
        Question("number", "", QuestionType.NUMBER),
        Question("text", "", QuestionType.TEXT),
        Question("flag", "", QuestionType.BOOLEAN),
    ),
)


def test_answers_survive_the_event_in_the_forms_order() -> None:
    answers = {"flag": False, "text": "x", "number": Decimal("12.50"), "multi": ("b", "a"), "single": "a"}
    sent = answers_to_proto(FORM, answers | {"unknown": "x"})
    assert [answer.WhichOneof("value") for answer in sent] == ["choice", "choices", "number", "text", "boolean"]
    assert answers_from_proto(sent) == answers
    assert sent[2].number == "12.50"


@pytest.mark.parametrize("text", ["", " 1", "1e5", "NaN", "Infinity", "١", "1_000", "1" * 41, "0x1", "1.", "--1"])
def test_numbers_in_other_notations_are_refused(text: str) -> None:
    with pytest.raises(AnswerMalformed):
        parse_number(text)
    with pytest.raises(AnswerMalformed):
        answers_from_proto([Answer(question_key="n", number=text)])


def test_answers_without_value_or_given_twice_are_refused() -> None:
    with pytest.raises(AnswerMalformed, match="no value"):
        answers_from_proto([Answer(question_key="n")])
    with pytest.raises(AnswerMalformed, match="twice"):
        answers_from_proto([Answer(question_key="n", text="a"), Answer(question_key="n", choices=ChoiceList())])
