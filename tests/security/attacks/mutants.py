"""Events that differ from a well-formed one in a single field, to a value no sender should send."""

from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

_BIG = 2**31 - 1, -(2**31)
_TEXTS = ("", "\x00", "a\x00b", "NaN", "Infinity", "-1e999", "1" * 400, "1.5.5", "0001-01-01", "é\u202e😀", "x" * 3000)
_VALUES: dict[int, tuple[Any, ...]] = {
    FieldDescriptor.CPPTYPE_STRING: _TEXTS,
    FieldDescriptor.CPPTYPE_INT32: (0, -1, *_BIG),
    FieldDescriptor.CPPTYPE_INT64: (0, -1, 2**63 - 1, -(2**63)),
    FieldDescriptor.CPPTYPE_ENUM: (0, 99, -1),
    FieldDescriptor.CPPTYPE_BOOL: (False, True),
    FieldDescriptor.CPPTYPE_DOUBLE: (float("nan"), float("inf"), -1.0, 1e308),
}
_MOMENTS = (
    Timestamp(),
    Timestamp(seconds=253402300799, nanos=999999999),
    Timestamp(seconds=253402300800),
    Timestamp(seconds=-62135596801),
    Timestamp(seconds=2**62),
    Timestamp(seconds=1, nanos=-5),
    Timestamp(seconds=1, nanos=2**30),
)


def mutants(make: Callable[[], Message], depth: int = 3) -> Iterator[tuple[str, Message]]:
    """(what was changed, the event), one for every field and bad value. `make` gives a fresh well-formed event."""
    for path, value in _changes(make(), (), depth):
        event = make()
        *parents, name = path
        holder: Any = event
        for parent in parents:
            holder = holder[parent] if isinstance(parent, int) else getattr(holder, parent)
        if value is None:
            holder.ClearField(name)
        elif isinstance(value, Timestamp):
            getattr(holder, name).CopyFrom(value)
        elif isinstance(value, list):
            holder.ClearField(name)
            getattr(holder, name).extend(value)
        else:
            setattr(holder, name, value)
        yield f"{'.'.join(map(str, path))} = {str(value)[:30]!r}", event


def _changes(message: Message, path: tuple[Any, ...], depth: int) -> Iterator[tuple[tuple[Any, ...], Any]]:
    for field in message.DESCRIPTOR.fields:
        here = (*path, field.name)
        held = getattr(message, field.name)
        if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
            assert field.message_type is not None
            if field.message_type.full_name == "google.protobuf.Timestamp":
                yield from ((here, moment) for moment in _MOMENTS)
            elif field.is_repeated:
                if held and depth:
                    yield here, None
                    yield here, [held[0], held[0]]
                    yield from _changes(held[0], (*here, 0), depth - 1)
            elif depth and message.HasField(field.name):
                yield here, None
                yield from _changes(held, here, depth - 1)
        elif field.is_repeated:
            yield from ((here, [value, value]) for value in _VALUES[field.cpp_type])
        elif field.containing_oneof is None or message.HasField(field.name):
            yield from ((here, value) for value in _VALUES[field.cpp_type])
