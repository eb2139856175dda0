import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from stagecraft.common.v1 import event_pb2 as _event_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AssessmentRefused(_message.Message):
    __slots__ = ("request_id", "assessment_key", "detail", "refused_at")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ASSESSMENT_KEY_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    REFUSED_AT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    assessment_key: str
    detail: str
    refused_at: _timestamp_pb2.Timestamp
    def __init__(self, request_id: _Optional[str] = ..., assessment_key: _Optional[str] = ..., detail: _Optional[str] = ..., refused_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
