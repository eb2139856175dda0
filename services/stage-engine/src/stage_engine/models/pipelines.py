# SQLModel declares __tablename__ as a method, though a plain name is what it documents.
# pyright: reportAssignmentType=false
"""What a tenant configures as a pipeline: versions, switches, migrations, and what other services said of it."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Index, Numeric, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field

from stage_engine.models.base import Base, counter, created, moment


class PipelineRow(Base, table=True):
    """A pipeline with its draft. `revision` counts changes of the draft, for ETags; `modes_revision` what was switched
    without a new version."""

    __tablename__ = "pipeline"

    tenant_id: str = Field(primary_key=True)
    pipeline_key: str = Field(primary_key=True)
    draft: dict[str, Any] = Field(sa_type=JSONB)
    revision: int
    newest_version: int
    modes_revision: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    created_at: datetime = created()
    created_by: str
    updated_at: datetime = created()
    updated_by: str


class PipelineVersionRow(Base, table=True):
    """A published version, immutable."""

    __tablename__ = "pipeline_version"

    tenant_id: str = Field(primary_key=True)
    pipeline_key: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    document: dict[str, Any] = Field(sa_type=JSONB)
    is_default: bool
    published_at: datetime = moment()
    published_by: str


class ScoreReachRow(Base, table=True):
    """What scores the newest published points of an assessment version can give, in the scale that rules compare."""

    __tablename__ = "score_reach"

    tenant_id: str = Field(primary_key=True)
    assessment_key: str = Field(primary_key=True)
    assessment_version: int = Field(primary_key=True)
    profile_version: int
    minimum: Decimal | None = Field(sa_type=Numeric, nullable=True)
    maximum: Decimal | None = Field(sa_type=Numeric, nullable=True)
    scores: list[Decimal] = Field(sa_type=ARRAY(Numeric))  # pyright: ignore[reportArgumentType]
    # The shipped profile that the points are equal to; empty when there is none.
    template_key: str
    updated_at: datetime = created()


class InstallRefusalRow(Base, table=True):
    """An assessment that the installation of a process template did not get, and why; one of each request."""

    __tablename__ = "install_refusal"

    tenant_id: str = Field(primary_key=True)
    request_id: UUID = Field(primary_key=True)
    assessment_key: str = Field(primary_key=True)
    detail: str
    refused_at: datetime = moment()


class ModeSwitchingRow(Base, table=True):
    """One switching of a rule, or of all automation of a pipeline: decisions name the revision that it makes."""

    __tablename__ = "mode_switching"
    __table_args__ = (Index("breaker_opened", "changed_at", postgresql_where=text("switch = 'breaker_open'")),)

    tenant_id: str = Field(primary_key=True)
    pipeline_key: str = Field(primary_key=True)
    revision: int = Field(primary_key=True)
    rule_id: str
    switch: str
    reason: str
    changed_at: datetime = moment()
    changed_by: str


class MigrationRow(Base, table=True):
    """Opportunities on their way to another version of their pipeline, page by page in the order of ids: `after` is the
    last one that was looked at. At most one of a pipeline is under way. `undoes` is the migration that it takes back;
    then each goes to the version it came from, and `to_version` is 0."""

    __tablename__ = "migration"
    __table_args__ = (
        Index(
            "migration_under_way",
            "tenant_id",
            "pipeline_key",
            unique=True,
            postgresql_where=text("finished_at IS NULL"),
        ),
        Index("migration_started", "started_at", postgresql_where=text("finished_at IS NULL")),
    )

    tenant_id: str = Field(primary_key=True)
    migration_id: UUID = Field(primary_key=True)
    pipeline_key: str
    to_version: int
    undoes: UUID | None
    plan: dict[str, Any] = Field(sa_type=JSONB)
    after: str
    planned: int = counter()
    moved: int = counter()
    left: int = counter()
    started_at: datetime = moment()
    started_by: str
    finished_at: datetime | None = moment(nullable=True)


pipeline = Base.metadata.tables["pipeline"]
pipeline_version = Base.metadata.tables["pipeline_version"]
score_reach = Base.metadata.tables["score_reach"]
mode_switching = Base.metadata.tables["mode_switching"]
migration = Base.metadata.tables["migration"]
install_refusal = Base.metadata.tables["install_refusal"]
