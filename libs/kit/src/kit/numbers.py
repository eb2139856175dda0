"""The one way to write a number."""

from decimal import Decimal
from functools import lru_cache


@lru_cache(4096)
def plain(number: Decimal) -> str:
    """A finite number without an exponent and without trailing zeros: one text for each value, never rounded. The
    driver reads 50000 as Decimal("5E+4"), and `str` would show that."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
