import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from stagecraft.common.v1 import event_pb2 as _event_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Settlement(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SETTLEMENT_UNSPECIFIED: _ClassVar[Settlement]
    SETTLEMENT_DONE: _ClassVar[Settlement]
    SETTLEMENT_REFUSED: _ClassVar[Settlement]
    SETTLEMENT_EXPIRED: _ClassVar[Settlement]
SETTLEMENT_UNSPECIFIED: Settlement
SETTLEMENT_DONE: Settlement
SETTLEMENT_REFUSED: Settlement
SETTLEMENT_EXPIRED: Settlement

class ActionSettled(_message.Message):
    __slots__ = ("action_id", "opportunity_id", "settlement", "code", "words", "record_id", "settled_at")
    ACTION_ID_FIELD_NUMBER: _ClassVar[int]
    OPPORTUNITY_ID_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    RECORD_ID_FIELD_NUMBER: _ClassVar[int]
    SETTLED_AT_FIELD_NUMBER: _ClassVar[int]
    action_id: str
    opportunity_id: str
    settlement: Settlement
    code: str
    words: str
    record_id: str
    settled_at: _timestamp_pb2.Timestamp
    def __init__(self, action_id: _Optional[str] = ..., opportunity_id: _Optional[str] = ..., settlement: _Optional[_Union[Settlement, str]] = ..., code: _Optional[str] = ..., words: _Optional[str] = ..., record_id: _Optional[str] = ..., settled_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
