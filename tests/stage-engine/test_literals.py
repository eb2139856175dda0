"""Values as programs write them."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage_engine.domain.literals import FactType, exact_number, literal_of

_JSON = st.one_of(st.booleans(), st.text(max_size=30), st.lists(st.text(max_size=5), max_size=3))


@pytest.mark.parametrize(
    ("raw", "kind", "value"),
    [
        ("12.50", FactType.DECIMAL, Decimal("12.50")),
        ("a", FactType.TEXT, "a"),
        (True, FactType.BOOLEAN, True),
        ("2026-06-30", FactType.DATE, date(2026, 6, 30)),
        ("2026-06-30T09:00:00Z", FactType.INSTANT, datetime(2026, 6, 30, 9, tzinfo=UTC)),
        (["a", "b"], FactType.TEXTS, frozenset("ab")),
    ],
)
def test_each_type_has_one_way_to_be_written(raw: Any, kind: FactType, value: Any) -> None:
    assert literal_of(raw, kind) == value


@pytest.mark.parametrize(
    ("raw", "kind", "says"),
    [
        ("many", FactType.DECIMAL, """'many' is not a number in quotes, such as "12.5\""""),
        (True, FactType.TEXT, "true is not a text"),
        ("yes", FactType.BOOLEAN, '"yes" is not true or false'),
        ("yesterday", FactType.DATE, """'yesterday' is not a date, such as "2026-06-30\""""),
        ("2026-06-30T09:00:00", FactType.INSTANT, "'2026-06-30T09:00:00' has no time zone, such as Z"),
        ("a", FactType.TEXTS, '"a" is not a list of texts, such as ["a", "b"]'),
    ],
)
def test_a_refusal_says_what_is_allowed(raw: Any, kind: FactType, says: str) -> None:
    with pytest.raises(ValueError) as caught:
        literal_of(raw, kind)
    assert str(caught.value) == says


def test_an_instant_is_kept_in_utc_whatever_offset_it_was_written_with() -> None:
    found = literal_of("2026-06-30T09:00:00+02:00:30", FactType.INSTANT)
    assert isinstance(found, datetime)
    assert found.isoformat() == "2026-06-30T06:59:30+00:00"


@pytest.mark.parametrize("raw", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-10:00"])
def test_an_instant_that_utc_has_no_date_for_is_refused(raw: str) -> None:
    with pytest.raises(ValueError, match="outside of the calendar"):
        literal_of(raw, FactType.INSTANT)


@pytest.mark.parametrize("raw", ["1.00000000000000000000000000000000001", "123456789012345.0000000000000000000004"])
def test_digits_that_rounding_would_hide_are_counted(raw: str) -> None:
    with pytest.raises(ValueError, match="more than 15 digits before or 12 after the point"):
        exact_number(raw)


def test_zeros_behind_the_point_are_no_digits() -> None:
    assert exact_number(f"1.{'0' * 60}") == 1


@given(_JSON, st.sampled_from(FactType))
def test_whatever_is_sent_is_taken_or_refused_in_words(raw: Any, kind: FactType) -> None:
    try:
        literal_of(raw, kind)
    except ValueError as error:
        assert "isoformat" not in str(error) and "ConversionSyntax" not in str(error)
