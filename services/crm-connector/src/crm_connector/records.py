"""Rows as values: what the repositories take and give. Their fields are columns of the tables in `models.py`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from crm_connector.domain.observation import Known
from crm_connector.domain.stages import PipelineStage
from crm_connector.domain.writes import QuestionText


@dataclass(frozen=True, slots=True)
class OpportunityRecord:
    """What is known of an opportunity. `stage_key` is our stage for that of the facts, as it was last published;
    `stage_is_ours` says that our own write put it there. `sequence` counts everything published about it."""

    opportunity_id: str
    known: Known
    pipeline_key: str
    stage_key: str
    stage_is_ours: bool
    sequence: int
    updated_at: datetime

    def next(self) -> "OpportunityRecord":
        """The record after one more publication about it."""
        return replace(self, sequence=self.sequence + 1)


@dataclass(frozen=True, slots=True)
class PipelineVersion:
    """A version of a pipeline as it was published."""

    pipeline_key: str
    version: int
    name: str
    is_default: bool
    stages: tuple[PipelineStage, ...]


@dataclass(frozen=True, slots=True)
class PipelineRecord(PipelineVersion):
    """A pipeline's newest version and its mapping: `pairs` is what a person set, and counts once `mapping_revision`,
    the number of such changes, is above 0."""

    pairs: Mapping[str, str]
    mapping_revision: int


@dataclass(frozen=True, slots=True)
class AssessmentTextRecord:
    """How people read the questions of an assessment version, by question key."""

    assessment_key: str
    version: int
    title: str
    questions: Mapping[str, QuestionText]


# Empty before the connector first ran.
ConnectionState = Literal["", "CONNECTING", "WAITING_FOR_PIPELINE", "IMPORTING", "LIVE", "UNAVAILABLE", "REFUSED"]


@dataclass(frozen=True, slots=True)
class ConnectionRecord:
    """The connection to the CRM. `position` is the place in its stream of changes, `position_at` how far in time that
    is; `sweep_since` is set while changes from that time on may have been missed."""

    adapter: str = ""
    org_id: str = ""
    state: ConnectionState = ""
    last_error: str = ""
    last_error_at: datetime | None = None
    connected_at: datetime | None = None
    position: bytes | None = None
    position_at: datetime | None = None
    schema_id: str = ""
    sweep_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class ImportRecord:
    """One reading of all opportunities; it goes on after `last_id`."""

    import_id: UUID
    state: Literal["RUNNING", "COMPLETED"]
    requested_by: str
    last_id: str
    read_count: int
    published_count: int
    last_error: str
    finished_at: datetime | None
    created_at: datetime
