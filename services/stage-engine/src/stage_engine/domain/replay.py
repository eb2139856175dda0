"""Canonical JSON of everything a decision depends on and consists of: equal values, equal bytes.

A stored decision is the deal before, the input, the answer, and the deal afterwards. Deciding again on the first two
under the same pipeline version and time must give the bytes of the last two.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from operator import itemgetter
from types import UnionType
from typing import Any, NamedTuple, Union, cast, get_args, get_origin, get_type_hints

from pydantic_core import from_json, to_json

from stage_engine.domain.decide import decide
from stage_engine.domain.decision import Decision
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.inputs import Command, Input, Observation, Submission
from stage_engine.domain.state import Instance

_INPUTS: Mapping[str, type[Input]] = {
    "submission": Submission,
    "observation": Observation,
    "command": Command,
}
_INPUT_NAMES = {kind: name for name, kind in _INPUTS.items()}


class StoredDecision(NamedTuple):
    """The four documents of one decision; `before` is None at first sight."""

    before: str | None
    given: str
    decision: str
    after: str | None


def encode_instance(instance: Instance) -> str:
    """The deal as canonical JSON."""
    return to_json(_writer_of_tuple(Instance)(instance)).decode()


def encode_input(given: Input) -> str:
    """The input as canonical JSON, tagged with its kind."""
    tagged = {"kind": _INPUT_NAMES[type(given)], **_writer_of_tuple(type(given))(given)}
    return to_json({name: tagged[name] for name in sorted(tagged)}).decode()


def encode_decision(decision: Decision) -> str:
    """The decision as canonical JSON. The deal afterwards is a document of its own."""
    return to_json(_writer_of_tuple(Decision)(decision._replace(instance=None))).decode()


def decode_instance(document: str) -> Instance:
    """The deal again."""
    return cast(Instance, _reader_of_tuple(Instance)(from_json(document)))


def decode_input(document: str) -> Input:
    """The input again."""
    fields = from_json(document)
    return cast(Input, _reader_of_tuple(_INPUTS[fields["kind"]])(fields))


def decode_decision(document: str) -> Decision:
    """The decision again, without the deal."""
    return cast(Decision, _reader_of_tuple(Decision)(from_json(document)))


def run_again(stored: StoredDecision, rules: Ruleset, decided_at: datetime) -> tuple[StoredDecision, bool]:
    """The decision made anew from what was stored, and whether it is the same to the byte."""
    before = None if stored.before is None else decode_instance(stored.before)
    decision = decide(before, decode_input(stored.given), rules, decided_at)
    after = None if decision.instance is None else encode_instance(decision.instance)
    again = StoredDecision(stored.before, stored.given, encode_decision(decision), after)
    return again, again == stored


@lru_cache
def _writer(kind: Any) -> Callable[[Any], Any] | None:
    """What makes JSON's value of one of this type, keys in order; None where pydantic's is the same."""
    if kind is datetime:
        return datetime.isoformat
    if hasattr(kind, "_fields"):
        return _writer_of_tuple(kind)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        (inner,) = (_writer(a) for a in arguments if a is not type(None))
        return inner and (lambda value: None if value is None else inner(value))
    if origin is tuple and arguments[-1] is Ellipsis:
        each = _writer(arguments[0])
        return each and (lambda value: list(map(each, value)))
    if origin is not None and origin is not tuple and issubclass(origin, Mapping):
        each = _writer(arguments[1]) or _same
        return lambda value: {key: each(value[key]) for key in sorted(value)}
    return None


@lru_cache
def _writer_of_tuple(kind: Any) -> Callable[[Any], dict[str, Any]]:
    """A field at its default is left out: what was stored before there was such a field reads and writes the same."""
    names = sorted(kind._fields)
    in_order = itemgetter(*map(kind._fields.index, names))
    hints = get_type_hints(kind)
    writers = [(name, write) for name in names if (write := _writer(hints[name]))]
    defaults = kind._field_defaults.items()

    def write_fields(value: Any) -> dict[str, Any]:
        fields = dict(zip(names, in_order(value), strict=True))
        for name, default in defaults:
            if fields[name] == default:
                del fields[name]
        for name, write in writers:
            if name in fields:
                fields[name] = write(fields[name])
        return fields

    return write_fields


@lru_cache
def _reader(kind: Any) -> Callable[[Any], Any] | None:  # noqa: PLR0911 - one for each type
    """What makes a value of this type from JSON's, of the types that occur in the values above; None where they are
    the same."""
    if kind in (str, int, bool):
        return None
    if kind is Decimal:
        return Decimal
    if kind is datetime:
        return datetime.fromisoformat
    if hasattr(kind, "_fields"):
        return _reader_of_tuple(kind)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        (inner,) = (_reader(a) for a in arguments if a is not type(None))
        return inner and (lambda value: None if value is None else inner(value))
    if origin is tuple and arguments[-1] is Ellipsis:
        each = _reader(arguments[0])
        return (lambda value: tuple(map(each, value))) if each else tuple
    if origin is tuple:
        readers = [_reader(a) or _same for a in arguments]
        return lambda value: tuple(read(item) for read, item in zip(readers, value, strict=True))
    if origin is not None and issubclass(origin, Mapping):
        each = _reader(arguments[1]) or _same
        return lambda value: {key: each(item) for key, item in value.items()}
    assert issubclass(kind, Enum), f"no reader for {kind}"
    return kind


@lru_cache
def _reader_of_tuple(kind: Any) -> Callable[[Any], Any]:
    """Fields that are not there have their defaults; those that a later version wrote are passed over."""
    in_order, defaults = itemgetter(*kind._fields), kind._field_defaults
    hints = get_type_hints(kind)
    readers = [(place, read) for place, name in enumerate(kind._fields) if (read := _reader(hints[name]))]

    def read_fields(fields: Any) -> Any:
        values = list(in_order({**defaults, **fields}))
        for place, read in readers:
            values[place] = read(values[place])
        return kind._make(values)

    return read_fields


def _same(value: Any) -> Any:
    return value
