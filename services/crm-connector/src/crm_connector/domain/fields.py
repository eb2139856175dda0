"""Which fields of the CRM's objects become which facts, and how the values of facts are kept.

A value is kept as one text that begins with its type, so that equal values are equal texts and a number is never taken
for a text. The empty text says that the fact is unknown.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum

from kit.numbers import plain

FactValue = Decimal | str | bool | date | datetime | frozenset[str]
UNKNOWN = ""
OBJECT_TYPES = ("account", "opportunity", "lead")
# Every record has these besides the mapped facts.
STAGE, OWNER = "stage", "owner_id"
# Of the amounts of an object.
CURRENCY_FACT = "currency"
CONTACTS = "contacts"
MOST_FACTS = 200
MOST_TEXT = 4000
FACT_NAME = re.compile(rf"({'|'.join(OBJECT_TYPES)})\.[a-z][a-z0-9_]{{0,79}}")
ROLE_NAME = re.compile(r"[a-z][a-z0-9_]{0,79}")


class FactType(StrEnum):
    """The type of a fact; MONEY is a number in the currency of its record."""

    NUMBER = "number"
    MONEY = "money"
    TEXT = "text"
    BOOLEAN = "boolean"
    DATE = "date"
    INSTANT = "instant"
    TEXTS = "texts"


@dataclass(frozen=True, slots=True)
class MappedField:
    """The field that a fact comes from; its object is that of the fact's name."""

    field: str
    type: FactType


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """The field of each fact by the fact's name, and which roles of contacts are counted as `contacts.<name>`."""

    facts: Mapping[str, MappedField] = field(default_factory=dict)
    contact_roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, *object_types: str) -> dict[str, MappedField]:
        """The facts of these object types."""
        return {name: mapped for name, mapped in self.facts.items() if object_of(name) in object_types}

    def names(self, object_type: str) -> tuple[str, ...]:
        """The facts that a record of this type has: its own, and those of what it belongs to."""
        if object_type != "opportunity":
            return tuple(self.of(object_type))
        return (*self.of("opportunity", "account"), *(f"{CONTACTS}.{name}" for name in self.contact_roles))


@dataclass(frozen=True, slots=True)
class CrmField:
    """A field of an object of the CRM. `types` are those that its fact may have, none where it cannot be one."""

    name: str
    label: str
    crm_type: str
    types: tuple[FactType, ...]


@dataclass(frozen=True, slots=True)
class FieldFault:
    """Why a part of a mapping is refused. Codes: `fact_name_invalid`, `fact_reserved`, `field_unknown`,
    `field_type_differs`."""

    place: tuple[str, ...]
    code: str
    detail: str


def object_of(fact: str) -> str:
    """The object type of a fact, by its name."""
    return fact.partition(".")[0]


def currency_of(fact: str, fields: Mapping[str, str]) -> str:
    """The currency of a fact among the facts of its record; empty of what is no amount, and in an org of one."""
    currency = value_of(fields.get(f"{object_of(fact)}.{CURRENCY_FACT}", UNKNOWN))
    return currency if isinstance(currency, str) and is_money(fields[fact]) else ""


def named_wrongly(mapping: FieldMapping) -> list[FieldFault]:
    """What is wrong with the names of a mapping, whatever the CRM has."""
    found: list[FieldFault] = []
    for name in mapping.facts:
        place = ("facts", name)
        if not FACT_NAME.fullmatch(name):
            words = f"{name[:100]!r} is no name of a fact: use <object>.<name> in lower case, of"
            found.append(FieldFault(place, "fact_name_invalid", f"{words} {', '.join(OBJECT_TYPES)}."))
        elif name.partition(".")[2] in (STAGE, OWNER):
            found.append(FieldFault(place, "fact_reserved", f"{name} is always read: leave it out."))
    for name in mapping.contact_roles:
        if not ROLE_NAME.fullmatch(name):
            words = f"{name[:100]!r} is no name: use lower-case letters, digits and _."
            found.append(FieldFault(("contact_roles", name), "fact_name_invalid", words))
    return found


def not_there(mapping: FieldMapping, fields: Mapping[str, Sequence[CrmField]]) -> list[FieldFault]:
    """What of a mapping the CRM does not give, by its fields of each object type."""
    found: list[FieldFault] = []
    for name, mapped in mapping.facts.items():
        known = {each.name: each for each in fields.get(object_of(name), ())}
        place, there = ("facts", name, "field"), known.get(mapped.field)
        if there is None:
            of = object_of(name)
            words = f"There is no field {mapped.field!r} of the {of} that the integration user may read."
            words += f" GET /v1/field-mappings/candidates?object={of} lists those that there are."
            found.append(FieldFault(place, "field_unknown", words))
        elif mapped.type not in there.types:
            allowed = " or ".join(there.types) or "no fact"
            words = f"{there.name} is of the CRM's type {there.crm_type}: it can be {allowed}, not {mapped.type}."
            found.append(FieldFault(("facts", name, "type"), "field_type_differs", words))
    return found


def available(mapping: FieldMapping, faults: Collection[FieldFault]) -> FieldMapping:
    """The mapping without what is wrong."""
    wrong = {fault.place[1] for fault in faults}
    return FieldMapping(
        {name: mapped for name, mapped in mapping.facts.items() if name not in wrong}, mapping.contact_roles
    )


def kept(value: FactValue | None, kind: FactType) -> str:
    """The text that keeps a value."""
    match value:
        case None:
            return UNKNOWN
        case bool():
            text = "true" if value else "false"
        case Decimal():
            text = plain(value)
        case datetime():
            text = value.astimezone(UTC).isoformat()
        case date():
            text = value.isoformat()
        case frozenset():
            text = "\n".join(sorted(value))
        case _:
            text = value[:MOST_TEXT]
    return f"{kind}:{text}"


def value_of(text: str) -> FactValue | None:  # noqa: PLR0911 - one for each type
    """The value that a text keeps; None when it is unknown."""
    kind, colon, rest = text.partition(":")
    if not colon:
        return None
    match FactType(kind):
        case FactType.NUMBER | FactType.MONEY:
            return Decimal(rest)
        case FactType.BOOLEAN:
            return rest == "true"
        case FactType.DATE:
            return date.fromisoformat(rest)
        case FactType.INSTANT:
            return datetime.fromisoformat(rest)
        case FactType.TEXTS:
            return frozenset(rest.split("\n")) if rest else frozenset()
        case FactType.TEXT:
            return rest


def is_money(text: str) -> bool:
    """Whether the text keeps an amount, which has a currency."""
    return text.startswith(f"{FactType.MONEY}:")
