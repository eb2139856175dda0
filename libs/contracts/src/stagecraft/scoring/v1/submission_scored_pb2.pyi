import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from stagecraft.common.v1 import answer_pb2 as _answer_pb2
from stagecraft.common.v1 import event_pb2 as _event_pb2
from stagecraft.common.v1 import move_pb2 as _move_pb2
from stagecraft.common.v1 import visit_pb2 as _visit_pb2
from stagecraft.scoring.v1 import scoring_profile_published_pb2 as _scoring_profile_published_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SubmissionScored(_message.Message):
    __slots__ = ("score_id", "submission_id", "opportunity_id", "assessment_key", "assessment_version", "profile_id", "profile_version", "scale", "score", "raw_points", "reachable_max", "reachable_min", "percent", "complete", "sections", "contributions", "visit", "submitted_by", "captured_at", "received_at", "scored_at", "attempt_no", "entitled", "move", "voided")
    SCORE_ID_FIELD_NUMBER: _ClassVar[int]
    SUBMISSION_ID_FIELD_NUMBER: _ClassVar[int]
    OPPORTUNITY_ID_FIELD_NUMBER: _ClassVar[int]
    ASSESSMENT_KEY_FIELD_NUMBER: _ClassVar[int]
    ASSESSMENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    PROFILE_VERSION_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    RAW_POINTS_FIELD_NUMBER: _ClassVar[int]
    REACHABLE_MAX_FIELD_NUMBER: _ClassVar[int]
    REACHABLE_MIN_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    SECTIONS_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    VISIT_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_BY_FIELD_NUMBER: _ClassVar[int]
    CAPTURED_AT_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_FIELD_NUMBER: _ClassVar[int]
    SCORED_AT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_NO_FIELD_NUMBER: _ClassVar[int]
    ENTITLED_FIELD_NUMBER: _ClassVar[int]
    MOVE_FIELD_NUMBER: _ClassVar[int]
    VOIDED_FIELD_NUMBER: _ClassVar[int]
    score_id: str
    submission_id: str
    opportunity_id: str
    assessment_key: str
    assessment_version: int
    profile_id: str
    profile_version: int
    scale: _scoring_profile_published_pb2.Scale
    score: str
    raw_points: str
    reachable_max: str
    reachable_min: str
    percent: str
    complete: bool
    sections: _containers.RepeatedCompositeFieldContainer[SectionScore]
    contributions: _containers.RepeatedCompositeFieldContainer[Contribution]
    visit: _visit_pb2.Visit
    submitted_by: str
    captured_at: _timestamp_pb2.Timestamp
    received_at: _timestamp_pb2.Timestamp
    scored_at: _timestamp_pb2.Timestamp
    attempt_no: int
    entitled: bool
    move: _move_pb2.Move
    voided: bool
    def __init__(self, score_id: _Optional[str] = ..., submission_id: _Optional[str] = ..., opportunity_id: _Optional[str] = ..., assessment_key: _Optional[str] = ..., assessment_version: _Optional[int] = ..., profile_id: _Optional[str] = ..., profile_version: _Optional[int] = ..., scale: _Optional[_Union[_scoring_profile_published_pb2.Scale, str]] = ..., score: _Optional[str] = ..., raw_points: _Optional[str] = ..., reachable_max: _Optional[str] = ..., reachable_min: _Optional[str] = ..., percent: _Optional[str] = ..., complete: _Optional[bool] = ..., sections: _Optional[_Iterable[_Union[SectionScore, _Mapping]]] = ..., contributions: _Optional[_Iterable[_Union[Contribution, _Mapping]]] = ..., visit: _Optional[_Union[_visit_pb2.Visit, _Mapping]] = ..., submitted_by: _Optional[str] = ..., captured_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., received_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., scored_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attempt_no: _Optional[int] = ..., entitled: _Optional[bool] = ..., move: _Optional[_Union[_move_pb2.Move, _Mapping]] = ..., voided: _Optional[bool] = ...) -> None: ...

class SectionScore(_message.Message):
    __slots__ = ("section", "points", "max_points", "percent")
    SECTION_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    MAX_POINTS_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    section: str
    points: str
    max_points: str
    percent: str
    def __init__(self, section: _Optional[str] = ..., points: _Optional[str] = ..., max_points: _Optional[str] = ..., percent: _Optional[str] = ...) -> None: ...

class Contribution(_message.Message):
    __slots__ = ("question_key", "answer", "points", "max_points", "unanswered")
    QUESTION_KEY_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    MAX_POINTS_FIELD_NUMBER: _ClassVar[int]
    UNANSWERED_FIELD_NUMBER: _ClassVar[int]
    question_key: str
    answer: _answer_pb2.Answer
    points: str
    max_points: str
    unanswered: bool
    def __init__(self, question_key: _Optional[str] = ..., answer: _Optional[_Union[_answer_pb2.Answer, _Mapping]] = ..., points: _Optional[str] = ..., max_points: _Optional[str] = ..., unanswered: _Optional[bool] = ...) -> None: ...
