"""Runs parsed SOQL over the tables: resolves fields, filters, orders, renders, and pages."""

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sandbox.salesforce import schema, soql
from sandbox.salesforce.access import Access
from sandbox.salesforce.clock import Clock
from sandbox.salesforce.errors import ApiError, InvalidField
from sandbox.salesforce.ids import MalformedId, full_id
from sandbox.salesforce.rules import Record
from sandbox.salesforce.schema import Field, SObject
from sandbox.salesforce.soql import Comparison, Condition, Join, Literal_, Not, Query
from sandbox.salesforce.store import Org

DEFAULT_BATCH = 2_000
LOCATOR_LIFE = timedelta(minutes=15)
MAX_LOCATORS = 100

Predicate = Callable[[Record], bool]


@dataclass(frozen=True, slots=True)
class Path:
    """A field reached through parents: `Account.Owner.Name` is two steps and a field."""

    steps: tuple[Field, ...]
    field: Field

    def value(self, org: Org, record: Record) -> Any:
        for step in self.steps:
            parent = _parent(org, step, record)
            if parent is None:
                return None
            record = parent
        return record.get(self.field.name)


@dataclass(frozen=True, slots=True)
class Result:
    """What a query found: ids in order, or only a count."""

    obj: SObject
    paths: tuple[Path, ...]
    ids: list[str]
    counted: int | None = None


def _parent(org: Org, step: Field, record: Record) -> Record | None:
    parent_id = record.get(step.name)
    return org.tables[step.refers_to or ""].get(parent_id) if parent_id else None


def execute(org: Org, query: Query, *, deleted: bool) -> Result:
    """Runs a query; with `deleted`, deleted records take part (queryAll)."""
    obj = schema.find_object(query.object_name)
    if obj is None:
        message = f"sObject type '{query.object_name}' is not supported."
        raise ApiError("INVALID_TYPE", message)
    paths = _selected(obj, query, org.access)
    records = _candidates(org, obj, query.where, deleted)
    if query.where is not None:
        keep = _predicate(org, obj, query.where)
        records = [r for r in records if keep(r)]
    if not query.paths:
        counted = len(records) if query.limit is None else min(len(records), query.limit)
        return Result(obj, (), [], counted)
    records.sort(key=lambda r: r["Id"])
    for order in reversed(query.order):
        records = _ordered(org, records, resolve(obj, order.path), order)
    end = None if query.limit is None else query.offset + query.limit
    return Result(obj, paths, [r["Id"] for r in records[query.offset : end]])


def _selected(obj: SObject, query: Query, access: Access) -> tuple[Path, ...]:
    if query.paths and query.paths[0].startswith("FIELDS("):
        if query.paths[0] != "FIELDS(STANDARD)" and (query.limit is None or query.limit > 200):
            raise ApiError("MALFORMED_QUERY", "The SOQL FIELDS function must have a LIMIT of at most 200")
        group = query.paths[0][7:-1]
        return tuple(Path((), f) for f in obj.fields if group == "ALL" or f.custom == (group == "CUSTOM"))
    paths = [resolve(obj, text, access) for text in query.paths]
    if len({(p.steps, p.field.name) for p in paths}) != len(paths):
        raise ApiError("MALFORMED_QUERY", "duplicate field selected")
    return tuple(paths)


def resolve(obj: SObject, text: str, access: Access | None = None) -> Path:
    """Resolves a dotted field name in any case. Raises INVALID_FIELD."""
    *parents, last = text.split(".")
    if parents and parents[0].lower() == obj.name.lower():
        parents = parents[1:]
    steps: list[Field] = []
    at = obj
    for name in parents:
        step = at.by_relationship.get(name.lower())
        target = schema.find_object(step.refers_to) if step and step.refers_to else None
        if step is None or target is None:
            message = f"Didn't understand relationship '{name}' in field path."
            raise ApiError("INVALID_FIELD", message)
        steps.append(step)
        at = target
    field = at.find(last)
    if field is None or (access is not None and not access.may_see(at, field)):
        raise InvalidField(last, at.name)
    return Path(tuple(steps), field)


def _candidates(org: Org, obj: SObject, where: Condition | None, deleted: bool) -> list[Record]:
    """Narrows the scan by an index if the condition demands one of few values of an indexed field."""
    if deleted:
        return list(org.tables[obj.name].values())
    for term in where.terms if isinstance(where, Join) and where.word == "AND" else (where,):
        if not isinstance(term, Comparison) or term.operator not in {"=", "IN"} or "." in term.path:
            continue
        field = obj.find(term.path)
        if field is None or not org.is_indexed(obj, field):
            continue
        values = {_operand(field, literal) for literal in term.values}
        if all(isinstance(v, str) for v in values):
            return [r for v in values for r in org.with_value(obj, field, v)]
    return [r for r in org.tables[obj.name].values() if not r.get("IsDeleted")]


def _predicate(org: Org, obj: SObject, where: Condition) -> Predicate:
    if isinstance(where, Not):
        inner = _predicate(org, obj, where.term)
        return lambda record: not inner(record)
    if isinstance(where, Join):
        terms = [_predicate(org, obj, term) for term in where.terms]
        if where.word == "AND":
            return lambda record: all(term(record) for term in terms)
        return lambda record: any(term(record) for term in terms)
    path = resolve(obj, where.path)
    if not path.field.searchable:
        message = f"field '{path.field.name}' can not be filtered in a query call"
        raise ApiError("INVALID_FIELD", message)
    test = _test(path.field, where)
    if not path.steps:
        name = path.field.name
        return lambda record: test(record.get(name))
    return lambda record: test(path.value(org, record))


def _folds(field: Field) -> bool:
    return field.kind in schema.TEXTS and not field.unique


def _test(field: Field, term: Comparison) -> Callable[[Any], bool]:  # noqa: PLR0911
    fold = _folds(field)
    operands = [_operand(field, literal) for literal in term.values]
    if fold:
        operands = [o.lower() if isinstance(o, str) else o for o in operands]
    operand = operands[0]

    def seen(value: Any) -> Any:
        return value.lower() if fold and isinstance(value, str) else value

    match term.operator:
        case "=":
            return lambda value: seen(value) == operand
        case "!=":
            return lambda value: seen(value) != operand
        case "IN":
            members = set(operands)
            return lambda value: seen(value) in members
        case "NOT IN":
            members = set(operands)
            return lambda value: seen(value) not in members
        case "LIKE":
            if field.kind not in schema.TEXTS or not isinstance(operand, str):
                raise ApiError("INVALID_FIELD", f"invalid operator on {field.kind} field {field.name}")
            pattern = _like(term.values[0].value)
            return lambda value: value is not None and pattern.fullmatch(value) is not None
        case "<":
            return lambda value: value is not None and operand is not None and seen(value) < operand
        case "<=":
            return lambda value: value is not None and operand is not None and seen(value) <= operand
        case ">":
            return lambda value: value is not None and operand is not None and seen(value) > operand
        case ">=":
            return lambda value: value is not None and operand is not None and seen(value) >= operand


def _like(text: str) -> re.Pattern[str]:
    parts = {"%": ".*", "_": "."}
    return re.compile("".join(parts.get(c, re.escape(c)) for c in text), re.IGNORECASE | re.DOTALL)


def _operand(field: Field, literal: Literal_) -> Any:
    """Checks that a literal has the field's type. Raises INVALID_FIELD."""
    if literal.kind == "null":
        return None
    if field.kind in {"id", "reference"} and literal.kind == "string":
        try:
            return full_id(literal.value)
        except MalformedId:
            message = f"invalid ID field: {literal.value}"
            raise ApiError("INVALID_QUERY_FILTER_OPERATOR", message) from None
    wanted = (
        "number" if field.kind in schema.NUMBERS
        else field.kind if field.kind in {"boolean", "date", "datetime"}
        else "string"
    )  # fmt: skip
    if literal.kind != wanted:
        quoted = "should not" if wanted != "string" else "should"
        message = (
            f"value of filter criterion for field '{field.name}' must be of type {field.kind} "
            f"and {quoted} be enclosed in quotes"
        )
        raise ApiError("INVALID_FIELD", message)
    return literal.value


def _ordered(org: Org, records: list[Record], path: Path, order: soql.Order) -> list[Record]:
    if not path.field.searchable:
        raise ApiError("MALFORMED_QUERY", f"field '{path.field.name}' can not be sorted in a query call")
    fold = _folds(path.field)
    keyed = [(path.value(org, r), r) for r in records]
    empty = [r for value, r in keyed if value is None]
    filled = [(value.lower() if fold else value, r) for value, r in keyed if value is not None]
    filled.sort(key=lambda pair: pair[0], reverse=order.descending)
    rows = [r for _, r in filled]
    return rows + empty if order.nulls_last else empty + rows


def attributes(obj: SObject, record_id: str, version: str) -> dict[str, str]:
    return {"type": obj.name, "url": f"/services/data/v{version}/sobjects/{obj.name}/{record_id}"}


def render(org: Org, result: Result, record_id: str, version: str) -> dict[str, Any]:
    """Words one row, parents nested under the names they were asked for by."""
    record = org.tables[result.obj.name][record_id]
    row: dict[str, Any] = {"attributes": attributes(result.obj, record_id, version)}
    for path in result.paths:
        at, holder = record, row
        for step in path.steps:
            parent = _parent(org, step, at)
            relationship = step.relationship or ""
            if parent is None:
                holder[relationship] = None
                break
            if relationship not in holder:
                target = schema.find_object(step.refers_to or "")
                holder[relationship] = {"attributes": attributes(target, parent["Id"], version)} if target else {}
            at, holder = parent, holder[relationship]
        else:
            holder[path.field.name] = at.get(path.field.name)
    return row


class Queries:
    """Open query locators. They live in memory and a while only, as a client has to expect."""

    def __init__(self, org: Org, clock: Clock) -> None:
        self._org = org
        self._clock = clock
        self._open: OrderedDict[str, tuple[Result, datetime]] = OrderedDict()
        self._opened = 0

    def start(self, text: str, *, deleted: bool, batch: int, version: str) -> dict[str, Any]:
        result = execute(self._org, soql.parse(text), deleted=deleted)
        if result.counted is not None:
            return {"totalSize": result.counted, "done": True, "records": []}
        locator = ""
        if len(result.ids) > batch:
            self._opened += 1
            locator = f"01gSg{self._opened:010d}AAA"
            self._open[locator] = (result, self._clock.now() + LOCATOR_LIFE)
            while len(self._open) > MAX_LOCATORS:
                self._open.popitem(last=False)
        return self._page(result, locator, 0, batch, version)

    def resume(self, text: str, *, batch: int, version: str) -> dict[str, Any]:
        """Gives the page a `nextRecordsUrl` names. Raises INVALID_QUERY_LOCATOR."""
        locator, _, start = text.partition("-")
        found = self._open.get(locator)
        if found is None or not start.isdigit() or found[1] < self._clock.now():
            raise ApiError("INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._page(found[0], locator, int(start), batch, version)

    def _page(self, result: Result, locator: str, start: int, batch: int, version: str) -> dict[str, Any]:
        end = start + batch
        page: dict[str, Any] = {"totalSize": len(result.ids), "done": end >= len(result.ids)}
        if not page["done"]:
            page["nextRecordsUrl"] = f"/services/data/v{version}/query/{locator}-{end}"
        page["records"] = [render(self._org, result, i, version) for i in result.ids[start:end]]
        return page
