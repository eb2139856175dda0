"""The tables. Owned here: scoring_profile and score. `assessment` is a replica of what the assessment service
published, `opportunity` of whose each opportunity is in the CRM. Submissions that came before a profile for their
assessment are in the kit's `parked`."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from kit.database.tables import table_base
from sqlalchemy import BigInteger, DateTime, Index, Numeric, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

Base = table_base()


def _moment(*, nullable: bool = False) -> Any:
    return Field(default=None, sa_type=DateTime(timezone=True), nullable=nullable)  # pyright: ignore[reportArgumentType]


def _created() -> Any:
    column = {"server_default": func.now()}
    return Field(default=None, sa_type=DateTime(timezone=True), nullable=False, sa_column_kwargs=column)  # pyright: ignore[reportArgumentType]


def _points(*, nullable: bool = False) -> Any:
    # Without a scale: points are kept to the last digit.
    return Field(default=None, sa_type=Numeric, nullable=nullable)


class Assessment(Base, table=True):
    """A published version of an assessment. Only the retirement may change, in the order of `revision`."""

    __tablename__ = "assessment"  # pyright: ignore[reportAssignmentType]

    tenant_id: str = Field(primary_key=True)
    assessment_key: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    definition: dict[str, Any] = Field(sa_type=JSONB)
    retired: bool
    revision: int = Field(sa_type=BigInteger)
    created_at: datetime = _created()


class Opportunity(Base, table=True):
    """The owner of an opportunity by its newest observation, which decides who sees its scores."""

    __tablename__ = "opportunity"  # pyright: ignore[reportAssignmentType]

    tenant_id: str = Field(primary_key=True)
    opportunity_id: str = Field(primary_key=True)
    owner_id: str | None
    observed_no: int = Field(sa_type=BigInteger)


class ScoringProfile(Base, table=True):
    """A profile: a draft while `version` is null, immutable afterwards. `revision` counts changes, for ETags.
    `reachable_min` and `reachable_max` are worked out for the publication: what percentages are of."""

    __tablename__ = "scoring_profile"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        Index(
            "scoring_profile_version",
            *("tenant_id", "assessment_key", "assessment_version", "version"),
            unique=True,
        ),
    )

    tenant_id: str = Field(primary_key=True)
    profile_id: UUID = Field(primary_key=True)
    assessment_key: str
    assessment_version: int
    version: int | None
    title: str
    points: dict[str, Any] = Field(sa_type=JSONB)
    revision: int
    created_at: datetime = _created()
    created_by: str
    updated_at: datetime = _created()
    updated_by: str
    published_at: datetime | None = _moment(nullable=True)
    published_by: str | None
    reachable_min: Decimal | None = _points(nullable=True)
    reachable_max: Decimal | None = _points(nullable=True)


class Score(Base, table=True):
    """The score a submission got from a profile, with every answer's part in it."""

    __tablename__ = "score"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        Index("score_submission", "tenant_id", "submission_id", "scored_at"),
        Index("score_opportunity", "tenant_id", "opportunity_id", "scored_at", "score_id"),
    )

    tenant_id: str = Field(primary_key=True)
    score_id: UUID = Field(primary_key=True)
    submission_id: UUID
    opportunity_id: str
    assessment_key: str
    assessment_version: int
    profile_id: UUID
    profile_version: int
    scale: str
    score: Decimal | None = _points(nullable=True)
    raw_points: Decimal = _points()
    reachable_min: Decimal = _points()
    reachable_max: Decimal = _points()
    percent: Decimal = _points()
    complete: bool
    sections: list[dict[str, Any]] = Field(sa_type=JSONB)
    contributions: list[dict[str, Any]] = Field(sa_type=JSONB)
    inputs_hash: str
    stage_key: str
    visit_no: int
    attempt_no: int
    submitted_by: str
    entitled: bool
    captured_at: datetime = _moment()
    received_at: datetime = _moment()
    scored_at: datetime = _moment()


_tables = Base.metadata.tables
assessment = _tables["assessment"]
opportunity = _tables["opportunity"]
scoring_profile = _tables["scoring_profile"]
score = _tables["score"]
