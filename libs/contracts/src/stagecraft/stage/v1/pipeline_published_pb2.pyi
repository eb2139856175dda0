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

class Category(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CATEGORY_UNSPECIFIED: _ClassVar[Category]
    CATEGORY_OPEN: _ClassVar[Category]
    CATEGORY_WON: _ClassVar[Category]
    CATEGORY_LOST: _ClassVar[Category]
    CATEGORY_ABANDONED: _ClassVar[Category]

class SkipPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SKIP_POLICY_UNSPECIFIED: _ClassVar[SkipPolicy]
    SKIP_POLICY_FORBID: _ClassVar[SkipPolicy]
    SKIP_POLICY_IF_GUARDS_HOLD: _ClassVar[SkipPolicy]

class RuleMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RULE_MODE_UNSPECIFIED: _ClassVar[RuleMode]
    RULE_MODE_OFF: _ClassVar[RuleMode]
    RULE_MODE_SHADOW: _ClassVar[RuleMode]
    RULE_MODE_PROPOSE: _ClassVar[RuleMode]
    RULE_MODE_AUTO: _ClassVar[RuleMode]
CATEGORY_UNSPECIFIED: Category
CATEGORY_OPEN: Category
CATEGORY_WON: Category
CATEGORY_LOST: Category
CATEGORY_ABANDONED: Category
SKIP_POLICY_UNSPECIFIED: SkipPolicy
SKIP_POLICY_FORBID: SkipPolicy
SKIP_POLICY_IF_GUARDS_HOLD: SkipPolicy
RULE_MODE_UNSPECIFIED: RuleMode
RULE_MODE_OFF: RuleMode
RULE_MODE_SHADOW: RuleMode
RULE_MODE_PROPOSE: RuleMode
RULE_MODE_AUTO: RuleMode

class PipelinePublished(_message.Message):
    __slots__ = ("pipeline_key", "version", "name", "stages", "rules", "skip_policy", "published_at", "is_default", "currency", "object_type", "assessment_versions")
    PIPELINE_KEY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STAGES_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    SKIP_POLICY_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_AT_FIELD_NUMBER: _ClassVar[int]
    IS_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    OBJECT_TYPE_FIELD_NUMBER: _ClassVar[int]
    ASSESSMENT_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    pipeline_key: str
    version: int
    name: str
    stages: _containers.RepeatedCompositeFieldContainer[Stage]
    rules: _containers.RepeatedCompositeFieldContainer[Rule]
    skip_policy: SkipPolicy
    published_at: _timestamp_pb2.Timestamp
    is_default: bool
    currency: str
    object_type: str
    assessment_versions: _containers.RepeatedCompositeFieldContainer[AssessmentVersion]
    def __init__(self, pipeline_key: _Optional[str] = ..., version: _Optional[int] = ..., name: _Optional[str] = ..., stages: _Optional[_Iterable[_Union[Stage, _Mapping]]] = ..., rules: _Optional[_Iterable[_Union[Rule, _Mapping]]] = ..., skip_policy: _Optional[_Union[SkipPolicy, str]] = ..., published_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., is_default: _Optional[bool] = ..., currency: _Optional[str] = ..., object_type: _Optional[str] = ..., assessment_versions: _Optional[_Iterable[_Union[AssessmentVersion, _Mapping]]] = ...) -> None: ...

class AssessmentVersion(_message.Message):
    __slots__ = ("assessment_key", "version")
    ASSESSMENT_KEY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    assessment_key: str
    version: int
    def __init__(self, assessment_key: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class Stage(_message.Message):
    __slots__ = ("key", "name", "category", "description", "assessment_keys", "entry", "exit")
    KEY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    ASSESSMENT_KEYS_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    EXIT_FIELD_NUMBER: _ClassVar[int]
    key: str
    name: str
    category: Category
    description: str
    assessment_keys: _containers.RepeatedScalarFieldContainer[str]
    entry: _containers.RepeatedCompositeFieldContainer[Criterion]
    exit: _containers.RepeatedCompositeFieldContainer[Criterion]
    def __init__(self, key: _Optional[str] = ..., name: _Optional[str] = ..., category: _Optional[_Union[Category, str]] = ..., description: _Optional[str] = ..., assessment_keys: _Optional[_Iterable[str]] = ..., entry: _Optional[_Iterable[_Union[Criterion, _Mapping]]] = ..., exit: _Optional[_Iterable[_Union[Criterion, _Mapping]]] = ...) -> None: ...

class Criterion(_message.Message):
    __slots__ = ("key", "name", "required", "help", "playbook_url", "supplied_by")
    KEY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    HELP_FIELD_NUMBER: _ClassVar[int]
    PLAYBOOK_URL_FIELD_NUMBER: _ClassVar[int]
    SUPPLIED_BY_FIELD_NUMBER: _ClassVar[int]
    key: str
    name: str
    required: bool
    help: str
    playbook_url: str
    supplied_by: str
    def __init__(self, key: _Optional[str] = ..., name: _Optional[str] = ..., required: _Optional[bool] = ..., help: _Optional[str] = ..., playbook_url: _Optional[str] = ..., supplied_by: _Optional[str] = ...) -> None: ...

class Rule(_message.Message):
    __slots__ = ("rule_id", "from_stage", "to_stage", "conditions", "mode", "priority", "reason_code")
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_STAGE_FIELD_NUMBER: _ClassVar[int]
    TO_STAGE_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    REASON_CODE_FIELD_NUMBER: _ClassVar[int]
    rule_id: str
    from_stage: str
    to_stage: str
    conditions: _containers.RepeatedCompositeFieldContainer[Condition]
    mode: RuleMode
    priority: int
    reason_code: str
    def __init__(self, rule_id: _Optional[str] = ..., from_stage: _Optional[str] = ..., to_stage: _Optional[str] = ..., conditions: _Optional[_Iterable[_Union[Condition, _Mapping]]] = ..., mode: _Optional[_Union[RuleMode, str]] = ..., priority: _Optional[int] = ..., reason_code: _Optional[str] = ...) -> None: ...

class Condition(_message.Message):
    __slots__ = ("fact", "cell")
    FACT_FIELD_NUMBER: _ClassVar[int]
    CELL_FIELD_NUMBER: _ClassVar[int]
    fact: str
    cell: str
    def __init__(self, fact: _Optional[str] = ..., cell: _Optional[str] = ...) -> None: ...
