"""Pipelines, their versions, and what carries opportunities between these."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from stage_engine.domain.versions import Plan


@dataclass(frozen=True, slots=True)
class PipelineSummary:
    """A pipeline without its draft."""

    pipeline_key: str
    revision: int
    newest_version: int
    modes_revision: int
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str


@dataclass(frozen=True, slots=True)
class PipelineRecord(PipelineSummary):
    """A pipeline with its draft, a document that may have errors."""

    draft: dict[str, Any]


@dataclass(frozen=True, slots=True)
class VersionSummary:
    """A published version of a pipeline, without its document."""

    pipeline_key: str
    version: int
    is_default: bool
    published_at: datetime
    published_by: str


@dataclass(frozen=True, slots=True)
class VersionRecord(VersionSummary):
    """A published version of a pipeline."""

    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest version of a published pipeline."""

    pipeline_key: str
    version: int
    object_type: str
    is_default: bool
    published_at: datetime


def default_of(found: Iterable[Newest], object_type: str) -> str | None:
    """The key of the default pipeline for a type of object: of several that say so, the one published last."""
    named = [(each.published_at, each.pipeline_key) for each in found if _is_default(each, object_type)]
    return max(named)[1] if named else None


def _is_default(found: Newest, object_type: str) -> bool:
    return found.is_default and found.object_type == object_type


@dataclass(frozen=True, slots=True)
class ReachRecord:
    """The scores that the newest published points of an assessment version can give."""

    assessment_key: str
    assessment_version: int
    profile_version: int
    minimum: Decimal | None
    maximum: Decimal | None
    scores: tuple[Decimal, ...]
    # The shipped profile that these points are equal to; empty when there is none.
    template_key: str = ""


@dataclass(frozen=True, slots=True)
class InstallRefusal:
    """An assessment that the installation of a process template did not get, and why."""

    request_id: UUID
    assessment_key: str
    detail: str
    refused_at: datetime


@dataclass(frozen=True, slots=True)
class MigrationRecord:
    """Opportunities on their way to another version; `left` are those that the plan had no place for when their turn
    came. `undoes` is the migration that this one takes back."""

    migration_id: UUID
    pipeline_key: str
    to_version: int
    undoes: UUID | None
    plan: Plan
    after: str
    planned: int
    moved: int
    left: int
    started_at: datetime
    started_by: str
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class StageUse:
    """Open opportunities of a pipeline version in one stage."""

    version: int
    stage_key: str
    opportunities: int
