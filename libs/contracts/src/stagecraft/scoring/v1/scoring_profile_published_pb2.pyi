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

class Scale(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCALE_UNSPECIFIED: _ClassVar[Scale]
    SCALE_RAW: _ClassVar[Scale]
    SCALE_PERCENT: _ClassVar[Scale]
SCALE_UNSPECIFIED: Scale
SCALE_RAW: Scale
SCALE_PERCENT: Scale

class ScoringProfilePublished(_message.Message):
    __slots__ = ("profile_id", "assessment_key", "assessment_version", "version", "scale", "reachable_min", "reachable_max", "reachable_scores", "published_at", "ceilings", "template_key")
    PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    ASSESSMENT_KEY_FIELD_NUMBER: _ClassVar[int]
    ASSESSMENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    REACHABLE_MIN_FIELD_NUMBER: _ClassVar[int]
    REACHABLE_MAX_FIELD_NUMBER: _ClassVar[int]
    REACHABLE_SCORES_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_AT_FIELD_NUMBER: _ClassVar[int]
    CEILINGS_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_KEY_FIELD_NUMBER: _ClassVar[int]
    profile_id: str
    assessment_key: str
    assessment_version: int
    version: int
    scale: Scale
    reachable_min: str
    reachable_max: str
    reachable_scores: _containers.RepeatedScalarFieldContainer[str]
    published_at: _timestamp_pb2.Timestamp
    ceilings: _containers.RepeatedCompositeFieldContainer[QuestionCeiling]
    template_key: str
    def __init__(self, profile_id: _Optional[str] = ..., assessment_key: _Optional[str] = ..., assessment_version: _Optional[int] = ..., version: _Optional[int] = ..., scale: _Optional[_Union[Scale, str]] = ..., reachable_min: _Optional[str] = ..., reachable_max: _Optional[str] = ..., reachable_scores: _Optional[_Iterable[str]] = ..., published_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ceilings: _Optional[_Iterable[_Union[QuestionCeiling, _Mapping]]] = ..., template_key: _Optional[str] = ...) -> None: ...

class QuestionCeiling(_message.Message):
    __slots__ = ("question_key", "max_points")
    QUESTION_KEY_FIELD_NUMBER: _ClassVar[int]
    MAX_POINTS_FIELD_NUMBER: _ClassVar[int]
    question_key: str
    max_points: str
    def __init__(self, question_key: _Optional[str] = ..., max_points: _Optional[str] = ...) -> None: ...
