"""One sObject Rows request, alone or as a node of a composite: method and path in, reply out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from sandbox.salesforce import schema
from sandbox.salesforce.clock import parse_time
from sandbox.salesforce.errors import ApiError, InvalidField, NotFound
from sandbox.salesforce.query import attributes
from sandbox.salesforce.rules import Record
from sandbox.salesforce.schema import Field, SObject
from sandbox.salesforce.store import Transaction


@dataclass(frozen=True, slots=True)
class RowRequest:
    """`path` is what follows `/sobjects/`: [T], [T, id] or [T, external id field, value]."""

    method: str
    path: tuple[str, ...]
    version: str
    params: Mapping[str, str]
    body: Any = None
    unmodified_since: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: Any = None
    location: str | None = None


def perform(transaction: Transaction, request: RowRequest) -> Reply:
    """Does what the request asks within the transaction. Raises ApiError; then nothing was written."""
    obj = schema.find_object(request.path[0])
    if obj is None:
        raise NotFound()
    if request.method in {"POST", "PATCH"} and not isinstance(request.body, dict):
        raise ApiError("JSON_PARSER_ERROR", "The HTTP entity body is required, but this request has none.")
    match len(request.path), request.method:
        case 1, "POST":
            record_id = transaction.insert(obj, request.body)
            body = {"id": record_id, "success": True, "errors": []}
            return Reply(201, body, attributes(obj, record_id, request.version)["url"])
        case 2, method:
            return _by_id(transaction, obj, request, method, request.path[1])
        case 3, "PATCH":
            return _upsert(transaction, obj, request)
        case 3, method:
            key, value = _key(obj, request.path[1]), request.path[2]
            record_id = transaction.key_owner(obj, key, value)
            if record_id is None:
                raise NotFound()
            return _by_id(transaction, obj, request, method, record_id)
    raise _not_allowed(request.method)


def _not_allowed(method: str) -> ApiError:
    return ApiError("METHOD_NOT_ALLOWED", f"HTTP Method '{method}' not allowed.", 405)


def _by_id(transaction: Transaction, obj: SObject, request: RowRequest, method: str, record_id: str) -> Reply:
    match method:
        case "GET":
            record = transaction.read(obj, record_id)
            _check_unmodified(record, request.unmodified_since)
            return Reply(200, _worded(obj, record, request))
        case "PATCH":
            if request.unmodified_since is not None:
                _check_unmodified(transaction.read(obj, record_id), request.unmodified_since)
            transaction.update(obj, record_id, request.body)
            return Reply(204)
        case "DELETE":
            transaction.delete(obj, record_id)
            return Reply(204)
    raise _not_allowed(method)


def _upsert(transaction: Transaction, obj: SObject, request: RowRequest) -> Reply:
    key, value = _key(obj, request.path[1]), request.path[2]
    owner = transaction.key_owner(obj, key, value)
    if owner is not None and request.unmodified_since is not None:
        _check_unmodified(transaction.read(obj, owner), request.unmodified_since)
    update_only = request.params.get("updateOnly", "").lower() == "true"
    record_id, created = transaction.upsert(obj, key, value, request.body, update_only=update_only)
    body = {"id": record_id, "success": True, "errors": [], "created": created}
    location = attributes(obj, record_id, request.version)["url"] if created else None
    return Reply(201 if created else 200, body, location)


def _key(obj: SObject, name: str) -> Field:
    field = obj.find(name)
    if field is None or not field.external_id:
        raise NotFound(f"Provided external ID field does not exist or is not accessible: {name}")
    return field


def _worded(obj: SObject, record: Record, request: RowRequest) -> dict[str, Any]:
    fields = list(obj.fields)
    if request.params.get("fields"):
        fields = []
        for name in request.params["fields"].split(","):
            field = obj.find(name.strip())
            if field is None:
                raise InvalidField(name.strip(), obj.name)
            fields.append(field)
    row: dict[str, Any] = {"attributes": attributes(obj, record["Id"], request.version)}
    row["Id"] = record["Id"]
    row.update((f.name, record.get(f.name)) for f in fields)
    return row


def _check_unmodified(record: Record, header: str | None) -> None:
    """If-Unmodified-Since, to the second."""
    if header is None:
        return
    limit = http_date(header)
    if parse_time(record["LastModifiedDate"]) > limit:
        raise ApiError("PRECONDITION_FAILED", "the record has been modified since", 412)


def http_date(header: str) -> datetime:
    """Reads an RFC 1123 date. Raises ApiError if it is none."""
    try:
        return parsedate_to_datetime(header).astimezone(UTC)
    except ValueError:
        raise ApiError("INVALID_HEADER_VALUE", f"not an HTTP date: {header}") from None
