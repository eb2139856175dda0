"""How the org declares an object: its fields, their types, and what may be done with them."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

Kind = Literal[
    "id", "string", "textarea", "picklist", "boolean", "currency", "double", "percent", "int",
    "date", "datetime", "reference", "url", "email", "phone",
]  # fmt: skip

NUMBERS = frozenset({"currency", "double", "percent", "int"})
TEXTS = frozenset({"string", "textarea", "picklist", "url", "email", "phone"})
LONG_TEXT = 255


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an object. `length` is in UTF-16 characters; `precision` counts all digits of a number."""

    name: str
    kind: Kind = "string"
    length: int = 0
    precision: int = 18
    scale: int = 0
    required: bool = False
    writable: bool = True
    updateable: bool = True
    unique: bool = False
    external_id: bool = False
    restricted: bool = False
    values: tuple[str, ...] = ()
    refers_to: str | None = None
    # Further objects that it may refer to.
    or_to: tuple[str, ...] = ()
    relationship: str | None = None
    children: str | None = None
    master: bool = False
    # Its parent's deletion deletes the record, too.
    cascade: bool = False
    in_events: bool = True

    @property
    def custom(self) -> bool:
        return self.name.endswith("__c")

    @property
    def label(self) -> str:
        return self.name.removesuffix("__c").removeprefix("Stagecraft_").replace("_", " ")

    @property
    def targets(self) -> tuple[str, ...]:
        """The objects that a reference may name."""
        return (self.refers_to, *self.or_to) if self.refers_to else ()

    @property
    def searchable(self) -> bool:
        """Whether WHERE and ORDER BY may name it; long text areas may not be filtered."""
        return not (self.kind == "textarea" and self.length > LONG_TEXT)


@dataclass(frozen=True)
class SObject:
    """One object of the org."""

    name: str
    prefix: str
    label: str
    plural: str
    fields: tuple[Field, ...]
    writable: bool = True
    auto_number: str | None = None
    by_lower: dict[str, Field] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_lower", {f.name.lower(): f for f in self.fields})

    def find(self, name: str) -> Field | None:
        return self.by_lower.get(name.lower())

    @cached_property
    def by_relationship(self) -> dict[str, Field]:
        """Reference fields by the lower-case name a parent is reached with (`owner`, `assessment__r`)."""
        return {f.relationship.lower(): f for f in self.fields if f.relationship}

    @cached_property
    def keys(self) -> tuple[Field, ...]:
        """Fields of which no two records may share a value."""
        return tuple(f for f in self.fields if f.unique)

    @cached_property
    def references(self) -> tuple[Field, ...]:
        return tuple(f for f in self.fields if f.kind == "reference")

    @cached_property
    def masters(self) -> tuple[Field, ...]:
        return tuple(f for f in self.fields if f.master)

    @cached_property
    def booleans(self) -> tuple[Field, ...]:
        return tuple(f for f in self.fields if f.kind == "boolean")

    @cached_property
    def required(self) -> tuple[Field, ...]:
        return tuple(f for f in self.fields if f.required)


def text(name: str, length: int = 255, *, required: bool = False) -> Field:
    return Field(name, length=length, required=required)


def long_text(name: str, length: int = 32768) -> Field:
    return Field(name, "textarea", length=length)


def number(name: str, precision: int = 9, scale: int = 2) -> Field:
    return Field(name, "double", precision=precision, scale=scale)


def key(name: str, length: int, *, required: bool) -> Field:
    return Field(name, length=length, required=required, unique=True, external_id=True)


def picklist(name: str, *values: str, restricted: bool = False) -> Field:
    return Field(name, "picklist", length=255, values=values, restricted=restricted)


def system(name: str, kind: Kind, length: int = 0) -> Field:
    return Field(name, kind, length=length, writable=False)


def lookup(
    name: str, target: str, relationship: str, children: str | None = None, *, or_to: tuple[str, ...] = (),
    cascade: bool = False,
) -> Field:  # fmt: skip
    return Field(
        name, "reference", length=18, refers_to=target, or_to=or_to, relationship=relationship, children=children,
        cascade=cascade,
    )  # fmt: skip


def master(name: str, target: str, relationship: str, children: str) -> Field:
    """A master-detail parent: required, fixed after creation, and its deletion deletes the child."""
    return Field(
        name, "reference", length=18, refers_to=target, relationship=relationship, children=children,
        required=True, updateable=False, master=True, cascade=True,
    )  # fmt: skip


def user_stamp(name: str) -> Field:
    return Field(name, "reference", length=18, writable=False, refers_to="User", relationship=name.removesuffix("Id"))


def written() -> tuple[Field, ...]:
    """What the package brings to each object whose records may have a pipeline."""
    return (
        number("Stagecraft_Score__c"),
        text("Stagecraft_Earned_Stage__c"),
        text("Stagecraft_Health__c", 40),
        text("Stagecraft_Outcome__c", 40),
        text("Stagecraft_Reason__c"),
        Field("Stagecraft_Last_Assessed__c", "datetime"),
        text("Stagecraft_Expected_Stage__c"),
        text("Stagecraft_Write_Id__c", 64),
        long_text("Stagecraft_Sync_Error__c"),
    )


IDENTITY = Field("Id", "id", length=18, writable=False, in_events=False)
STAMPS = (
    system("CreatedDate", "datetime"),
    user_stamp("CreatedById"),
    system("LastModifiedDate", "datetime"),
    user_stamp("LastModifiedById"),
)
HIDDEN_STAMPS = (
    Field("SystemModstamp", "datetime", writable=False, in_events=False),
    Field("IsDeleted", "boolean", writable=False, in_events=False),
)
