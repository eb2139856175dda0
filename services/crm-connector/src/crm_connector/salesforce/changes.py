"""Change events: schemaless Avro whose header says by bitmaps which fields changed. Fields that did not change are
null, so only the bitmaps tell a change from none."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, cast

import fastavro
from fastavro.types import Schema
from pydantic import Field, TypeAdapter
from pydantic_core import from_json

from crm_connector.domain.observation import ChangeKind, CrmChange, FactChanges
from crm_connector.salesforce.replies import amount_of
from crm_connector.salesforce.rows import OWN_FIELDS

FACT_FIELDS = {"stage": "StageName", "amount": "Amount", "close_date": "CloseDate", "owner_id": "OwnerId"}
# Fields the org moves by itself when a record is saved or its stage changes.
DERIVED_FIELDS = frozenset(
    {
        "Probability", "ExpectedRevenue", "IsClosed", "IsWon", "ForecastCategory", "ForecastCategoryName",
        "LastModifiedDate", "LastModifiedById", "SystemModstamp", "CreatedDate", "CreatedById",
        "LastStageChangeDate", "LastActivityDate", "LastActivityInDays", "LastStageChangeInDays", "AgeInDays",
        "Fiscal", "FiscalYear", "FiscalQuarter", "LastAmountChangedHistoryId",
        "LastCloseDateChangedHistoryId", "HasOpportunityLineItem",
    }
)  # fmt: skip
_KINDS = {
    "CREATE": ChangeKind.CREATED,
    "UPDATE": ChangeKind.UPDATED,
    "DELETE": ChangeKind.DELETED,
    "UNDELETE": ChangeKind.UNDELETED,
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HEADER = "ChangeEventHeader"
_WRITE_ID = "Stagecraft_Write_Id__c"


_RECORD_ID = re.compile(r"[0-9A-Za-z]{1,18}|[0-9A-Za-z]{3}\*|0{1,18}[A-Z]{0,3}")


class Unreadable(Exception):
    """A change event, or its schema, is damaged. `gaps` says as far as possible what it was about: a change of
    unknown content for each of its records."""

    def __init__(self, words: str, gaps: Sequence[CrmChange] = ()) -> None:
        super().__init__(words)
        self.gaps = gaps


@dataclass(frozen=True, slots=True)
class _AvroField:
    name: str
    type: Any

    def inner(self) -> Sequence["_AvroField"]:
        """The fields of its record, if its type is one or may be one."""
        for branch in self.type if isinstance(self.type, list) else [self.type]:
            if isinstance(branch, dict) and branch.get("type") == "record":
                return _RECORD.validate_python(branch).fields
        return ()


@dataclass(frozen=True, slots=True)
class _AvroRecord:
    fields: list[_AvroField]


@dataclass(frozen=True, slots=True)
class _Header:
    change_type: Annotated[str, Field(alias="changeType")]
    record_ids: Annotated[list[str], Field(alias="recordIds")]
    transaction_key: Annotated[str, Field(alias="transactionKey")]
    sequence_number: Annotated[int, Field(alias="sequenceNumber")]
    commit_timestamp: Annotated[int, Field(alias="commitTimestamp")]
    commit_user: Annotated[str, Field(alias="commitUser")]
    changed_fields: Annotated[list[str], Field(alias="changedFields")]
    nulled_fields: Annotated[list[str], Field(alias="nulledFields")]

    @property
    def kind(self) -> ChangeKind:
        # A wildcard such as 006* means every record, after a field was converted to another type.
        if self.change_type == "GAP_OVERFLOW" or any("*" in record_id for record_id in self.record_ids):
            return ChangeKind.OVERFLOW
        return _KINDS.get(self.change_type, ChangeKind.GAP)

    @property
    def committed_at(self) -> datetime:
        return _EPOCH + timedelta(milliseconds=self.commit_timestamp)


_RECORD = TypeAdapter(_AvroRecord)
_TEXT = TypeAdapter(str)
_EVENT_HEADER = TypeAdapter(_Header)


@dataclass(frozen=True, slots=True)
class _Event:
    header: _Header
    values: Mapping[str, Any]


class EventSchema:
    """The Avro schema of one kind of event, as the org gave it. Unreadable when it is damaged."""

    def __init__(self, document: str) -> None:
        try:
            raw = from_json(document)
            self._fields: Sequence[_AvroField] = _RECORD.validate_python(raw).fields
            self._parsed: Schema = fastavro.parse_schema(raw)
            # Values are written one after another, the header first, so it can be read alone.
            self._header_first = fastavro.parse_schema({**raw, "fields": raw["fields"][:1]})
        except Exception as error:
            # The library has an exception for each way to be damaged.
            raise Unreadable(f"the schema of the change events cannot be read: {_words(error)}") from error

    def decode(self, payload: bytes) -> _Event:
        """The event's header, and its fields by name."""
        return _event(payload, self._parsed)

    def header(self, payload: bytes) -> _Header:
        """The event's header, whatever follows it."""
        return _event(payload, self._header_first).header

    def names(self, bitmaps: Sequence[str]) -> list[str]:
        """The field names that a header's bitmaps name, nested ones with a dot. `0x…` numbers the fields of the
        event, `n-0x…` those within its n-th field; bit 0 of the event is the header."""
        names: list[str] = []
        for entry in bitmaps:
            at, dash, digits = entry.rpartition("-")
            if dash:
                parent = self._fields[int(at)]
                names += [f"{parent.name}.{field.name}" for field in _chosen(parent.inner(), digits)]
            else:
                names += [field.name for field in _chosen(self._fields, digits)]
        return names


def _chosen(fields: Sequence[_AvroField], digits: str) -> list[_AvroField]:
    bits = int(digits, 16)
    return [field for bit, field in enumerate(fields) if bits >> bit & 1]


def _event(payload: bytes, schema: Schema) -> _Event:
    record = fastavro.schemaless_reader(io.BytesIO(payload), schema, None)
    if not isinstance(record, dict):
        raise ValueError("a change event is a record")
    header = _EVENT_HEADER.validate_python(record.pop(_HEADER))
    if not header.record_ids or not all(_RECORD_ID.fullmatch(each) for each in header.record_ids):
        raise ValueError("a change event names its records")
    return _Event(header, record)


def changes_of(schema: EventSchema, payload: bytes) -> list[CrmChange]:
    """The changes in one event: one for each record it names, since equal changes of many records are merged.
    Unreadable when it is damaged: to pass over it would be to miss a change."""
    try:
        return _changes_of(schema, schema.decode(payload))
    except Exception as error:
        raise Unreadable(f"a change event cannot be read: {_words(error)}", _gaps(schema, payload)) from error


def _gaps(schema: EventSchema, payload: bytes) -> list[CrmChange]:
    try:
        header = schema.header(payload)
        return [replace(_change(header, record_id), kind=ChangeKind.GAP) for record_id in header.record_ids]
    except Exception:
        return []


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]


def _changes_of(schema: EventSchema, event: _Event) -> list[CrmChange]:
    header = event.header
    changed = _changed(schema, event)
    fields = {name: value for name, value in changed.items() if name not in DERIVED_FIELDS | OWN_FIELDS}
    facts = {fact: fields[name] for fact, name in FACT_FIELDS.items() if name in fields}
    return [
        replace(
            _change(header, record_id),
            kind=header.kind,
            fields=fields,
            facts=cast(FactChanges, facts),
            write_id=_text(changed.get(_WRITE_ID)),
        )
        for record_id in header.record_ids
    ]


def _change(header: _Header, record_id: str) -> CrmChange:
    return CrmChange(
        change_id=f"{_text(header.transaction_key)}:{header.sequence_number}:{record_id}",
        opportunity_id=record_id,
        kind=header.kind,
        committed_at=header.committed_at,
        changed_by=_text(header.commit_user),
    )


def _text(value: object) -> str:
    # No database holds the null character.
    return _TEXT.validate_python("" if value is None else value).replace("\x00", "\ufffd")


def _changed(schema: EventSchema, event: _Event) -> dict[str, object]:
    if event.header.kind is ChangeKind.CREATED:
        # Everything is new, and the bitmap of a creation may be empty.
        return {
            name: _value(name, value)
            for name, value in event.values.items()
            if value is not None or name in FACT_FIELDS.values()
        }
    if event.header.kind is not ChangeKind.UPDATED:
        return {}
    names = dict.fromkeys(schema.names(event.header.changed_fields) + schema.names(event.header.nulled_fields))
    return {name: _value(name, _at(event.values, name)) for name in names}


def _at(event: Mapping[str, Any], name: str) -> Any:
    value: Any = event
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _value(name: str, value: Any) -> Any:
    match name:
        case "StageName" | "OwnerId":
            return _text(value)
        case "Amount":
            return amount_of(value)
        case "CloseDate":
            return _date(value)
        case _:
            return value


def _date(value: Any) -> date | None:
    if value is None or isinstance(value, date):
        return value
    return (_EPOCH + timedelta(milliseconds=value)).date()
