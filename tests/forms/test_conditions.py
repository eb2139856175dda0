"""The grammar and meaning of conditions, against recorded answers of SurveyJS and against itself."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from forms.answers import Value
from forms.conditions import (
    MAX_DEPTH,
    MAX_LENGTH,
    And,
    Comparison,
    Condition,
    ConditionSyntaxError,
    Not,
    Operand,
    Or,
    Reference,
    Truth,
    parse,
    references,
)
from forms.evaluation import holds
from forms.steps import Steps, TooManySteps
from forms.syntax import written
from hypothesis import given
from hypothesis import strategies as st

from tests.forms.drawn import ANSWERS, COMPARISONS, CONDITIONS, OPERANDS

GOLDEN = json.loads(
    (Path(__file__).parent / "surveyjs_golden.json").read_text(encoding="utf-8"), parse_int=Decimal, parse_float=Decimal
)
GOLDEN_ANSWERS: dict[str, Value] = {
    key: tuple(value) if isinstance(value, list) else value for key, value in GOLDEN["answers"].items()
}


@pytest.mark.parametrize(("source", "expected"), GOLDEN["cases"], ids=[source for source, _ in GOLDEN["cases"]])
def test_agrees_with_surveyjs(source: str, expected: bool) -> None:
    assert holds(parse(source), GOLDEN_ANSWERS) is expected


@pytest.mark.parametrize(
    ("source", "position", "expected"),
    [
        ("{a} = 1 and", 11, "expected a text, number, true, false or {question}, found the end"),
        ("{a} = Yes", 6, "unknown word 'Yes': quote a text"),
        ("{a", 0, "unexpected '{a'"),
        ("{a} = 'x", 6, "unexpected"),
        ("({a} = 1", 8, "expected ')', found the end"),
        ("!{a} = 1", 5, "parentheses around the comparison"),
        ("!{a} empty", 5, "parentheses around the comparison"),
        ("!{a} contains 1", 5, "parentheses around the comparison"),
        ("'x'", 3, "expected a comparison"),
        ("{a} contains {b}", 13, "expected a text"),
        ("{a} = []", 7, "expected a text"),
        ("{a} = [1 2]", 9, "expected ',' or ']'"),
        ("{a} = 1 {b}", 8, "expected 'and', 'or' or the end, found 'b'"),
        ("{a} = 5x", 6, "unexpected '5x'"),
        ("{a} = 05", 6, "unexpected '05'"),
        ("{a} = 1e3", 6, "unexpected '1e3'"),
        ("{a} = 1234567890123456", 6, "a number has at most 15 digits"),
        ("{ a} = 1", 0, "unexpected '{ a} = 1'"),
        ("{a} = 'it\"s'", 6, "unexpected"),
        ("", 0, "expected a text"),
        ("1 contains 1", 2, "expected a comparison"),
    ],
)
def test_errors_say_where_and_what(source: str, position: int, expected: str) -> None:
    with pytest.raises(ConditionSyntaxError) as caught:
        parse(source)
    assert caught.value.position == position
    assert expected in caught.value.message


@pytest.mark.parametrize("opening", ["(", "!", "!("])
def test_nesting_is_bounded(opening: str) -> None:
    closing = ")" * opening.count("(")
    parse(opening * 9 + "{a}" + closing * 9)
    with pytest.raises(ConditionSyntaxError, match="nested deeper"):
        parse(opening * (MAX_DEPTH + 2) + "{a}" + closing * (MAX_DEPTH + 2))


def test_length_is_bounded() -> None:
    parse("{a} = 1".ljust(MAX_LENGTH))
    with pytest.raises(ConditionSyntaxError, match="at most"):
        parse("{a} = 1".ljust(MAX_LENGTH + 1))


def test_and_binds_tighter_than_or_and_words_ignore_case() -> None:
    a, b, c = (Truth(Reference(key)) for key in "abc")
    assert parse("{a} OR {b} And {c}") == Or((a, And((b, c))))
    assert parse("({a} or {b}) and {c}") == And((Or((a, b)), c))


def test_references_come_from_everywhere() -> None:
    assert references(parse("!({a} empty or {b} > {c}) and {d} anyof [1]")) == {"a", "b", "c", "d"}


@given(st.text(max_size=60))
def test_any_text_parses_or_fails_with_a_position(source: str) -> None:
    try:
        parse(source)
    except ConditionSyntaxError as error:
        assert 0 <= error.position <= len(source)


@given(CONDITIONS)
def test_what_is_written_parses_back(condition: Condition) -> None:
    assert parse(written(condition)) == condition


@given(COMPARISONS, ANSWERS)
def test_two_negations_keep_what_a_comparison_says(condition: Comparison, answers: dict[str, Value]) -> None:
    assert holds(Not(Not(condition)), answers) is holds(condition, answers)
    assert holds(Not(condition), answers) is not holds(condition, answers)


@given(OPERANDS, OPERANDS, ANSWERS)
def test_opposite_operators_are_complements(left: Operand, right: Operand, answers: dict[str, Value]) -> None:
    for positive, negative in (("=", "!="), ("anyof", "noneof")):
        one, other = Comparison(positive, left, right), Comparison(negative, left, right)
        assert holds(one, answers) is not holds(other, answers)


@given(OPERANDS, OPERANDS, ANSWERS)
def test_order_is_consistent(left: Operand, right: Operand, answers: dict[str, Value]) -> None:
    less, greater = Comparison("<", left, right), Comparison(">", right, left)
    assert holds(less, answers) is holds(greater, answers)
    if holds(less, answers):
        assert holds(Comparison("<=", left, right), answers)
        assert not holds(Comparison("<", right, left), answers)


def test_steps_are_counted_and_bounded() -> None:
    condition = parse("{a} anyof ['x', 'y', 'z']")
    answers: dict[str, Value] = {"a": tuple(f"c{number}" for number in range(100))}
    steps = Steps(400)
    assert not holds(condition, answers, steps)
    assert 0 <= steps.left < 100
    with pytest.raises(TooManySteps):
        holds(condition, answers, steps)


@pytest.mark.parametrize("text", ["a => b", "a =< b", "it equals", "a <> b"])
def test_texts_that_surveyjs_rewrites_are_refused(text: str) -> None:
    for source in (f"{{a}} = '{text}'", f"{{{text}}} = 1"):
        with pytest.raises(ConditionSyntaxError, match="rewrites"):
            parse(source)
