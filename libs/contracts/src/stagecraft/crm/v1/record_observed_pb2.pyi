import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from stagecraft.common.v1 import event_pb2 as _event_pb2
from stagecraft.common.v1 import fact_pb2 as _fact_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StageClockSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STAGE_CLOCK_SOURCE_UNSPECIFIED: _ClassVar[StageClockSource]
    STAGE_CLOCK_SOURCE_HISTORY: _ClassVar[StageClockSource]
    STAGE_CLOCK_SOURCE_STAGE_STAMP: _ClassVar[StageClockSource]
    STAGE_CLOCK_SOURCE_CREATION: _ClassVar[StageClockSource]

class ObservationKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OBSERVATION_KIND_UNSPECIFIED: _ClassVar[ObservationKind]
    OBSERVATION_KIND_IMPORTED: _ClassVar[ObservationKind]
    OBSERVATION_KIND_CREATED: _ClassVar[ObservationKind]
    OBSERVATION_KIND_UPDATED: _ClassVar[ObservationKind]
    OBSERVATION_KIND_DELETED: _ClassVar[ObservationKind]
    OBSERVATION_KIND_UNDELETED: _ClassVar[ObservationKind]
    OBSERVATION_KIND_CONFLICT: _ClassVar[ObservationKind]
STAGE_CLOCK_SOURCE_UNSPECIFIED: StageClockSource
STAGE_CLOCK_SOURCE_HISTORY: StageClockSource
STAGE_CLOCK_SOURCE_STAGE_STAMP: StageClockSource
STAGE_CLOCK_SOURCE_CREATION: StageClockSource
OBSERVATION_KIND_UNSPECIFIED: ObservationKind
OBSERVATION_KIND_IMPORTED: ObservationKind
OBSERVATION_KIND_CREATED: ObservationKind
OBSERVATION_KIND_UPDATED: ObservationKind
OBSERVATION_KIND_DELETED: ObservationKind
OBSERVATION_KIND_UNDELETED: ObservationKind
OBSERVATION_KIND_CONFLICT: ObservationKind

class RecordObserved(_message.Message):
    __slots__ = ("object_type", "record_id", "kind", "mapped_stages", "crm_stage", "owner_id", "facts", "changed_facts", "changed_by", "committed_at", "change_id", "in_stage_since", "in_stage_since_source")
    OBJECT_TYPE_FIELD_NUMBER: _ClassVar[int]
    RECORD_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    MAPPED_STAGES_FIELD_NUMBER: _ClassVar[int]
    CRM_STAGE_FIELD_NUMBER: _ClassVar[int]
    OWNER_ID_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FACTS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_BY_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_AT_FIELD_NUMBER: _ClassVar[int]
    CHANGE_ID_FIELD_NUMBER: _ClassVar[int]
    IN_STAGE_SINCE_FIELD_NUMBER: _ClassVar[int]
    IN_STAGE_SINCE_SOURCE_FIELD_NUMBER: _ClassVar[int]
    object_type: str
    record_id: str
    kind: ObservationKind
    mapped_stages: _containers.RepeatedCompositeFieldContainer[MappedStage]
    crm_stage: str
    owner_id: str
    facts: _containers.RepeatedCompositeFieldContainer[_fact_pb2.Fact]
    changed_facts: _containers.RepeatedScalarFieldContainer[str]
    changed_by: str
    committed_at: _timestamp_pb2.Timestamp
    change_id: str
    in_stage_since: _timestamp_pb2.Timestamp
    in_stage_since_source: StageClockSource
    def __init__(self, object_type: _Optional[str] = ..., record_id: _Optional[str] = ..., kind: _Optional[_Union[ObservationKind, str]] = ..., mapped_stages: _Optional[_Iterable[_Union[MappedStage, _Mapping]]] = ..., crm_stage: _Optional[str] = ..., owner_id: _Optional[str] = ..., facts: _Optional[_Iterable[_Union[_fact_pb2.Fact, _Mapping]]] = ..., changed_facts: _Optional[_Iterable[str]] = ..., changed_by: _Optional[str] = ..., committed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., change_id: _Optional[str] = ..., in_stage_since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., in_stage_since_source: _Optional[_Union[StageClockSource, str]] = ...) -> None: ...

class MappedStage(_message.Message):
    __slots__ = ("pipeline_key", "pipeline_version", "stage_key")
    PIPELINE_KEY_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_VERSION_FIELD_NUMBER: _ClassVar[int]
    STAGE_KEY_FIELD_NUMBER: _ClassVar[int]
    pipeline_key: str
    pipeline_version: int
    stage_key: str
    def __init__(self, pipeline_key: _Optional[str] = ..., pipeline_version: _Optional[int] = ..., stage_key: _Optional[str] = ...) -> None: ...
