"""The values of facts: their kinds, how they are compared, shown and stored."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any

from kit.numbers import plain
from pydantic import PlainSerializer, PlainValidator

from stage_engine.domain.value import value

Literal = Decimal | str | bool | date | datetime | frozenset[str]

# Numbers of at most this size are exact in the engine, which reckons with 96-bit decimals.
INTEGER_DIGITS = 15
FRACTION_DIGITS = 12

DAY = 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class FactType(StrEnum):
    """What the value of a fact is. A boolean is never a number."""

    DECIMAL = "decimal"
    TEXT = "text"
    BOOLEAN = "boolean"
    DATE = "date"
    INSTANT = "instant"
    TEXTS = "texts"


@value
class Moment:
    """A date or an instant as exact numbers, which both evaluators compare: seconds since the epoch, and from now. Of a
    date, now is the start of the day in UTC: a date of today is neither past nor ahead."""

    at: Decimal
    ahead: Decimal
    shown: str


# A literal as the evaluators take it: dates and instants became moments.
Known = Decimal | str | bool | frozenset[str] | Moment


def type_of(literal: Literal) -> FactType:
    """The type whose values this is one of."""
    match literal:
        case bool():
            return FactType.BOOLEAN
        case Decimal():
            return FactType.DECIMAL
        case str():
            return FactType.TEXT
        case datetime():
            return FactType.INSTANT
        case date():
            return FactType.DATE
        case _:
            return FactType.TEXTS


def exact_number(text: str) -> Decimal:
    """The number, ValueError when the engine could not hold it exactly."""
    number = Decimal(text)
    if not number.is_finite():
        raise ValueError(f"{text} is not a finite number")
    # Rounded to the digits of a context, which more digits than are allowed would not survive.
    normal = number.normalize()
    digits = normal.as_tuple()
    exponent = int(digits.exponent)
    if normal != number or -exponent > FRACTION_DIGITS or len(digits.digits) + exponent > INTEGER_DIGITS:
        raise ValueError(f"{text} has more than {INTEGER_DIGITS} digits before or {FRACTION_DIGITS} after the point")
    return number


@lru_cache(4096)
def seconds(moment: date) -> Decimal:
    """Seconds since the epoch, exact to the microsecond; of a date those of its start in UTC."""
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    passed = moment - _EPOCH
    return Decimal(passed.days * DAY + passed.seconds) + Decimal(passed.microseconds).scaleb(-6)


def moment_text(at: Decimal) -> str:
    """A time in seconds since the epoch in ISO 8601: a date where it is the start of one."""
    moment = _EPOCH + timedelta(seconds=int(at), microseconds=int((at % 1).scaleb(6)))
    return moment.date().isoformat() if at % DAY == 0 else moment.isoformat().replace("+00:00", "Z")


def known(literal: Literal, now: datetime) -> Known:
    """The literal as the evaluators take it."""
    if not isinstance(literal, date):
        return literal
    at = seconds(literal)
    if isinstance(literal, datetime):
        return Moment(at, at - seconds(now), moment_text(at) if at % DAY else f"{moment_text(at)}T00:00:00Z")
    return Moment(at, at - seconds(now.astimezone(UTC).date()), literal.isoformat())


def shown(fact: Known) -> str:
    """The value as text, for people."""
    if fact.__class__ is Decimal:
        return plain(fact)  # pyright: ignore[reportArgumentType]
    match fact:
        case str():
            return fact
        case bool():
            return "true" if fact else "false"
        case Moment():
            return fact.shown
        case frozenset():
            return ", ".join(sorted(fact))
    raise TypeError(type(fact))


def literal_of(raw: str | bool | Sequence[str], kind: FactType) -> Literal:
    """The value of a type that a program writes as JSON: numbers, dates and instants are texts. ValueError, with what
    is allowed, when it is none."""
    if kind is FactType.BOOLEAN and isinstance(raw, bool):
        return raw
    if kind is FactType.TEXTS and not isinstance(raw, (str, bool)):
        return frozenset(raw)
    if isinstance(raw, str) and kind not in (FactType.BOOLEAN, FactType.TEXTS):
        if kind is FactType.DECIMAL:
            return _number(raw)
        try:
            value = _READ[kind](raw)
        except ValueError:
            raise ValueError(f"{raw!r} is not {_WRITTEN[kind]}") from None
        return _in_utc(raw, value) if isinstance(value, datetime) else value
    raise ValueError(f"{json.dumps(raw)} is not {_WRITTEN[kind]}")


def _in_utc(raw: str, instant: datetime) -> datetime:
    """Without the offset that it was written with, which may have seconds: JSON would not keep these."""
    if instant.tzinfo is None:
        raise ValueError(f"{raw!r} has no time zone, such as Z")
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{raw!r} lies outside of the calendar") from None


def _number(raw: str) -> Decimal:
    try:
        return exact_number(raw)
    except ArithmeticError:
        raise ValueError(f"{raw!r} is not {_WRITTEN[FactType.DECIMAL]}") from None


_WRITTEN = {
    FactType.DECIMAL: 'a number in quotes, such as "12.5"',
    FactType.TEXT: "a text",
    FactType.BOOLEAN: "true or false",
    FactType.DATE: 'a date, such as "2026-06-30"',
    FactType.INSTANT: 'an instant, such as "2026-06-30T09:00:00Z"',
    FactType.TEXTS: 'a list of texts, such as ["a", "b"]',
}
_READ: dict[str, Callable[[Any], Literal]] = {
    FactType.DECIMAL: Decimal,
    FactType.TEXT: str,
    FactType.BOOLEAN: bool,
    FactType.DATE: date.fromisoformat,
    FactType.INSTANT: datetime.fromisoformat,
    FactType.TEXTS: frozenset,
}


def _stored(literal: Literal) -> dict[str, Any]:
    kind = type_of(literal)
    match literal:
        case bool() | str():
            return {kind.value: literal}
        case Decimal():
            return {kind.value: str(literal)}
        case date():
            return {kind.value: literal.isoformat()}
        case _:
            return {kind.value: sorted(literal)}


def _from_stored(document: Any) -> Literal:
    if not isinstance(document, dict):
        return document
    ((kind, content),) = document.items()
    return _READ[kind](content)


# In JSON an object of one member that says the type: {"decimal": "12.50"}, {"texts": ["a", "b"]}.
StoredLiteral = Annotated[Literal, PlainValidator(_from_stored), PlainSerializer(_stored)]
