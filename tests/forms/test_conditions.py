"""The grammar and meaning of conditions, against recorded answers of SurveyJS and against itself."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from forms.answers import Value
from forms.conditions import (
    MAX_DEPTH,
    MAX_LENGTH,
    SET_OPERATORS,
    And,
    Comparison,
    Condition,
    ConditionSyntaxError,
    Emptiness,
    Literal,
    Not,
    Operand,
    Or,
    Reference,
    Truth,
    parse,
    references,
)
from forms.evaluation import holds
from hypothesis import given
from hypothesis import strategies as st

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


KEYS = st.sampled_from(["a", "b", "c"])
SCALARS = st.one_of(
    st.booleans(),
    st.decimals(-100, 100, places=2),
    st.text(st.characters(codec="utf-8", exclude_characters="\\'"), max_size=5),
    st.sampled_from(["5", "yes", "YES", " 5 ", "0"]),
)
LITERALS: st.SearchStrategy[Literal] = st.one_of(SCALARS, st.lists(SCALARS, min_size=1, max_size=3).map(tuple))
OPERANDS: st.SearchStrategy[Operand] = st.one_of(KEYS.map(Reference), LITERALS)
LEAVES: st.SearchStrategy[Condition] = st.one_of(
    st.builds(Comparison, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), OPERANDS, OPERANDS),
    st.builds(Comparison, st.sampled_from(sorted(SET_OPERATORS)), KEYS.map(Reference), LITERALS),
    st.builds(Emptiness, OPERANDS, st.booleans()),
    st.builds(Truth, KEYS.map(Reference)),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: And(tuple(parts))),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: Or(tuple(parts))),
    ),
    max_leaves=6,
)
ANSWERS = st.dictionaries(KEYS, st.one_of(SCALARS, st.lists(st.text(max_size=3), max_size=3).map(tuple)), max_size=3)


def written(condition: Condition) -> str:
    match condition:
        case And(parts):
            return "(" + " and ".join(map(written, parts)) + ")"
        case Or(parts):
            return "(" + " or ".join(map(written, parts)) + ")"
        case Not(part):
            return f"!({written(part)})"
        case Comparison(operator, left, right):
            return f"{operand(left)} {operator} {operand(right)}"
        case Emptiness(value, empty):
            return f"{operand(value)} {'empty' if empty else 'notempty'}"
        case Truth(value):
            return operand(value)


def operand(value: Operand) -> str:
    match value:
        case Reference(key):
            return f"{{{key}}}"
        case bool():
            return str(value).lower()
        case Decimal():
            return format(value, "f")
        case str():
            return f"'{value}'"
        case tuple():
            return "[" + ", ".join(map(operand, value)) + "]"


@given(CONDITIONS)
def test_what_is_written_parses_back(condition: Condition) -> None:
    assert parse(written(condition)) == condition


@given(CONDITIONS, ANSWERS)
def test_evaluation_is_total_and_negation_flips_it(condition: Condition, answers: dict[str, Value]) -> None:
    assert holds(Not(condition), answers) is not holds(condition, answers)


@given(OPERANDS, OPERANDS, ANSWERS)
def test_opposite_operators_are_complements(left: Operand, right: Operand, answers: dict[str, Value]) -> None:
    for positive, negative in (("=", "!="), ("contains", "notcontains"), ("anyof", "noneof")):
        one, other = Comparison(positive, left, right), Comparison(negative, left, right)
        assert holds(one, answers) is not holds(other, answers)


@given(OPERANDS, OPERANDS, ANSWERS)
def test_order_is_consistent(left: Operand, right: Operand, answers: dict[str, Value]) -> None:
    less, greater = Comparison("<", left, right), Comparison(">", right, left)
    assert holds(less, answers) is holds(greater, answers)
    if holds(less, answers):
        assert holds(Comparison("<=", left, right), answers)
        assert not holds(Comparison("<", right, left), answers)
