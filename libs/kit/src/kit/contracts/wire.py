"""Reading the fields of an event: one function for each kind of value, one code for each way to be wrong.

Every reader raises InvalidEvent, so that all services refuse the same events with the same words.
"""

from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import PlainSerializer

from kit.errors import InvalidEvent
from kit.ids import uuid_of
from kit.numbers import plain

# Digits before and after the point: more than any amount or score has, and few enough to store and to add.
_MOST_DIGITS = 40
# Digits of an amount before and after the point: what the rules engine holds exactly.
AMOUNT_DIGITS = 15
AMOUNT_FRACTION_DIGITS = 12


# The type of every number of an answer.
PlainDecimal = Annotated[Decimal, PlainSerializer(plain, return_type=str)]


def required(text: str, field: str) -> str:
    """The text, which may not be empty. Code `missing_field`."""
    if not text:
        raise InvalidEvent("missing_field", f"{field} is empty")
    return text


def moment(stamp: Timestamp, field: str) -> datetime:
    """The time, in UTC. Codes `missing_field` and `bad_moment`; a timestamp of 0 seconds counts as missing."""
    if not stamp.ByteSize():
        raise InvalidEvent("missing_field", f"{field} is empty")
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidEvent("bad_moment", f"{field} is no time: {error}") from error


def decimal(text: str, field: str) -> Decimal:
    """The number. Codes `missing_field`, and `bad_decimal` for what is none, is not finite or has too many digits."""
    try:
        number = Decimal(required(text, field))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number.adjusted()) > _MOST_DIGITS or len(number.as_tuple().digits) > _MOST_DIGITS:
        raise InvalidEvent("bad_decimal", f"{field} is {text[:60]!r}")
    return number


def optional_decimal(text: str, field: str) -> Decimal | None:
    """The number, or None for an empty text."""
    return decimal(text, field) if text else None


def amount(text: str) -> Decimal | None:
    """An amount of money. None for an empty text, and for what no service could hold exactly: such an amount is
    unknown everywhere, and the rest of the event counts."""
    try:
        number = decimal(text, "amount") if text else None
    except InvalidEvent:
        return None
    if number is None:
        return None
    # Rounded to the digits of a context, which more digits than are allowed would not survive.
    normal = number.normalize()
    exponent = normal.as_tuple().exponent
    assert isinstance(exponent, int)
    fits = number.adjusted() < AMOUNT_DIGITS and -exponent <= AMOUNT_FRACTION_DIGITS
    return number if fits and normal == number else None


def day(text: str, field: str) -> date | None:
    """The ISO 8601 date, or None for an empty text. Code `bad_date`."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise InvalidEvent("bad_date", f"{field} is {text!r}") from error


def uuid(text: str, field: str) -> UUID:
    """The id. Codes `missing_field` and `bad_id`."""
    try:
        return uuid_of(required(text, field))
    except ValueError as error:
        raise InvalidEvent("bad_id", f"{field} is {text!r}") from error


def optional_uuid(text: str, field: str) -> UUID | None:
    """The id, or None for an empty text."""
    return uuid(text, field) if text else None


def word(enum: Any, value: int, field: str) -> str:
    """The lower-case word of a value of a generated enum, without its prefix. Code `unknown_value` for 0, which is
    what an absent field has, and for a value that this version does not know."""
    if value == 0 or value not in enum.values():
        raise InvalidEvent("unknown_value", f"{field} is {value}")
    prefix = enum.Name(0).removesuffix("UNSPECIFIED")
    return enum.Name(value).removeprefix(prefix).lower()
