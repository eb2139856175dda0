import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from stagecraft.common.v1 import event_pb2 as _event_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CrmWriteConfirmed(_message.Message):
    __slots__ = ("intent_id", "opportunity_id", "decision_id", "submission_id", "stage_key", "revision", "write_id", "attempts", "confirmed_at")
    INTENT_ID_FIELD_NUMBER: _ClassVar[int]
    OPPORTUNITY_ID_FIELD_NUMBER: _ClassVar[int]
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    SUBMISSION_ID_FIELD_NUMBER: _ClassVar[int]
    STAGE_KEY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    WRITE_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_AT_FIELD_NUMBER: _ClassVar[int]
    intent_id: str
    opportunity_id: str
    decision_id: str
    submission_id: str
    stage_key: str
    revision: int
    write_id: str
    attempts: int
    confirmed_at: _timestamp_pb2.Timestamp
    def __init__(self, intent_id: _Optional[str] = ..., opportunity_id: _Optional[str] = ..., decision_id: _Optional[str] = ..., submission_id: _Optional[str] = ..., stage_key: _Optional[str] = ..., revision: _Optional[int] = ..., write_id: _Optional[str] = ..., attempts: _Optional[int] = ..., confirmed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
