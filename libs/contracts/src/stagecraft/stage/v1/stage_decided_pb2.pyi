import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from stagecraft.common.v1 import event_pb2 as _event_pb2
from stagecraft.scoring.v1 import submission_scored_pb2 as _submission_scored_pb2
from stagecraft.stage.v1 import stage_changed_pb2 as _stage_changed_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OwedState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OWED_STATE_UNSPECIFIED: _ClassVar[OwedState]
    OWED_STATE_OPEN: _ClassVar[OwedState]
    OWED_STATE_MET: _ClassVar[OwedState]
    OWED_STATE_LATE: _ClassVar[OwedState]
    OWED_STATE_MISSED: _ClassVar[OwedState]
    OWED_STATE_CANCELLED: _ClassVar[OwedState]

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_ACCEPTED: _ClassVar[Outcome]
    OUTCOME_PROPOSED: _ClassVar[Outcome]
    OUTCOME_REJECTED: _ClassVar[Outcome]
    OUTCOME_NO_OP: _ClassVar[Outcome]

class InputKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INPUT_KIND_UNSPECIFIED: _ClassVar[InputKind]
    INPUT_KIND_SUBMISSION: _ClassVar[InputKind]
    INPUT_KIND_OBSERVATION: _ClassVar[InputKind]
    INPUT_KIND_COMMAND: _ClassVar[InputKind]
    INPUT_KIND_FACTS: _ClassVar[InputKind]
    INPUT_KIND_MIGRATION: _ClassVar[InputKind]
    INPUT_KIND_TIMER: _ClassVar[InputKind]
    INPUT_KIND_HOLD: _ClassVar[InputKind]
    INPUT_KIND_RESUME: _ClassVar[InputKind]
    INPUT_KIND_REASSIGNMENT: _ClassVar[InputKind]
    INPUT_KIND_ASSIGNMENT: _ClassVar[InputKind]
    INPUT_KIND_HOP: _ClassVar[InputKind]
    INPUT_KIND_VOID: _ClassVar[InputKind]
    INPUT_KIND_RELEASE: _ClassVar[InputKind]
    INPUT_KIND_APPROVAL: _ClassVar[InputKind]
    INPUT_KIND_PROPOSAL: _ClassVar[InputKind]
OWED_STATE_UNSPECIFIED: OwedState
OWED_STATE_OPEN: OwedState
OWED_STATE_MET: OwedState
OWED_STATE_LATE: OwedState
OWED_STATE_MISSED: OwedState
OWED_STATE_CANCELLED: OwedState
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_ACCEPTED: Outcome
OUTCOME_PROPOSED: Outcome
OUTCOME_REJECTED: Outcome
OUTCOME_NO_OP: Outcome
INPUT_KIND_UNSPECIFIED: InputKind
INPUT_KIND_SUBMISSION: InputKind
INPUT_KIND_OBSERVATION: InputKind
INPUT_KIND_COMMAND: InputKind
INPUT_KIND_FACTS: InputKind
INPUT_KIND_MIGRATION: InputKind
INPUT_KIND_TIMER: InputKind
INPUT_KIND_HOLD: InputKind
INPUT_KIND_RESUME: InputKind
INPUT_KIND_REASSIGNMENT: InputKind
INPUT_KIND_ASSIGNMENT: InputKind
INPUT_KIND_HOP: InputKind
INPUT_KIND_VOID: InputKind
INPUT_KIND_RELEASE: InputKind
INPUT_KIND_APPROVAL: InputKind
INPUT_KIND_PROPOSAL: InputKind

class StageDecided(_message.Message):
    __slots__ = ("decision_id", "opportunity_id", "pipeline_key", "pipeline_version", "decision_no", "outcome", "reasons", "rule_id", "from_stage", "to_stage", "proposed_stage", "earned_stage", "revision", "margin", "near_misses", "input_kind", "input_id", "submission", "change", "decided_at", "actor", "crm_target_stage", "crm_expected_stage", "crm_expected_version", "object_type", "move", "waiting_changed", "waiting", "proposed", "assigned", "owed")
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    OPPORTUNITY_ID_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_KEY_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_VERSION_FIELD_NUMBER: _ClassVar[int]
    DECISION_NO_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_STAGE_FIELD_NUMBER: _ClassVar[int]
    TO_STAGE_FIELD_NUMBER: _ClassVar[int]
    PROPOSED_STAGE_FIELD_NUMBER: _ClassVar[int]
    EARNED_STAGE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    MARGIN_FIELD_NUMBER: _ClassVar[int]
    NEAR_MISSES_FIELD_NUMBER: _ClassVar[int]
    INPUT_KIND_FIELD_NUMBER: _ClassVar[int]
    INPUT_ID_FIELD_NUMBER: _ClassVar[int]
    SUBMISSION_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    CRM_TARGET_STAGE_FIELD_NUMBER: _ClassVar[int]
    CRM_EXPECTED_STAGE_FIELD_NUMBER: _ClassVar[int]
    CRM_EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    OBJECT_TYPE_FIELD_NUMBER: _ClassVar[int]
    MOVE_FIELD_NUMBER: _ClassVar[int]
    WAITING_CHANGED_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    PROPOSED_FIELD_NUMBER: _ClassVar[int]
    ASSIGNED_FIELD_NUMBER: _ClassVar[int]
    OWED_FIELD_NUMBER: _ClassVar[int]
    decision_id: str
    opportunity_id: str
    pipeline_key: str
    pipeline_version: int
    decision_no: int
    outcome: Outcome
    reasons: _containers.RepeatedCompositeFieldContainer[Reason]
    rule_id: str
    from_stage: str
    to_stage: str
    proposed_stage: str
    earned_stage: str
    revision: int
    margin: str
    near_misses: _containers.RepeatedCompositeFieldContainer[NearMiss]
    input_kind: InputKind
    input_id: str
    submission: _submission_scored_pb2.SubmissionScored
    change: _stage_changed_pb2.StageChanged
    decided_at: _timestamp_pb2.Timestamp
    actor: str
    crm_target_stage: str
    crm_expected_stage: str
    crm_expected_version: int
    object_type: str
    move: MoveOutcome
    waiting_changed: bool
    waiting: WaitingMove
    proposed: _containers.RepeatedCompositeFieldContainer[ProposedMove]
    assigned: _containers.RepeatedCompositeFieldContainer[Assigned]
    owed: _containers.RepeatedCompositeFieldContainer[Owed]
    def __init__(self, decision_id: _Optional[str] = ..., opportunity_id: _Optional[str] = ..., pipeline_key: _Optional[str] = ..., pipeline_version: _Optional[int] = ..., decision_no: _Optional[int] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., reasons: _Optional[_Iterable[_Union[Reason, _Mapping]]] = ..., rule_id: _Optional[str] = ..., from_stage: _Optional[str] = ..., to_stage: _Optional[str] = ..., proposed_stage: _Optional[str] = ..., earned_stage: _Optional[str] = ..., revision: _Optional[int] = ..., margin: _Optional[str] = ..., near_misses: _Optional[_Iterable[_Union[NearMiss, _Mapping]]] = ..., input_kind: _Optional[_Union[InputKind, str]] = ..., input_id: _Optional[str] = ..., submission: _Optional[_Union[_submission_scored_pb2.SubmissionScored, _Mapping]] = ..., change: _Optional[_Union[_stage_changed_pb2.StageChanged, _Mapping]] = ..., decided_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., actor: _Optional[str] = ..., crm_target_stage: _Optional[str] = ..., crm_expected_stage: _Optional[str] = ..., crm_expected_version: _Optional[int] = ..., object_type: _Optional[str] = ..., move: _Optional[_Union[MoveOutcome, _Mapping]] = ..., waiting_changed: _Optional[bool] = ..., waiting: _Optional[_Union[WaitingMove, _Mapping]] = ..., proposed: _Optional[_Iterable[_Union[ProposedMove, _Mapping]]] = ..., assigned: _Optional[_Iterable[_Union[Assigned, _Mapping]]] = ..., owed: _Optional[_Iterable[_Union[Owed, _Mapping]]] = ...) -> None: ...

class WaitingMove(_message.Message):
    __slots__ = ("approval_id", "to_stage", "asked_by", "rule_id", "needed", "approved_by", "expires_at")
    APPROVAL_ID_FIELD_NUMBER: _ClassVar[int]
    TO_STAGE_FIELD_NUMBER: _ClassVar[int]
    ASKED_BY_FIELD_NUMBER: _ClassVar[int]
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    NEEDED_FIELD_NUMBER: _ClassVar[int]
    APPROVED_BY_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    approval_id: str
    to_stage: str
    asked_by: str
    rule_id: str
    needed: int
    approved_by: _containers.RepeatedScalarFieldContainer[str]
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, approval_id: _Optional[str] = ..., to_stage: _Optional[str] = ..., asked_by: _Optional[str] = ..., rule_id: _Optional[str] = ..., needed: _Optional[int] = ..., approved_by: _Optional[_Iterable[str]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ProposedMove(_message.Message):
    __slots__ = ("proposal_id", "rule_id", "to_stage", "expires_at")
    PROPOSAL_ID_FIELD_NUMBER: _ClassVar[int]
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    TO_STAGE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    proposal_id: str
    rule_id: str
    to_stage: str
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, proposal_id: _Optional[str] = ..., rule_id: _Optional[str] = ..., to_stage: _Optional[str] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Assigned(_message.Message):
    __slots__ = ("role", "person_id", "rule_id", "pool", "reason", "by_person", "action_id")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    PERSON_ID_FIELD_NUMBER: _ClassVar[int]
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    BY_PERSON_FIELD_NUMBER: _ClassVar[int]
    ACTION_ID_FIELD_NUMBER: _ClassVar[int]
    role: str
    person_id: str
    rule_id: str
    pool: str
    reason: str
    by_person: bool
    action_id: str
    def __init__(self, role: _Optional[str] = ..., person_id: _Optional[str] = ..., rule_id: _Optional[str] = ..., pool: _Optional[str] = ..., reason: _Optional[str] = ..., by_person: _Optional[bool] = ..., action_id: _Optional[str] = ...) -> None: ...

class Owed(_message.Message):
    __slots__ = ("key", "made_at", "due_at", "owner_id", "state", "met_at", "met_by")
    KEY_FIELD_NUMBER: _ClassVar[int]
    MADE_AT_FIELD_NUMBER: _ClassVar[int]
    DUE_AT_FIELD_NUMBER: _ClassVar[int]
    OWNER_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    MET_AT_FIELD_NUMBER: _ClassVar[int]
    MET_BY_FIELD_NUMBER: _ClassVar[int]
    key: str
    made_at: _timestamp_pb2.Timestamp
    due_at: _timestamp_pb2.Timestamp
    owner_id: str
    state: OwedState
    met_at: _timestamp_pb2.Timestamp
    met_by: str
    def __init__(self, key: _Optional[str] = ..., made_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., due_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., owner_id: _Optional[str] = ..., state: _Optional[_Union[OwedState, str]] = ..., met_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., met_by: _Optional[str] = ...) -> None: ...

class MoveOutcome(_message.Message):
    __slots__ = ("to_stage", "refused")
    TO_STAGE_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    to_stage: str
    refused: _containers.RepeatedCompositeFieldContainer[Reason]
    def __init__(self, to_stage: _Optional[str] = ..., refused: _Optional[_Iterable[_Union[Reason, _Mapping]]] = ...) -> None: ...

class Reason(_message.Message):
    __slots__ = ("code", "fact", "margin", "message", "criterion")
    CODE_FIELD_NUMBER: _ClassVar[int]
    FACT_FIELD_NUMBER: _ClassVar[int]
    MARGIN_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CRITERION_FIELD_NUMBER: _ClassVar[int]
    code: str
    fact: str
    margin: str
    message: str
    criterion: str
    def __init__(self, code: _Optional[str] = ..., fact: _Optional[str] = ..., margin: _Optional[str] = ..., message: _Optional[str] = ..., criterion: _Optional[str] = ...) -> None: ...

class NearMiss(_message.Message):
    __slots__ = ("rule_id", "to_stage", "fact", "cell", "actual", "margin", "question_keys")
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    TO_STAGE_FIELD_NUMBER: _ClassVar[int]
    FACT_FIELD_NUMBER: _ClassVar[int]
    CELL_FIELD_NUMBER: _ClassVar[int]
    ACTUAL_FIELD_NUMBER: _ClassVar[int]
    MARGIN_FIELD_NUMBER: _ClassVar[int]
    QUESTION_KEYS_FIELD_NUMBER: _ClassVar[int]
    rule_id: str
    to_stage: str
    fact: str
    cell: str
    actual: str
    margin: str
    question_keys: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, rule_id: _Optional[str] = ..., to_stage: _Optional[str] = ..., fact: _Optional[str] = ..., cell: _Optional[str] = ..., actual: _Optional[str] = ..., margin: _Optional[str] = ..., question_keys: _Optional[_Iterable[str]] = ...) -> None: ...
