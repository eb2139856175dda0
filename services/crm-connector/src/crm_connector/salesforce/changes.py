"""Change events: schemaless Avro whose header says by bitmaps which fields changed. Fields that did not change are
null, so only the bitmaps tell a change from none."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import fastavro
from fastavro.types import Schema
from pydantic import Field, TypeAdapter
from pydantic_core import from_json

from crm_connector.crm import Related
from crm_connector.domain.observation import ChangeKind, CrmChange, FactChanges
from crm_connector.salesforce.objects import OWN_FIELDS, WRITE_ID
from crm_connector.salesforce.plan import OBJECTS, PREFIXES, Plan

OWNER_ID = "OwnerId"
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
CONTACT_ROLE = "OpportunityContactRole"
ACTIVITIES = ("Task", "Event")
_HEADER = "ChangeEventHeader"


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
    entity: Annotated[str, Field(alias="entityName")]
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
    def object_type(self) -> str:
        """The type of the subjects it is about; empty when it is about something else."""
        return next((kind for kind, name in OBJECTS.items() if name == self.entity), "")

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


@dataclass(frozen=True, slots=True)
class Seen:
    """What one event says: changes of subjects, and records of other objects that facts of subjects come from."""

    changes: Sequence[CrmChange] = ()
    related: Sequence[Related] = ()


def changes_of(schema: EventSchema, payload: bytes, plan: Plan) -> Seen:
    """What one event says: a change of each record it names, since equal changes of many records are merged. Unreadable
    when it is damaged: to pass over it would be to miss a change."""
    try:
        return _seen(schema, schema.decode(payload), plan)
    except Exception as error:
        raise Unreadable(f"a change event cannot be read: {_words(error)}", _gaps(schema, payload)) from error


def _gaps(schema: EventSchema, payload: bytes) -> list[CrmChange]:
    try:
        header = schema.header(payload)
        return [replace(_change(header, each), kind=ChangeKind.GAP) for each in header.record_ids if header.object_type]
    except Exception:
        return []


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]


def _seen(schema: EventSchema, event: _Event, plan: Plan) -> Seen:
    header = event.header
    changed = _changed(schema, event, plan)
    follows = header.object_type in plan.object_types
    return Seen(
        _changes(header, changed, plan) if follows else (),
        [Related(header.entity, each) for each in header.record_ids] if _decides_others(header, changed, plan) else (),
    )


def _decides_others(header: _Header, changed: Mapping[str, object], plan: Plan) -> bool:
    """Whether it is an activity, or facts of opportunities may come from it."""
    if header.entity in ACTIVITIES:
        return header.kind is not ChangeKind.OVERFLOW
    if header.entity == CONTACT_ROLE:
        return bool(plan.names.contact_roles)
    if header.entity != OBJECTS["account"] or header.kind in (ChangeKind.CREATED, ChangeKind.OVERFLOW):
        return False
    read = {mapped.field for mapped in plan.mapping.of("account").values()}
    return bool(read) and (header.kind is not ChangeKind.UPDATED or not read.isdisjoint(changed))


def _changes(header: _Header, changed: Mapping[str, object], plan: Plan) -> list[CrmChange]:
    object_type, created = header.object_type, header.kind is ChangeKind.CREATED
    fields = {
        name: _compared(object_type, name, value, plan)
        for name, value in changed.items()
        if name not in DERIVED_FIELDS | OWN_FIELDS
    }
    facts = FactChanges()
    if (stage := plan.stage_field(object_type)) in changed:
        facts["stage"] = _text(changed[stage])
    if OWNER_ID in changed:
        facts["owner_id"] = _text(changed[OWNER_ID])
    account = object_type == "opportunity" and plan.reads_accounts() and "AccountId" in changed
    return [
        replace(
            _change(header, record_id),
            kind=header.kind,
            fields=fields,
            facts=facts,
            mapped=plan.changes_of(object_type, changed, created=created),
            incomplete=account and not (created and changed["AccountId"] is None),
            write_id=_text(changed.get(WRITE_ID)),
        )
        for record_id in header.record_ids
    ]


def _compared(object_type: str, name: str, value: object, plan: Plan) -> object:
    """The value as it is compared with what our write sent."""
    return _text(value) if name in (plan.stage_field(object_type), OWNER_ID) else value


def _change(header: _Header, record_id: str) -> CrmChange:
    return CrmChange(
        change_id=f"{_text(header.transaction_key)}:{header.sequence_number}:{record_id}",
        record_id=record_id,
        kind=header.kind,
        object_type=header.object_type or PREFIXES.get(record_id[:3], "opportunity"),
        committed_at=header.committed_at,
        changed_by=_text(header.commit_user),
    )


def _text(value: object) -> str:
    # No database holds the null character.
    return _TEXT.validate_python("" if value is None else value).replace("\x00", "\ufffd")


def _changed(schema: EventSchema, event: _Event, plan: Plan) -> dict[str, object]:
    if event.header.kind is ChangeKind.CREATED:
        # Everything is new, and the bitmap of a creation may be empty.
        always = (plan.stage_field(event.header.object_type) if event.header.object_type else "", "StageName", OWNER_ID)
        return {
            name: value for name, value in event.values.items() if value is not None or name in (*always, "AccountId")
        }
    if event.header.kind is not ChangeKind.UPDATED:
        return {}
    names = dict.fromkeys(schema.names(event.header.changed_fields) + schema.names(event.header.nulled_fields))
    return {name: _at(event.values, name) for name in names}


def _at(event: Mapping[str, Any], name: str) -> Any:
    value: Any = event
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
