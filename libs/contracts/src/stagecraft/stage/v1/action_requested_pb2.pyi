import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from stagecraft.common.v1 import event_pb2 as _event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ActionKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACTION_KIND_UNSPECIFIED: _ClassVar[ActionKind]
    ACTION_KIND_TASK: _ClassVar[ActionKind]
    ACTION_KIND_NOTIFICATION: _ClassVar[ActionKind]
    ACTION_KIND_EMAIL: _ClassVar[ActionKind]
    ACTION_KIND_FIELD_UPDATE: _ClassVar[ActionKind]
    ACTION_KIND_CREATE_RECORD: _ClassVar[ActionKind]
    ACTION_KIND_CONVERT_LEAD: _ClassVar[ActionKind]
    ACTION_KIND_ASSIGN: _ClassVar[ActionKind]
    ACTION_KIND_ENROL: _ClassVar[ActionKind]
    ACTION_KIND_UNENROL: _ClassVar[ActionKind]
    ACTION_KIND_WEBHOOK: _ClassVar[ActionKind]
ACTION_KIND_UNSPECIFIED: ActionKind
ACTION_KIND_TASK: ActionKind
ACTION_KIND_NOTIFICATION: ActionKind
ACTION_KIND_EMAIL: ActionKind
ACTION_KIND_FIELD_UPDATE: ActionKind
ACTION_KIND_CREATE_RECORD: ActionKind
ACTION_KIND_CONVERT_LEAD: ActionKind
ACTION_KIND_ASSIGN: ActionKind
ACTION_KIND_ENROL: ActionKind
ACTION_KIND_UNENROL: ActionKind
ACTION_KIND_WEBHOOK: ActionKind

class ActionRequested(_message.Message):
    __slots__ = ("action_id", "opportunity_id", "object_type", "decision_id", "revision", "action_key", "kind", "text", "details", "person_id", "target", "fields", "due_at", "expires_at", "requested_at")
    ACTION_ID_FIELD_NUMBER: _ClassVar[int]
    OPPORTUNITY_ID_FIELD_NUMBER: _ClassVar[int]
    OBJECT_TYPE_FIELD_NUMBER: _ClassVar[int]
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ACTION_KEY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    PERSON_ID_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    DUE_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_AT_FIELD_NUMBER: _ClassVar[int]
    action_id: str
    opportunity_id: str
    object_type: str
    decision_id: str
    revision: int
    action_key: str
    kind: ActionKind
    text: str
    details: str
    person_id: str
    target: str
    fields: _containers.RepeatedCompositeFieldContainer[ActionField]
    due_at: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    requested_at: _timestamp_pb2.Timestamp
    def __init__(self, action_id: _Optional[str] = ..., opportunity_id: _Optional[str] = ..., object_type: _Optional[str] = ..., decision_id: _Optional[str] = ..., revision: _Optional[int] = ..., action_key: _Optional[str] = ..., kind: _Optional[_Union[ActionKind, str]] = ..., text: _Optional[str] = ..., details: _Optional[str] = ..., person_id: _Optional[str] = ..., target: _Optional[str] = ..., fields: _Optional[_Iterable[_Union[ActionField, _Mapping]]] = ..., due_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., requested_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ActionField(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
