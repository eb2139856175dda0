"""The org's records in memory, and the transaction every write goes through.

Everything here is synchronous, so on one event loop a transaction is isolated by construction: it
collects its writes beside the tables and `Org.commit` applies them at once or never.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sandbox.salesforce import schema
from sandbox.salesforce.access import Access
from sandbox.salesforce.clock import Clock, wire_time
from sandbox.salesforce.errors import ApiError, InvalidField, NotFound
from sandbox.salesforce.events import SELECTED, Change, EventWriter
from sandbox.salesforce.flows import Flow, triggered
from sandbox.salesforce.ids import MalformedId, full_id, make_id, number_of
from sandbox.salesforce.journal import Entry, Journal
from sandbox.salesforce.rules import (
    Record,
    ValidationRule,
    check_required,
    check_stage_conflict,
    coerce,
    history_row,
    settle_name,
    settle_opportunity,
    settle_task,
)
from sandbox.salesforce.schema import Field, SObject


class Org:
    """The tables with their indexes."""

    def __init__(self, clock: Clock, journal: Journal, events: EventWriter) -> None:
        self.clock = clock
        self.journal = journal
        self.events = events
        self.tables: dict[str, dict[str, Record]] = {o.name: {} for o in schema.OBJECTS}
        self.stages: dict[str, Record] = {}
        self.validation_rules: list[ValidationRule] = []
        self.flows: list[Flow] = []
        # What the operator takes from the integration user, and whether the packaged rule is active.
        self.access = Access()
        # Objects whose packaged rule is switched off.
        self.rules_off: set[str] = set()
        # Deleted for good, with the moment: neither a query nor an event shows these any more.
        self.purged: dict[str, str] = {}
        self._keys: dict[tuple[str, str], dict[str, str]] = {
            (o.name, f.name): {} for o in schema.OBJECTS for f in o.keys
        }
        self._children: dict[tuple[str, str], dict[str, dict[str, None]]] = {
            (o.name, f.name): {} for o in schema.OBJECTS for f in o.references if f.children
        }
        self._numbers = {o.name: 0 for o in schema.OBJECTS}

    def restore(self, records: Iterator[tuple[str, Record]]) -> None:
        """Fills the tables with what the journal kept."""
        for name, record in records:
            obj = schema.find_object(name)
            if obj is not None:
                self._put(obj, record)

    def key_owner(self, obj: SObject, field: Field, value: str) -> str | None:
        """The id of the live record that holds `value` in a unique field."""
        return self._keys[obj.name, field.name].get(value)

    def is_indexed(self, obj: SObject, field: Field) -> bool:
        return field.kind == "id" or field.unique or (obj.name, field.name) in self._children

    def with_value(self, obj: SObject, field: Field, value: str) -> list[Record]:
        """Live records whose indexed field equals `value`, in the order of their ids."""
        table = self.tables[obj.name]
        if field.kind == "id":
            ids: list[str] = [value] if value in table else []
        elif field.unique:
            owner = self.key_owner(obj, field, value)
            ids = [owner] if owner else []
        else:
            ids = sorted(self._children[obj.name, field.name].get(value, ()))
        return [table[i] for i in ids if not table[i].get("IsDeleted")]

    def next_id(self, obj: SObject) -> tuple[str, int]:
        self._numbers[obj.name] += 1
        number = self._numbers[obj.name]
        return make_id(obj.prefix, number), number

    def commit(self, transaction: "Transaction") -> None:
        """Applies the transaction's writes and hands them, with their events, to the journal.

        Nothing may be acknowledged before `journal.flushed()`.
        """
        if not transaction.written:
            return
        entry = Entry()
        changes: list[Change] = []
        set_off: list[tuple[Flow, str]] = []
        for record_id, (obj, after) in transaction.written.items():
            before = self.tables[obj.name].get(record_id)
            self._put(obj, after)
            entry.records.append((record_id, obj.name, after))
            if obj is schema.OPPORTUNITY and before is not None:
                flow = triggered(self.flows, before, after, before_save=False)
                set_off += [(flow, record_id)] if flow else []
            if obj.name in SELECTED and transaction.emits:
                changes.append(Change(obj.name, before, after))
        if changes:
            entry.events = self.events.write(
                changes, origin=transaction.origin, user=transaction.user, now=transaction.moment
            )
        self.journal.submit(entry)
        for flow, record_id in set_off:
            own = Transaction(self, user=flow.user_id, origin="")
            own.update(schema.OPPORTUNITY, record_id, {"StageName": flow.sets})
            self.commit(own)

    def purge(self, obj: SObject, record_id: str) -> None:
        """Deletes a record for good, past the recycle bin and without an event."""
        table = self.tables[obj.name]
        self._put(obj, {**table[record_id], "IsDeleted": True})
        del table[record_id]
        self.purged[record_id] = wire_time(self.clock.now())
        self.journal.submit(Entry(records=[(record_id, obj.name, None)]))

    def replace_stages(self, rows: list[Record]) -> None:
        """Takes `rows` as all the stages there are."""
        entry = Entry(records=[(key, schema.STAGE.name, None) for key in self.tables[schema.STAGE.name]])
        self.tables[schema.STAGE.name] = {}
        self.stages = {}
        for row in rows:
            self._put(schema.STAGE, row)
            entry.records.append((row["Id"], schema.STAGE.name, row))
        self.journal.submit(entry)

    def _put(self, obj: SObject, record: Record) -> None:
        record_id = record["Id"]
        table = self.tables[obj.name]
        before = table.get(record_id)
        table[record_id] = record
        self._numbers[obj.name] = max(self._numbers[obj.name], number_of(record_id))
        live = not record.get("IsDeleted")
        for field in obj.keys:
            index = self._keys[obj.name, field.name]
            old = before.get(field.name) if before else None
            new = record.get(field.name) if live else None
            if old is not None and old != new and index.get(old) == record_id:
                del index[old]
            if new is not None:
                index[new] = record_id
        for field in obj.references:
            if not field.children:
                continue
            lists = self._children[obj.name, field.name]
            old = before.get(field.name) if before else None
            new = record.get(field.name)
            if old is not None and old != new:
                lists[old].pop(record_id, None)
            if new is not None:
                lists.setdefault(new, {})[record_id] = None
        if obj is schema.STAGE:
            self.stages[record["ApiName"]] = record


class Transaction:
    """Writes that become visible together. Each operation checks everything before it writes anything,
    so a refused one leaves no trace and the others may still commit.
    """

    def __init__(self, org: Org, *, user: str, origin: str, emits: bool = True) -> None:
        self.org = org
        self.user = user
        self.origin = origin
        self.emits = emits
        self.moment: datetime = org.clock.now()
        self.now = wire_time(self.moment)
        self.written: dict[str, tuple[SObject, Record]] = {}
        self._keys: dict[tuple[str, str, str], str | None] = {}

    def find(self, obj: SObject, record_id: str) -> Record | None:
        """The record as this transaction sees it, deleted ones included."""
        own = self.written.get(record_id)
        return own[1] if own else self.org.tables[obj.name].get(record_id)

    def read(self, obj: SObject, record_id: str) -> Record:
        """The live record for a GET. Raises NOT_FOUND."""
        record = self.find(obj, _id_for(obj, record_id))
        if record is None or record.get("IsDeleted"):
            raise NotFound()
        return record

    def key_owner(self, obj: SObject, field: Field, value: str) -> str | None:
        slot = (obj.name, field.name, value)
        return self._keys[slot] if slot in self._keys else self.org.key_owner(obj, field, value)

    def insert(self, obj: SObject, body: dict[str, Any], audit: Record | None = None) -> str:
        """Creates a record and gives its id. `audit` overrides what the org would fill in itself."""
        given = self._clean(obj, body, creating=True)
        record: Record = {f.name: False for f in obj.booleans}
        record.update((name, value) for name, value in given.items() if value is not None)
        record_id, number = self.org.next_id(obj)
        record["Id"] = record_id
        if obj.auto_number:
            record["Name"] = obj.auto_number.format(number)
        if obj.find("OwnerId") and "OwnerId" not in record:
            record["OwnerId"] = self.user
        for name in ("CreatedDate", "LastModifiedDate", "SystemModstamp"):
            if obj.find(name):
                record[name] = self.now
        for name in ("CreatedById", "LastModifiedById"):
            if obj.find(name):
                record[name] = self.user
        record.update(audit or {})
        settle_name(obj, record)
        if obj is schema.TASK:
            settle_task(record, self.now)
        if obj is schema.LEAD and "Status" not in record:
            record["Status"] = next(s["ApiName"] for s in self.org.tables["LeadStatus"].values() if s["IsDefault"])
        check_required(obj, record)
        self._check_keys(obj, record)
        if obj is schema.OPPORTUNITY:
            settle_opportunity(None, record, given, self.org.stages, self.now)
            record.update(audit or {})
        self._validate(obj, record)
        self._write(obj, None, record)
        return record["Id"]

    def update(self, obj: SObject, record_id: str, body: dict[str, Any]) -> Record:
        """Changes a live record and gives its new state."""
        before = self._live(obj, record_id)
        given = self._clean(obj, body, creating=False, before=before)
        after = {**before, **given}
        for name, value in given.items():
            if value is None:
                del after[name]
        after["LastModifiedDate"] = after["SystemModstamp"] = self.now
        after["LastModifiedById"] = self.user
        settle_name(obj, after)
        if obj is schema.TASK:
            settle_task(after, self.now)
        check_required(obj, after)
        self._check_keys(obj, after)
        if obj is schema.OPPORTUNITY:
            flow = triggered(self.org.flows, before, after, before_save=True)
            if flow is not None:
                after["StageName"] = given["StageName"] = flow.sets
            settle_opportunity(before, after, given, self.org.stages, self.now)
        if obj.name not in self.org.rules_off:
            check_stage_conflict(obj, before, after)
        self._validate(obj, after)
        self._write(obj, before, after)
        return after

    def settle(self, obj: SObject, record_id: str, values: Record) -> None:
        """Sets what only the org itself sets."""
        before = self._live(obj, record_id)
        stamps = {"LastModifiedDate": self.now, "SystemModstamp": self.now, "LastModifiedById": self.user}
        self._write(obj, before, {**before, **values, **stamps})

    def _validate(self, obj: SObject, record: Record) -> None:
        for rule in self.org.validation_rules:
            rule.check(obj, record)

    def upsert(
        self, obj: SObject, key: Field, value: str, body: dict[str, Any], *, update_only: bool = False
    ) -> tuple[str, bool]:
        """Creates or updates by external id; gives the id and whether it was created."""
        if any(name.lower() == "id" for name in body):
            raise ApiError("INVALID_FIELD", "The Id field should not be specified in the sobject data.")
        record_id = self.key_owner(obj, key, value)
        if record_id is not None:
            self.update(obj, record_id, body)
            return record_id, False
        if update_only:
            raise NotFound()
        return self.insert(obj, {**body, key.name: value}), True

    def delete(self, obj: SObject, record_id: str) -> None:
        """Deletes a record with its details; history goes with its opportunity."""
        record = self._live(obj, record_id)
        if not obj.writable or obj is schema.USER:
            raise ApiError("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id")
        doomed: list[tuple[SObject, Record]] = []
        self._collect(obj, record, doomed)
        for kind, item in doomed:
            after = {**item, "IsDeleted": True, "SystemModstamp": self.now}
            if "LastModifiedDate" in item:
                after |= {"LastModifiedDate": self.now, "LastModifiedById": self.user}
            self._write(kind, item, after)

    def _collect(self, obj: SObject, record: Record, doomed: list[tuple[SObject, Record]]) -> None:
        doomed.append((obj, record))
        for child, field in schema.children_of(obj):
            for item in self._linked(child, field, record["Id"]):
                if not field.cascade:
                    message = f"Your attempt to delete {record.get('Name')} could not be completed because it is associated with other records"  # noqa: E501
                    raise ApiError("DELETE_FAILED", message)
                self._collect(child, item, doomed)

    def _linked(self, obj: SObject, field: Field, parent_id: str) -> list[Record]:
        found = {r["Id"]: r for r in self.org.with_value(obj, field, parent_id)}
        for record_id, (kind, record) in self.written.items():
            if kind is obj:
                if record.get(field.name) == parent_id and not record.get("IsDeleted"):
                    found[record_id] = record
                else:
                    found.pop(record_id, None)
        return list(found.values())

    def _live(self, obj: SObject, record_id: str) -> Record:
        if not obj.writable:
            raise ApiError("INSUFFICIENT_ACCESS_OR_READONLY", f"entity type {obj.name} is not writable")
        record = self.find(obj, _id_for(obj, record_id))
        if record is None:
            raise ApiError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", 404)
        if record.get("IsDeleted"):
            raise ApiError("ENTITY_IS_DELETED", "entity is deleted", 404)
        return record

    def _clean(self, obj: SObject, body: dict[str, Any], *, creating: bool, before: Record | None = None) -> Record:
        if not obj.writable and self.emits:
            raise ApiError("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", f"entity type {obj.name} is not writable")
        clean: Record = {}
        for name, value in body.items():
            field = obj.find(name)
            if field is not None and not self.org.access.may_see(obj, field):
                raise InvalidField(name, obj.name)
            if field is None:
                if name.lower() == "attributes":
                    continue
                field = obj.by_relationship.get(name.lower())
                if field is None or not isinstance(value, dict):
                    raise InvalidField(name, obj.name)
                value = self._parent_id(field, value)  # noqa: PLW2901
            if not field.writable or not self.org.access.may_edit(obj, field):
                raise _not_writable(field, creating)
            stored = coerce(field, value)
            if field.kind == "reference" and stored is not None:
                self._check_reference(field, stored)
            if before is not None and not field.updateable and before.get(field.name) != stored:
                raise _not_writable(field, creating)
            clean[field.name] = stored
        return clean

    def _parent_id(self, field: Field, by: dict[str, Any]) -> str:
        parent = schema.find_object(field.refers_to or "")
        pairs = [(name, value) for name, value in by.items() if name.lower() != "attributes"]
        key = parent.find(pairs[0][0]) if parent and len(pairs) == 1 else None
        if parent is None or key is None or not key.external_id:
            raise ApiError("INVALID_FIELD", f"A foreign key external ID is expected in {field.relationship}")
        owner = self.key_owner(parent, key, str(pairs[0][1]))
        if owner is None:
            message = f"Foreign key external ID: {pairs[0][1]} not found for field {key.name} in entity {parent.name}"
            raise ApiError("INVALID_FIELD", message)
        return owner

    def _check_reference(self, field: Field, record_id: str) -> None:
        target = schema.object_of_id(record_id)
        record = self.find(target, record_id) if target else None
        if record is None or record.get("IsDeleted"):
            raise ApiError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", fields=(field.name,))

    def _check_keys(self, obj: SObject, record: Record) -> None:
        for field in obj.keys:
            value = record.get(field.name)
            if value is None:
                continue
            owner = self.key_owner(obj, field, value)
            if owner is not None and owner != record["Id"]:
                message = f"duplicate value found: {field.name} duplicates value on record with id: {owner}"
                raise ApiError("DUPLICATE_VALUE", message)

    def _write(self, obj: SObject, before: Record | None, after: Record) -> None:
        self.written[after["Id"]] = (obj, after)
        live = not after.get("IsDeleted")
        for field in obj.keys:
            old = before.get(field.name) if before else None
            new = after.get(field.name) if live else None
            if old is not None and old != new:
                self._keys[obj.name, field.name, old] = None
            if new is not None:
                self._keys[obj.name, field.name, new] = after["Id"]
        if obj is schema.OPPORTUNITY and live:
            self._add_history(before, after)

    def _add_history(self, before: Record | None, after: Record) -> None:
        row = history_row(before, after)
        if row is None:
            return
        created = self.now if before is not None else after["CreatedDate"]
        row["Id"], _ = self.org.next_id(schema.HISTORY)
        row |= {"CreatedDate": created, "SystemModstamp": self.now, "CreatedById": self.user}
        self.written[row["Id"]] = (schema.HISTORY, {**row, "IsDeleted": False})


def _not_writable(field: Field, creating: bool) -> ApiError:
    message = (
        f"Unable to create/update fields: {field.name}. Please check the security settings of this field "
        "and verify that it is read/write for your profile or permission set."
    )
    return ApiError("INVALID_FIELD_FOR_INSERT_UPDATE", message, fields=(field.name,))


def _id_for(obj: SObject, text: str) -> str:
    try:
        record_id = full_id(text)
    except MalformedId:
        raise NotFound(f"Provided external ID field does not exist or is not accessible: {text}") from None
    if not record_id.startswith(obj.prefix):
        raise ApiError("MALFORMED_ID", f"malformed id {text}")
    return record_id
