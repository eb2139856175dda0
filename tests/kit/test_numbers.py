"""One text for each number, and one function that writes it."""

import re
from decimal import Decimal
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from kit.numbers import plain

_SOURCES = [path for root in ("libs", "services") for path in Path(root).glob("*/src/**/*.py")]


@given(
    st.decimals(-(10**20), 10**20, allow_nan=False, allow_infinity=False, places=6)
    | st.integers(-(10**9), 10**9).map(Decimal)
)
def test_the_text_is_the_number_without_exponent_or_needless_zeros(number: Decimal) -> None:
    text = plain(number)
    assert Decimal(text) == number
    assert re.fullmatch(r"-?\d+(\.\d*[1-9])?", text)
    assert text == plain(number.normalize())
    assert text != "-0"


def test_there_is_one_such_function() -> None:
    assert len(_SOURCES) > 100
    writers = [str(path) for path in _SOURCES if re.search(r"rstrip\(\"0\"\)|normalize\(\), \"f\"", path.read_text())]
    assert writers == ["libs/kit/src/kit/numbers.py"]
