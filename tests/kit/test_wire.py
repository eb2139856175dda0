"""Fields of events: read, or refused with one code each."""

from datetime import UTC
from decimal import Decimal
from uuid import UUID

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from kit.contracts import wire
from kit.errors import InvalidEvent
from stagecraft.stage.v1.stage_decided_pb2 import OUTCOME_NO_OP, Outcome


def refused(read, *arguments):
    with pytest.raises(InvalidEvent) as caught:
        read(*arguments, "field")
    assert "field" in caught.value.detail
    return caught.value.code


@given(st.datetimes(timezones=st.just(UTC)).filter(lambda at: at.timestamp() != 0))
def test_a_time_is_read_in_utc(at):
    stamp = Timestamp()
    stamp.FromDatetime(at)
    assert wire.moment(stamp, "field") == at


@pytest.mark.parametrize(
    ("stamp", "code"),
    [(Timestamp(), "missing_field"), (Timestamp(seconds=10**17), "bad_moment"), (Timestamp(nanos=-5), "bad_moment")],
)
def test_a_time_that_is_none_is_refused(stamp, code):
    assert refused(wire.moment, stamp) == code


@given(st.decimals(min_value=-(10**20), max_value=10**20, places=10))
def test_a_number_is_read_to_the_last_digit(number):
    assert wire.decimal(str(number), "field") == number


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e400", "1e-400", "12,3", "x", "0x1", "1" * 41])
def test_a_number_that_is_none_is_refused(text):
    assert refused(wire.decimal, text) == "bad_decimal"
    assert refused(wire.optional_decimal, text) == "bad_decimal"


def test_an_empty_field_is_missing_or_unknown():
    assert {refused(read, "") for read in (wire.decimal, wire.uuid, wire.required)} == {"missing_field"}
    assert wire.optional_decimal("", "f") is wire.optional_uuid("", "f") is wire.day("", "f") is None


@given(st.uuids())
def test_an_id_is_read(value):
    assert wire.uuid(str(value), "field") == wire.optional_uuid(str(value), "field") == UUID(str(value))
    assert refused(wire.uuid, f"{value}x") == "bad_id"


def test_a_date_is_read_or_refused():
    assert str(wire.day("2026-11-29", "field")) == "2026-11-29"
    assert refused(wire.day, "29.11.2026") == "bad_date"


def test_a_word_of_an_enum_is_read_or_refused():
    assert wire.word(Outcome, OUTCOME_NO_OP, "outcome") == "no_op"
    assert refused(wire.word, Outcome, 0) == refused(wire.word, Outcome, 99) == "unknown_value"


def test_zero_stays_zero():
    assert wire.decimal("0", "field") == Decimal(0)
    assert wire.decimal("0E+3", "field") == 0


@pytest.mark.parametrize("text", ["1234567890123456", "1e15", "nan", "Infinity", "12,5", "0.0000000000001", "9" * 300,
                                  "1.00000000000000000000000000000000001"])  # fmt: skip
def test_an_amount_that_cannot_be_held_exactly_is_unknown(text: str) -> None:
    assert wire.amount(text) is None


@pytest.mark.parametrize("text", ["123456789012345", "-0.000000000001", "0", "5E+4", "1.50"])
def test_other_amounts_are_read(text: str) -> None:
    assert wire.amount(text) == Decimal(text)
    assert wire.amount("") is None
