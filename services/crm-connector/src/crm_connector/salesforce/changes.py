"""Change events: schemaless Avro whose header says by bitmaps which fields changed. Fields that did not change are
null, so only the bitmaps tell the truth."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import fastavro
from fastavro.types import Schema

from crm_connector.domain.observation import ChangeKind, CrmChange
from crm_connector.salesforce.graph import OWN_FIELDS

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
_HEADER = "ChangeEventHeader"
_WRITE_ID = "Stagecraft_Write_Id__c"


class EventSchema:
    """The Avro schema of one kind of event, as the org gave it."""

    def __init__(self, document: str) -> None:
        raw = json.loads(document)
        self._fields: Sequence[Mapping[str, Any]] = raw["fields"]
        self._parsed: Schema = fastavro.parse_schema(raw)

    def decode(self, payload: bytes) -> dict[str, Any]:
        """The event's fields."""
        record = fastavro.schemaless_reader(io.BytesIO(payload), self._parsed, None)
        if not isinstance(record, dict):
            raise ValueError("a change event is a record")
        return record

    def names(self, bitmaps: Sequence[str]) -> list[str]:
        """The field names that a header's bitmaps stand for, nested ones with a dot. `0x…` numbers the fields of the
        event, `n-0x…` those within its n-th field; bit 0 of the event is the header."""
        return list(_names(self._fields, bitmaps))


def _names(fields: Sequence[Mapping[str, Any]], bitmaps: Sequence[str]) -> Iterator[str]:
    for entry in bitmaps:
        at, dash, digits = entry.rpartition("-")
        if not dash:
            yield from (fields[bit]["name"] for bit in _bits(digits, len(fields)))
            continue
        parent = fields[int(at)]
        inner = _record_fields(parent["type"])
        yield from (f"{parent['name']}.{inner[bit]['name']}" for bit in _bits(digits, len(inner)))


def _bits(digits: str, limit: int) -> Iterator[int]:
    value = int(digits, 16)
    return (bit for bit in range(min(value.bit_length(), limit)) if value >> bit & 1)


def _record_fields(kind: Any) -> Sequence[Mapping[str, Any]]:
    for branch in kind if isinstance(kind, list) else [kind]:
        if isinstance(branch, dict) and branch.get("type") == "record":
            return branch["fields"]
    return ()


def changes_of(schema: EventSchema, payload: bytes) -> list[CrmChange]:
    """The changes in one event: one for each record it names, since equal changes of many records are merged."""
    event = schema.decode(payload)
    header = event[_HEADER]
    kind = _kind(str(header["changeType"]), header["recordIds"])
    committed_at = datetime.fromtimestamp(header["commitTimestamp"] / 1000, UTC)
    changed = _changed(schema, event, kind)
    told = {name: value for name, value in changed.items() if name not in DERIVED_FIELDS | OWN_FIELDS}
    facts = {fact: told[name] for fact, name in FACT_FIELDS.items() if name in told}
    return [
        CrmChange(
            change_id=f"{header['transactionKey']}:{header['sequenceNumber']}:{record_id}",
            opportunity_id=record_id,
            kind=kind,
            committed_at=committed_at,
            changed_by=header["commitUser"],
            write_id=changed.get(_WRITE_ID) or "",
            fields=told,
            facts=facts,
        )
        for record_id in header["recordIds"]
    ]


def _kind(change_type: str, record_ids: Sequence[str]) -> ChangeKind:
    # A wildcard such as 006* means every record, after a field was converted to another type.
    if change_type == "GAP_OVERFLOW" or any("*" in record_id for record_id in record_ids):
        return ChangeKind.OVERFLOW
    return _KINDS.get(change_type, ChangeKind.GAP)


def _changed(schema: EventSchema, event: Mapping[str, Any], kind: ChangeKind) -> dict[str, Any]:
    header = event[_HEADER]
    if kind is ChangeKind.CREATED:
        # Everything is new, and the bitmap of a creation may be empty.
        return {
            name: _value(name, value)
            for name, value in event.items()
            if name != _HEADER and (value is not None or name in FACT_FIELDS.values())
        }
    if kind is not ChangeKind.UPDATED:
        return {}
    names = dict.fromkeys(schema.names(header["changedFields"]) + schema.names(header["nulledFields"]))
    return {name: _value(name, _at(event, name)) for name in names}


def _at(event: Mapping[str, Any], name: str) -> Any:
    value: Any = event
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _value(name: str, value: Any) -> Any:
    match name:
        case "StageName" | "OwnerId":
            return value or ""
        case "Amount":
            return None if value is None else Decimal(str(value))
        case "CloseDate":
            return _date(value)
        case _:
            return value


def _date(value: Any) -> date | None:
    if value is None or isinstance(value, date):
        return value
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=value)).date()
