import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from stagecraft.common.v1 import event_pb2 as _event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StageRecommended(_message.Message):
    __slots__ = ("recommendation_id", "opportunity_id", "pipeline_key", "current_stage", "recommended_stage", "abstained", "abstention_code", "support", "probabilities", "model_version", "submission_id", "recommended_at")
    RECOMMENDATION_ID_FIELD_NUMBER: _ClassVar[int]
    OPPORTUNITY_ID_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_KEY_FIELD_NUMBER: _ClassVar[int]
    CURRENT_STAGE_FIELD_NUMBER: _ClassVar[int]
    RECOMMENDED_STAGE_FIELD_NUMBER: _ClassVar[int]
    ABSTAINED_FIELD_NUMBER: _ClassVar[int]
    ABSTENTION_CODE_FIELD_NUMBER: _ClassVar[int]
    SUPPORT_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    SUBMISSION_ID_FIELD_NUMBER: _ClassVar[int]
    RECOMMENDED_AT_FIELD_NUMBER: _ClassVar[int]
    recommendation_id: str
    opportunity_id: str
    pipeline_key: str
    current_stage: str
    recommended_stage: str
    abstained: bool
    abstention_code: str
    support: int
    probabilities: _containers.RepeatedCompositeFieldContainer[StageProbability]
    model_version: str
    submission_id: str
    recommended_at: _timestamp_pb2.Timestamp
    def __init__(self, recommendation_id: _Optional[str] = ..., opportunity_id: _Optional[str] = ..., pipeline_key: _Optional[str] = ..., current_stage: _Optional[str] = ..., recommended_stage: _Optional[str] = ..., abstained: _Optional[bool] = ..., abstention_code: _Optional[str] = ..., support: _Optional[int] = ..., probabilities: _Optional[_Iterable[_Union[StageProbability, _Mapping]]] = ..., model_version: _Optional[str] = ..., submission_id: _Optional[str] = ..., recommended_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class StageProbability(_message.Message):
    __slots__ = ("stage_key", "probability")
    STAGE_KEY_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    stage_key: str
    probability: float
    def __init__(self, stage_key: _Optional[str] = ..., probability: _Optional[float] = ...) -> None: ...
