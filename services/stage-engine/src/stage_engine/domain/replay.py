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
# How each is written and read; nothing where JSON, or its encoder, has it the same.
_SCALARS: Mapping[type, tuple[Callable[[Any], Any] | None, Callable[[Any], Any] | None]] = {
    str: (None, None),
    int: (None, None),
    bool: (None, None),
    Decimal: (None, Decimal),
    datetime: (datetime.isoformat, datetime.fromisoformat),
}


class StoredDecision(NamedTuple):
    """The four documents of one decision; `before` is None at first sight."""

    before: str | None
    given: str
    decision: str
    after: str | None


def encode_instance(instance: Instance) -> str:
    """The deal as canonical JSON."""
    return to_json(_writer(Instance)(instance)).decode()


def encode_input(given: Input) -> str:
    """The input as canonical JSON, tagged with its kind."""
    tagged = {"kind": _INPUT_NAMES[type(given)], **_writer(type(given))(given)}
    return to_json({name: tagged[name] for name in sorted(tagged)}).decode()


def encode_decision(decision: Decision) -> str:
    """The decision as canonical JSON. The deal afterwards is a document of its own."""
    return to_json(_writer(Decision)(decision._replace(instance=None))).decode()


def decode_instance(document: str) -> Instance:
    """The deal again."""
    return cast(Instance, _reader(Instance)(from_json(document)))


def decode_input(document: str) -> Input:
    """The input again."""
    fields = from_json(document)
    return cast(Input, _reader(_INPUTS[fields["kind"]])(fields))


def decode_decision(document: str) -> Decision:
    """The decision again, without the deal."""
    return cast(Decision, _reader(Decision)(from_json(document)))


def run_again(stored: StoredDecision, rules: Ruleset, decided_at: datetime) -> tuple[StoredDecision, bool]:
    """The decision made anew from what was stored, and whether it is the same to the byte."""
    before = None if stored.before is None else decode_instance(stored.before)
    decision = decide(before, decode_input(stored.given), rules, decided_at)
    after = None if decision.instance is None else encode_instance(decision.instance)
    again = StoredDecision(stored.before, stored.given, encode_decision(decision), after)
    return again, again == stored


@lru_cache
def _converter(kind: Any, reading: bool) -> Callable[[Any], Any] | None:  # noqa: PLR0911 - one for each type
    """What makes JSON's value of one of this type, or, reading, the other way round; None where they are the same.

    KeyError for a type that does not occur in the values above."""
    if hasattr(kind, "_fields"):
        return _reader(kind) if reading else _writer(kind)
    origin, arguments = get_origin(kind), [a for a in get_args(kind) if a not in (Ellipsis, type(None))]
    each = [_converter(a, reading) or _same for a in arguments]
    if origin in (Union, UnionType):
        (inner,) = each
        return None if inner is _same else lambda value: None if value is None else inner(value)
    if origin is tuple and all(convert is _same for convert in each):
        return tuple if reading else None
    if origin is tuple and Ellipsis in get_args(kind):
        (inner,) = each
        return lambda value: tuple(map(inner, value))
    if origin is tuple:
        return lambda value: tuple(convert(item) for convert, item in zip(each, value, strict=True))
    if origin is not None and issubclass(origin, Mapping):
        _, inner = each
        return lambda value: {key: inner(value[key]) for key in sorted(value)}
    if issubclass(kind, Enum):
        return kind if reading else None
    return _SCALARS[kind][reading]


@lru_cache
def _writer(kind: Any) -> Callable[[Any], dict[str, Any]]:
    """Fields in the order of their names. One at its default is left out: what was stored before there was such a field
    reads and writes the same."""
    names = sorted(kind._fields)
    in_order = itemgetter(*map(kind._fields.index, names))
    hints = get_type_hints(kind)
    writers = [(name, write) for name in names if (write := _converter(hints[name], False))]
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
def _reader(kind: Any) -> Callable[[Any], Any]:
    """Fields that are not there have their defaults; those that a later version wrote are passed over."""
    in_order, defaults = itemgetter(*kind._fields), kind._field_defaults
    hints = get_type_hints(kind)
    readers = [(place, read) for place, name in enumerate(kind._fields) if (read := _converter(hints[name], True))]

    def read_fields(fields: Any) -> Any:
        values = list(in_order({**defaults, **fields}))
        for place, read in readers:
            values[place] = read(values[place])
        return kind._make(values)

    return read_fields


def _same(value: Any) -> Any:
    return value
