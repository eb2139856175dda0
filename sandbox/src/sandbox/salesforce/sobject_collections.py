"""sObject Collections: up to 200 records of any type in one call, with a result for each in order."""

from collections.abc import Callable
from typing import Any

from sandbox.salesforce import schema
from sandbox.salesforce.composite import Writer
from sandbox.salesforce.errors import ApiError, NotFound
from sandbox.salesforce.ids import MalformedId, full_id
from sandbox.salesforce.query import attributes
from sandbox.salesforce.schema import SObject
from sandbox.salesforce.store import Org, Transaction

MAX_RECORDS = 200
MAX_CHUNKS = 10
MAX_RETRIEVED = 2_000

Operation = Callable[[Transaction, Any], dict[str, Any]]


def create(org: Org, writer: Writer, payload: Any) -> list[dict[str, Any]]:
    records, all_or_none = _records(payload)

    def one(transaction: Transaction, record: Any) -> dict[str, Any]:
        body = {name: value for name, value in record.items() if name != "attributes"}
        return _done(transaction.insert(_type_of(record), body))

    return _each(org, writer, records, one, all_or_none)


def update(org: Org, writer: Writer, payload: Any) -> list[dict[str, Any]]:
    records, all_or_none = _records(payload)

    def one(transaction: Transaction, record: Any) -> dict[str, Any]:
        record_id = next((value for name, value in record.items() if name.lower() == "id"), None)
        if not isinstance(record_id, str):
            raise ApiError("MISSING_ARGUMENT", "Id not specified in an update call")
        body = {name: v for name, v in record.items() if name.lower() not in {"id", "attributes"}}
        return _done(transaction.update(_type_of(record), record_id, body)["Id"])

    return _each(org, writer, records, one, all_or_none)


def upsert(org: Org, writer: Writer, name: str, key_name: str, payload: Any) -> list[dict[str, Any]]:
    obj = schema.find_object(name)
    key = obj.find(key_name) if obj else None
    if obj is None or key is None or not key.external_id:
        raise NotFound(f"Provided external ID field does not exist or is not accessible: {key_name}")
    records, all_or_none = _records(payload)

    def one(transaction: Transaction, record: Any) -> dict[str, Any]:
        value = next((v for n, v in record.items() if n.lower() == key.name.lower()), None)
        if value is None:
            raise ApiError("MISSING_ARGUMENT", f"{key.name} not specified")
        body = {n: v for n, v in record.items() if n.lower() not in {key.name.lower(), "attributes"}}
        record_id, created = transaction.upsert(obj, key, str(value), body)
        return {**_done(record_id), "created": created}

    return _each(org, writer, records, one, all_or_none)


def delete(org: Org, writer: Writer, ids: list[str], *, all_or_none: bool) -> list[dict[str, Any]]:
    _check_count(ids)

    def one(transaction: Transaction, record_id: str) -> dict[str, Any]:
        obj = schema.object_of_id(record_id)
        if obj is None:
            raise ApiError("MALFORMED_ID", f"malformed id {record_id}")
        transaction.delete(obj, record_id)
        return _done(full_id(record_id))

    return _each(org, writer, ids, one, all_or_none)


def retrieve(org: Org, name: str, ids: list[str], fields: list[str], version: str) -> list[dict[str, Any] | None]:
    """Reads records of one type; an id without a live record gives null in its place."""
    obj = schema.find_object(name)
    if obj is None:
        raise NotFound()
    if len(ids) > MAX_RETRIEVED:
        raise ApiError("EXCEEDED_ID_LIMIT", f"cannot retrieve more than {MAX_RETRIEVED} records")
    found = [obj.find(field) for field in fields]
    if not fields or None in found:
        raise ApiError("INVALID_FIELD", f"No such column on sobject of type {obj.name}: {','.join(fields)}")
    names = [f.name for f in found if f]
    rows: list[dict[str, Any] | None] = []
    for text in ids:
        try:
            record = org.tables[obj.name].get(full_id(text))
        except MalformedId:
            record = None
        if record is None or record.get("IsDeleted"):
            rows.append(None)
            continue
        row = {"attributes": attributes(obj, record["Id"], version)}
        rows.append(row | {field: record.get(field) for field in names})
    return rows


def _done(record_id: str) -> dict[str, Any]:
    return {"id": record_id, "success": True, "errors": []}


def _records(payload: Any) -> tuple[list[Any], bool]:
    records = payload.get("records") if isinstance(payload, dict) else None
    if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
        raise ApiError("JSON_PARSER_ERROR", "records: a list of sObjects is required")
    _check_count(records)
    names = [_type_name(record) for record in records]
    chunks = sum(1 for at, name in enumerate(names) if at == 0 or names[at - 1] != name)
    if chunks > MAX_CHUNKS:
        raise ApiError("INVALID_INPUT", f"more than {MAX_CHUNKS} chunks of one type each")
    return records, payload.get("allOrNone") is True


def _check_count(items: list[Any]) -> None:
    if len(items) > MAX_RECORDS:
        message = f"record limit reached. cannot submit more than {MAX_RECORDS} records into this call"
        raise ApiError("EXCEEDED_ID_LIMIT", message)


def _type_name(record: dict[str, Any]) -> str:
    return str((record.get("attributes") or {}).get("type", "")).lower()


def _type_of(record: dict[str, Any]) -> SObject:
    obj = schema.find_object(_type_name(record))
    if obj is None:
        raise ApiError("INVALID_TYPE", f"sObject type '{_type_name(record)}' is not supported.")
    return obj


def _each(org: Org, writer: Writer, items: list[Any], one: Operation, all_or_none: bool) -> list[dict[str, Any]]:
    transaction = writer.begin(org)
    results: list[dict[str, Any]] = []
    for item in items:
        try:
            results.append(one(transaction, item))
        except ApiError as error:
            results.append(error.item())
    if all_or_none and not all(result["success"] for result in results):
        message = "Record rolled back because not all records were valid and the request was using AllOrNone header"
        innocent = ApiError("ALL_OR_NONE_OPERATION_ROLLED_BACK", message).item()
        return [innocent if result["success"] else result for result in results]
    org.commit(transaction)
    return results
