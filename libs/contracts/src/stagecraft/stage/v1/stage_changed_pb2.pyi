import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from stagecraft.common.v1 import event_pb2 as _event_pb2
from stagecraft.stage.v1 import pipeline_published_pb2 as _pipeline_published_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TransitionKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRANSITION_KIND_UNSPECIFIED: _ClassVar[TransitionKind]
    TRANSITION_KIND_ADVANCE: _ClassVar[TransitionKind]
    TRANSITION_KIND_SKIP: _ClassVar[TransitionKind]
    TRANSITION_KIND_REGRESS: _ClassVar[TransitionKind]
    TRANSITION_KIND_CLOSE_WON: _ClassVar[TransitionKind]
    TRANSITION_KIND_CLOSE_LOST: _ClassVar[TransitionKind]
    TRANSITION_KIND_WALK_AWAY: _ClassVar[TransitionKind]
    TRANSITION_KIND_REOPEN: _ClassVar[TransitionKind]
    TRANSITION_KIND_ADOPT: _ClassVar[TransitionKind]
    TRANSITION_KIND_MIGRATE: _ClassVar[TransitionKind]
    TRANSITION_KIND_REASSIGN: _ClassVar[TransitionKind]

class Cause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CAUSE_UNSPECIFIED: _ClassVar[Cause]
    CAUSE_RULE: _ClassVar[Cause]
    CAUSE_PERSON: _ClassVar[Cause]
    CAUSE_CRM: _ClassVar[Cause]
    CAUSE_IMPORT: _ClassVar[Cause]
    CAUSE_PROPOSAL: _ClassVar[Cause]
TRANSITION_KIND_UNSPECIFIED: TransitionKind
TRANSITION_KIND_ADVANCE: TransitionKind
TRANSITION_KIND_SKIP: TransitionKind
TRANSITION_KIND_REGRESS: TransitionKind
TRANSITION_KIND_CLOSE_WON: TransitionKind
TRANSITION_KIND_CLOSE_LOST: TransitionKind
TRANSITION_KIND_WALK_AWAY: TransitionKind
TRANSITION_KIND_REOPEN: TransitionKind
TRANSITION_KIND_ADOPT: TransitionKind
TRANSITION_KIND_MIGRATE: TransitionKind
TRANSITION_KIND_REASSIGN: TransitionKind
CAUSE_UNSPECIFIED: Cause
CAUSE_RULE: Cause
CAUSE_PERSON: Cause
CAUSE_CRM: Cause
CAUSE_IMPORT: Cause
CAUSE_PROPOSAL: Cause

class StageChanged(_message.Message):
    __slots__ = ("transition_id", "opportunity_id", "pipeline_key", "pipeline_version", "revision", "kind", "from_stage", "to_stage", "to_category", "skipped_stages", "visit_no", "cycle_no", "cause", "rule_id", "submission_id", "decision_id", "actor", "reason_code", "earned_stage", "changed_at", "object_type", "taken_back", "hops")
    TRANSITION_ID_FIELD_NUMBER: _ClassVar[int]
    OPPORTUNITY_ID_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_KEY_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_VERSION_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    FROM_STAGE_FIELD_NUMBER: _ClassVar[int]
    TO_STAGE_FIELD_NUMBER: _ClassVar[int]
    TO_CATEGORY_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_STAGES_FIELD_NUMBER: _ClassVar[int]
    VISIT_NO_FIELD_NUMBER: _ClassVar[int]
    CYCLE_NO_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    SUBMISSION_ID_FIELD_NUMBER: _ClassVar[int]
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_CODE_FIELD_NUMBER: _ClassVar[int]
    EARNED_STAGE_FIELD_NUMBER: _ClassVar[int]
    CHANGED_AT_FIELD_NUMBER: _ClassVar[int]
    OBJECT_TYPE_FIELD_NUMBER: _ClassVar[int]
    TAKEN_BACK_FIELD_NUMBER: _ClassVar[int]
    HOPS_FIELD_NUMBER: _ClassVar[int]
    transition_id: str
    opportunity_id: str
    pipeline_key: str
    pipeline_version: int
    revision: int
    kind: TransitionKind
    from_stage: str
    to_stage: str
    to_category: _pipeline_published_pb2.Category
    skipped_stages: _containers.RepeatedScalarFieldContainer[str]
    visit_no: int
    cycle_no: int
    cause: Cause
    rule_id: str
    submission_id: str
    decision_id: str
    actor: str
    reason_code: str
    earned_stage: str
    changed_at: _timestamp_pb2.Timestamp
    object_type: str
    taken_back: TakenBack
    hops: int
    def __init__(self, transition_id: _Optional[str] = ..., opportunity_id: _Optional[str] = ..., pipeline_key: _Optional[str] = ..., pipeline_version: _Optional[int] = ..., revision: _Optional[int] = ..., kind: _Optional[_Union[TransitionKind, str]] = ..., from_stage: _Optional[str] = ..., to_stage: _Optional[str] = ..., to_category: _Optional[_Union[_pipeline_published_pb2.Category, str]] = ..., skipped_stages: _Optional[_Iterable[str]] = ..., visit_no: _Optional[int] = ..., cycle_no: _Optional[int] = ..., cause: _Optional[_Union[Cause, str]] = ..., rule_id: _Optional[str] = ..., submission_id: _Optional[str] = ..., decision_id: _Optional[str] = ..., actor: _Optional[str] = ..., reason_code: _Optional[str] = ..., earned_stage: _Optional[str] = ..., changed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., object_type: _Optional[str] = ..., taken_back: _Optional[_Union[TakenBack, _Mapping]] = ..., hops: _Optional[int] = ...) -> None: ...

class TakenBack(_message.Message):
    __slots__ = ("category", "revision", "cycle_no")
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    CYCLE_NO_FIELD_NUMBER: _ClassVar[int]
    category: _pipeline_published_pb2.Category
    revision: int
    cycle_no: int
    def __init__(self, category: _Optional[_Union[_pipeline_published_pb2.Category, str]] = ..., revision: _Optional[int] = ..., cycle_no: _Optional[int] = ...) -> None: ...
