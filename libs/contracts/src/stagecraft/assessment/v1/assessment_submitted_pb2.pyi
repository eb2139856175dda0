import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from stagecraft.common.v1 import answer_pb2 as _answer_pb2
from stagecraft.common.v1 import event_pb2 as _event_pb2
from stagecraft.common.v1 import move_pb2 as _move_pb2
from stagecraft.common.v1 import visit_pb2 as _visit_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Channel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHANNEL_UNSPECIFIED: _ClassVar[Channel]
    CHANNEL_ONLINE: _ClassVar[Channel]
    CHANNEL_OFFLINE: _ClassVar[Channel]
CHANNEL_UNSPECIFIED: Channel
CHANNEL_ONLINE: Channel
CHANNEL_OFFLINE: Channel

class AssessmentSubmitted(_message.Message):
    __slots__ = ("submission_id", "opportunity_id", "assessment_key", "assessment_version", "answers", "visible_questions", "visit", "submitted_by", "captured_at", "received_at", "channel", "attempt_no", "entitled", "duplicate_of", "move")
    SUBMISSION_ID_FIELD_NUMBER: _ClassVar[int]
    OPPORTUNITY_ID_FIELD_NUMBER: _ClassVar[int]
    ASSESSMENT_KEY_FIELD_NUMBER: _ClassVar[int]
    ASSESSMENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    VISIBLE_QUESTIONS_FIELD_NUMBER: _ClassVar[int]
    VISIT_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_BY_FIELD_NUMBER: _ClassVar[int]
    CAPTURED_AT_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_NO_FIELD_NUMBER: _ClassVar[int]
    ENTITLED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_OF_FIELD_NUMBER: _ClassVar[int]
    MOVE_FIELD_NUMBER: _ClassVar[int]
    submission_id: str
    opportunity_id: str
    assessment_key: str
    assessment_version: int
    answers: _containers.RepeatedCompositeFieldContainer[_answer_pb2.Answer]
    visible_questions: _containers.RepeatedScalarFieldContainer[str]
    visit: _visit_pb2.Visit
    submitted_by: str
    captured_at: _timestamp_pb2.Timestamp
    received_at: _timestamp_pb2.Timestamp
    channel: Channel
    attempt_no: int
    entitled: bool
    duplicate_of: str
    move: _move_pb2.Move
    def __init__(self, submission_id: _Optional[str] = ..., opportunity_id: _Optional[str] = ..., assessment_key: _Optional[str] = ..., assessment_version: _Optional[int] = ..., answers: _Optional[_Iterable[_Union[_answer_pb2.Answer, _Mapping]]] = ..., visible_questions: _Optional[_Iterable[str]] = ..., visit: _Optional[_Union[_visit_pb2.Visit, _Mapping]] = ..., submitted_by: _Optional[str] = ..., captured_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., received_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., channel: _Optional[_Union[Channel, str]] = ..., attempt_no: _Optional[int] = ..., entitled: _Optional[bool] = ..., duplicate_of: _Optional[str] = ..., move: _Optional[_Union[_move_pb2.Move, _Mapping]] = ...) -> None: ...
