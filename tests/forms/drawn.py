"""Random conditions and answers."""

import re
from decimal import Decimal

from forms.conditions import SET_OPERATORS
from forms.syntax import (
    And,
    Comparison,
    Condition,
    Emptiness,
    Literal,
    Not,
    Operand,
    Or,
    Reference,
    Truth,
)
from hypothesis import strategies as st

KEYS = st.sampled_from(["a", "b", "c"])
# Texts that JavaScript takes for something else, or compares in a way of its own.
ODD_TEXTS = st.sampled_from(
    [
        *(" ", " 5 ", " 0x10", "Yes ", "a b", "it's", '"quoted"', "'1'", "\\", "a\\b", "\uffff"),
        *"0 1 5 +5 -5 5. .5 05 007 0.5 0,5 1,5 12,3 1,2,3 1e3 1E-7 1e400 0x10 0X10 0x 0xg 0b11 0o17 1_0".split(),
        *"5% 2-1 2*3 Infinity NaN undefined null true TRUE False yes YES a b a,b é É ß İ Σ 🙂".split(),
        *"12345678901234567 123456789012345 0000000000000001 9007199254740993".split(),
    ]
)
TEXTS = ODD_TEXTS | st.just("") | st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=5)
# The grammar cannot write a backslash before a quote, nor one at the end, and survey-core replaces "<>" and the like.
WRITABLE = TEXTS.filter(lambda text: not re.search(r"\\(?:['\"]|$)|=[<>]|<>", text))
NUMBERS = st.decimals(-100, 100, places=2) | st.integers(-3, 3).map(Decimal)
SCALARS = st.one_of(st.booleans(), NUMBERS, WRITABLE)
LITERALS: st.SearchStrategy[Literal] = st.one_of(SCALARS, st.lists(SCALARS, min_size=1, max_size=3).map(tuple))
OPERANDS: st.SearchStrategy[Operand] = st.one_of(KEYS.map(Reference), LITERALS)
COMPARISONS: st.SearchStrategy[Comparison] = st.one_of(
    st.builds(Comparison, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), OPERANDS, OPERANDS),
    st.builds(Comparison, st.sampled_from(sorted(SET_OPERATORS)), KEYS.map(Reference), LITERALS),
)
LEAVES: st.SearchStrategy[Condition] = st.one_of(
    COMPARISONS,
    st.builds(Emptiness, KEYS.map(Reference), st.booleans()),
    st.builds(Truth, KEYS.map(Reference) | st.booleans()),
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
ANSWERS = st.dictionaries(
    KEYS, st.one_of(st.booleans(), NUMBERS, TEXTS, st.lists(TEXTS, min_size=1, max_size=3).map(tuple)), max_size=3
)
