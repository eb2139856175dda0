"""Facts in events, read and written in one way by all services.

A fact that cannot be read counts as unknown, and the rest of its event counts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from stagecraft.common.v1.fact_pb2 import Fact, Texts

from kit.contracts import wire
from kit.errors import InvalidEvent
from kit.numbers import plain

# A boolean is never a number.
FactValue = Decimal | str | bool | date | datetime | frozenset[str]
OPPORTUNITY = "opportunity"
AMOUNT = "opportunity.amount"
CLOSE_DATE = "opportunity.close_date"


@dataclass(frozen=True, slots=True)
class SeenFact:
    """A fact as an event carries it; `value` is None when it is unknown, and `unread` says that it has a value which
    cannot be read. `observed_at` is None when it is the event's own time."""

    name: str
    value: FactValue | None = None
    currency: str = ""
    source: str = ""
    observed_at: datetime | None = None
    unread: bool = False


def seen_facts(facts: Iterable[Fact]) -> dict[str, SeenFact]:
    """The facts of an event by name; those without a name say nothing."""
    return {fact.name: _seen(fact) for fact in facts if fact.name}


def amount_of(facts: Iterable[Fact]) -> Decimal | None:
    """The amount among the facts of an opportunity; None when it is unknown."""
    found = seen_facts(facts).get(AMOUNT)
    return found.value if found is not None and isinstance(found.value, Decimal) else None


def fact_of(
    name: str, value: FactValue | None, *, currency: str = "", source: str = "", observed_at: datetime | None = None
) -> Fact:
    """The fact as an event carries it."""
    fact = Fact(name=name, currency=currency, source=source, observed_at=observed_at)
    match value:
        case None:
            pass
        case bool():
            fact.boolean = value
        case Decimal():
            fact.decimal = plain(value)
        case datetime():
            fact.instant.FromDatetime(value.astimezone(UTC))
        case date():
            fact.date = value.isoformat()
        case str():
            fact.text = value
        case _:
            fact.texts.CopyFrom(Texts(values=sorted(value)))
    return fact


def _seen(fact: Fact) -> SeenFact:
    kind = fact.WhichOneof("value")
    try:
        value = _value(fact, kind)
        observed_at = wire.moment(fact.observed_at, "observed_at") if fact.HasField("observed_at") else None
    except InvalidEvent:
        value = observed_at = None
    return SeenFact(fact.name, value, fact.currency, fact.source, observed_at, value is None and kind is not None)


def _value(fact: Fact, kind: str | None) -> FactValue | None:
    match kind:
        case None:
            return None
        case "decimal":
            return wire.amount(fact.decimal)
        case "date":
            return wire.day(fact.date, "date")
        case "instant":
            return wire.moment(fact.instant, "instant")
        case "texts":
            return frozenset(fact.texts.values)
        case _:
            return getattr(fact, kind)
