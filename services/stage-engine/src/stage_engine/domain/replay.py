"""Canonical JSON of everything a decision depends on and consists of: equal values, equal bytes.

A stored decision is the deal before, the input, the answer, and the deal afterwards. Deciding again on the first two
under the same pipeline version and time must give the bytes of the last two.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from types import UnionType
from typing import Any, NamedTuple, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from pydantic_core import to_json

from stage_engine.domain.decide import decide
from stage_engine.domain.decision import Decision
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.inputs import Command, Input, Observation, Submission
from stage_engine.domain.state import Instance

T = TypeVar("T")
_INPUTS: Mapping[str, type[Input]] = {
    "submission": Submission,
    "observation": Observation,
    "command": Command,
}
_INPUT_NAMES = {kind: name for name, kind in _INPUTS.items()}
_AS_IT_IS = frozenset((str, int, bool, type(None)))


class StoredDecision(NamedTuple):
    """The four documents of one decision; `before` is None at first sight."""

    before: str | None
    given: str
    decision: str
    after: str | None


@lru_cache
def _fields_of(kind: Any) -> tuple[tuple[int, str, tuple[Any, ...]], ...]:
    """Place, name and default, if there is one, of each field of a named tuple, in the order of names."""
    defaults = kind._field_defaults
    return tuple(
        (place, name, (defaults[name],) if name in defaults else ())
        for name, place in sorted((name, place) for place, name in enumerate(kind._fields))
    )


def _plain(value: Any) -> Any:  # noqa: PLR0911 - one for each type
    """The value as JSON has it, keys in order."""
    kind = type(value)
    if kind in _AS_IT_IS:
        return value
    if kind is Decimal:
        return str(value)
    if kind is datetime:
        return value.isoformat()
    if hasattr(kind, "_fields"):
        # A field at its default is left out: what was stored before there was such a field reads and writes the same.
        plain: dict[str, Any] = {}
        for place, name, default in _fields_of(kind):
            item = value[place]
            if not default or item != default[0]:
                plain[name] = item if type(item) in _AS_IT_IS else _plain(item)
        return plain
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: _plain(value[key]) for key in sorted(value)}
    return [_plain(item) for item in value]


def _json(plain: Any) -> str:
    return to_json(plain).decode()


def encode_instance(instance: Instance) -> str:
    """The deal as canonical JSON."""
    return _json(_plain(instance))


def encode_input(given: Input) -> str:
    """The input as canonical JSON, tagged with its kind."""
    tagged = {"kind": _INPUT_NAMES[type(given)], **_plain(given)}
    return _json({name: tagged[name] for name in sorted(tagged)})


def encode_decision(decision: Decision) -> str:
    """The decision as canonical JSON. The deal afterwards is a document of its own."""
    return _json(_plain(decision._replace(instance=None)))


def decode_instance(document: str) -> Instance:
    """The deal again."""
    return _reader(Instance)(json.loads(document))


def decode_input(document: str) -> Input:
    """The input again."""
    fields = json.loads(document)
    kind = _INPUTS[fields.pop("kind")]
    return cast(Input, _reader(kind)(fields))


def decode_decision(document: str) -> Decision:
    """The decision again, without the deal."""
    return _reader(Decision)(json.loads(document))


def run_again(stored: StoredDecision, rules: Ruleset, decided_at: datetime) -> tuple[StoredDecision, bool]:
    """The decision made anew from what was stored, and whether it is the same to the byte."""
    before = None if stored.before is None else decode_instance(stored.before)
    decision = decide(before, decode_input(stored.given), rules, decided_at)
    after = None if decision.instance is None else encode_instance(decision.instance)
    again = StoredDecision(stored.before, stored.given, encode_decision(decision), after)
    return again, again == stored


@lru_cache
def _reader(kind: Any) -> Callable[[Any], Any]:  # noqa: PLR0911 - one for each type
    """What makes a value of this type from its JSON; only the types that occur in the values above."""
    if kind in (str, int, bool):
        return lambda value: value
    if kind is Decimal:
        return Decimal
    if kind is datetime:
        return datetime.fromisoformat
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        (inner,) = (_reader(a) for a in arguments if a is not type(None))
        return lambda value: None if value is None else inner(value)
    if origin is tuple and arguments[-1] is Ellipsis:
        each = _reader(arguments[0])
        return lambda value: tuple(map(each, value))
    if origin is tuple:
        readers = tuple(map(_reader, arguments))
        return lambda value: tuple(read(item) for read, item in zip(readers, value, strict=True))
    if origin is not None and issubclass(origin, Mapping):
        each = _reader(arguments[1])
        return lambda value: {key: each(item) for key, item in value.items()}
    if issubclass(kind, Enum):
        return kind
    fields = [(name, _reader(hint)) for name, hint in get_type_hints(kind).items()]
    return lambda value: kind(**{name: read(value[name]) for name, read in fields if name in value})
