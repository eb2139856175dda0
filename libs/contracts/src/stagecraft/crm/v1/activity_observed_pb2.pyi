import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from stagecraft.common.v1 import event_pb2 as _event_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ActivityKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACTIVITY_KIND_UNSPECIFIED: _ClassVar[ActivityKind]
    ACTIVITY_KIND_CALL: _ClassVar[ActivityKind]
    ACTIVITY_KIND_EMAIL: _ClassVar[ActivityKind]
    ACTIVITY_KIND_MEETING: _ClassVar[ActivityKind]
    ACTIVITY_KIND_TASK: _ClassVar[ActivityKind]
    ACTIVITY_KIND_OTHER: _ClassVar[ActivityKind]

class Direction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DIRECTION_UNSPECIFIED: _ClassVar[Direction]
    DIRECTION_INBOUND: _ClassVar[Direction]
    DIRECTION_OUTBOUND: _ClassVar[Direction]
ACTIVITY_KIND_UNSPECIFIED: ActivityKind
ACTIVITY_KIND_CALL: ActivityKind
ACTIVITY_KIND_EMAIL: ActivityKind
ACTIVITY_KIND_MEETING: ActivityKind
ACTIVITY_KIND_TASK: ActivityKind
ACTIVITY_KIND_OTHER: ActivityKind
DIRECTION_UNSPECIFIED: Direction
DIRECTION_INBOUND: Direction
DIRECTION_OUTBOUND: Direction

class ActivityObserved(_message.Message):
    __slots__ = ("activity_id", "object_type", "record_id", "kind", "direction", "person_id", "outcome", "duration_seconds", "done", "withdrawn", "occurred_at", "committed_at", "change_id")
    ACTIVITY_ID_FIELD_NUMBER: _ClassVar[int]
    OBJECT_TYPE_FIELD_NUMBER: _ClassVar[int]
    RECORD_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    PERSON_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    DURATION_SECONDS_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    WITHDRAWN_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_AT_FIELD_NUMBER: _ClassVar[int]
    CHANGE_ID_FIELD_NUMBER: _ClassVar[int]
    activity_id: str
    object_type: str
    record_id: str
    kind: ActivityKind
    direction: Direction
    person_id: str
    outcome: str
    duration_seconds: int
    done: bool
    withdrawn: bool
    occurred_at: _timestamp_pb2.Timestamp
    committed_at: _timestamp_pb2.Timestamp
    change_id: str
    def __init__(self, activity_id: _Optional[str] = ..., object_type: _Optional[str] = ..., record_id: _Optional[str] = ..., kind: _Optional[_Union[ActivityKind, str]] = ..., direction: _Optional[_Union[Direction, str]] = ..., person_id: _Optional[str] = ..., outcome: _Optional[str] = ..., duration_seconds: _Optional[int] = ..., done: _Optional[bool] = ..., withdrawn: _Optional[bool] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., committed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., change_id: _Optional[str] = ...) -> None: ...
