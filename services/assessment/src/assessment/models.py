# SQLModel declares __tablename__ as a method, though a plain name is what it documents.
# pyright: reportAssignmentType=false
"""The tables. What this service owns: assessment, assessment_version, submission, held_submission. The others are
replicas, each fed by one kind of event and kept as append-only facts, or, for `opportunity`, as the newest state."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from kit.database.tables import table_base
from sqlalchemy import BigInteger, Column, DateTime, Index, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

Base = table_base()


def _moment(*, nullable: bool = False) -> Any:
    return Field(default=None, sa_type=DateTime(timezone=True), nullable=nullable)  # pyright: ignore[reportArgumentType]


def _created() -> Any:
    column = {"server_default": func.now()}
    return Field(default=None, sa_type=DateTime(timezone=True), nullable=False, sa_column_kwargs=column)  # pyright: ignore[reportArgumentType]


class Assessment(Base, table=True):
    """An assessment under one key for ever: its draft, and how many versions were published from it.

    draft_revision counts changes of the draft; revision counts published events.
    """

    __tablename__ = "assessment"

    tenant_id: str = Field(primary_key=True)
    assessment_key: str = Field(primary_key=True)
    title: str
    description: str
    questions: list[dict[str, Any]] = Field(sa_type=JSONB)
    draft_revision: int
    latest_version: int
    revision: int
    created_at: datetime = _created()
    created_by: str
    updated_at: datetime = _created()
    updated_by: str


class AssessmentVersion(Base, table=True):
    """A published version; only its retirement may ever change."""

    __tablename__ = "assessment_version"

    tenant_id: str = Field(primary_key=True)
    assessment_key: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    title: str
    description: str
    questions: list[dict[str, Any]] = Field(sa_type=JSONB)
    definition_hash: str
    published_at: datetime = _moment()
    published_by: str
    retired_at: datetime | None = _moment(nullable=True)
    retired_by: str | None


class Submission(Base, table=True):
    """A capture as it was accepted. body is the canonical JSON that body_sha256 was taken of, hidden answers
    included; captured_at is the estimate on the server's clock, the device's own is in the body and in sent_at.
    attempt_no is the server's. entitled is false where the opportunity's owner was not known. content_sha256 is of what
    a person did, whatever id and attempt a device gave it: duplicate_of had the same."""

    __tablename__ = "submission"
    __table_args__ = (
        # One id is one submission on the whole platform: to another tenant that tries it, there is none.
        Index("submission_id_unique", "submission_id", unique=True),
        Index("submission_opportunity", "tenant_id", "opportunity_id", "received_at"),
        Index("submission_unknown", "tenant_id", "submitted_by", postgresql_where=text("NOT entitled")),
    )

    tenant_id: str = Field(primary_key=True)
    submission_id: UUID = Field(primary_key=True)
    opportunity_id: str
    assessment_key: str
    assessment_version: int
    stage_key: str | None
    visit_no: int | None
    attempt_no: int
    channel: str
    submitted_by: str
    captured_at: datetime = _moment()
    received_at: datetime = _moment()
    sent_at: str | None
    body: str = Field(sa_column=Column(Text, nullable=False))
    body_sha256: str
    content_sha256: str
    duplicate_of: UUID | None
    warnings: list[str] = Field(sa_type=JSONB)
    entitled: bool
    created_at: datetime = _created()


class HeldSubmission(Base, table=True):
    """A capture that moves nothing until a reviewer accepts it; then it becomes a submission, as received at that
    moment. The row stays, for it is what a retry is answered from. attempt_no is the client's."""

    __tablename__ = "held_submission"
    __table_args__ = (
        Index(
            "held_submission_waiting",
            *("tenant_id", "received_at", "submission_id"),
            postgresql_where=text("outcome IS NULL"),
        ),
        Index("held_submission_person", "tenant_id", "submitted_by", postgresql_where=text("outcome IS NULL")),
        Index("held_submission_opportunity", "tenant_id", "opportunity_id"),
        Index("held_submission_age", "received_at", postgresql_where=text("outcome IS NULL")),
    )

    tenant_id: str = Field(primary_key=True)
    submission_id: UUID = Field(primary_key=True)
    reason: str
    opportunity_id: str
    assessment_key: str
    assessment_version: int
    stage_key: str | None
    visit_no: int | None
    attempt_no: int
    channel: str
    submitted_by: str
    captured_at: datetime = _moment()
    received_at: datetime = _moment()
    sent_at: str | None
    body: str = Field(sa_column=Column(Text, nullable=False))
    body_sha256: str
    warnings: list[str] = Field(sa_type=JSONB)
    outcome: str | None
    settled_at: datetime | None = _moment(nullable=True)
    settled_by: str | None
    note: str


class Opportunity(Base, table=True):
    """The newest state of an opportunity, and the newest recommendation or abstention. The CRM's side counts by
    observed_no, the stage engine's by revision, the recommender's by recommendation_no; each may arrive first and
    leaves the others' columns alone."""

    __tablename__ = "opportunity"
    __table_args__ = (
        Index("opportunity_owner", "tenant_id", "owner_id", "opportunity_id"),
        # Written again and again in place: with room in its page a row keeps its index entries.
        {"postgresql_with": {"fillfactor": 70}},
    )

    tenant_id: str = Field(primary_key=True)
    opportunity_id: str = Field(primary_key=True)
    owner_id: str | None
    amount: Decimal | None
    deleted: bool
    observed_no: int = Field(sa_type=BigInteger)
    pipeline_key: str | None
    pipeline_version: int | None
    stage_key: str | None
    stage_category: str | None
    visit_no: int | None
    revision: int = Field(sa_type=BigInteger)
    recommendation_no: int = Field(sa_type=BigInteger)
    recommendation_id: UUID | None
    recommended_stage: str | None
    abstention_code: str | None
    probability: float | None
    support: int | None = Field(sa_type=BigInteger)
    recommended_at: datetime | None = _moment(nullable=True)
    # What waits for people there, by the number of the decision.
    waiting: dict[str, Any] | None = Field(default=None, sa_type=JSONB(none_as_null=True), nullable=True)
    waiting_no: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    created_at: datetime = _created()
    updated_at: datetime = _created()


class PipelineVersion(Base, table=True):
    """Which assessments count in which stage, and in which versions. Every version is kept, because opportunities stay
    pinned to theirs."""

    __tablename__ = "pipeline_version"

    tenant_id: str = Field(primary_key=True)
    pipeline_key: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    name: str
    stages: list[dict[str, Any]] = Field(sa_type=JSONB)
    assessment_versions: dict[str, int] = Field(sa_type=JSONB)
    published_at: datetime = _moment()
    created_at: datetime = _created()


class ScoringProfile(Base, table=True):
    """An assessment version that has points: only such a version is offered."""

    __tablename__ = "scoring_profile"

    tenant_id: str = Field(primary_key=True)
    assessment_key: str = Field(primary_key=True)
    assessment_version: int = Field(primary_key=True)
    created_at: datetime = _created()


class SubmissionScore(Base, table=True):
    """A score that scoring gave; a re-score is another row."""

    __tablename__ = "submission_score"
    __table_args__ = (Index("submission_score_submission", "tenant_id", "submission_id", "scored_at"),)

    tenant_id: str = Field(primary_key=True)
    score_id: UUID = Field(primary_key=True)
    submission_id: UUID
    opportunity_id: str
    score: Decimal | None
    scale: str
    percent: Decimal
    raw_points: Decimal
    reachable_max: Decimal
    complete: bool
    unanswered: list[str] = Field(sa_type=JSONB)
    profile_version: int
    scored_at: datetime = _moment()
    created_at: datetime = _created()


class StageDecision(Base, table=True):
    """A decision of the stage engine; submission_id only when it decided on a submission."""

    __tablename__ = "stage_decision"
    __table_args__ = (
        # The others are found by their submissions.
        Index(
            "stage_decision_opportunity",
            "tenant_id",
            "opportunity_id",
            "decision_no",
            postgresql_where=text("submission_id IS NULL"),
        ),
        Index("stage_decision_submission", "tenant_id", "submission_id", "decision_no"),
    )

    tenant_id: str = Field(primary_key=True)
    decision_id: UUID = Field(primary_key=True)
    opportunity_id: str
    decision_no: int = Field(sa_type=BigInteger)
    pipeline_key: str
    pipeline_version: int
    submission_id: UUID | None
    input_kind: str
    outcome: str
    from_stage: str
    to_stage: str
    proposed_stage: str
    reasons: list[dict[str, Any]] = Field(sa_type=JSONB)
    near_misses: list[dict[str, Any]] = Field(sa_type=JSONB)
    move: dict[str, Any] | None = Field(default=None, sa_type=JSONB(none_as_null=True), nullable=True)
    actor: str
    decided_at: datetime = _moment()
    created_at: datetime = _created()


class StageChange(Base, table=True):
    """A move to another stage, by its revision."""

    __tablename__ = "stage_change"

    tenant_id: str = Field(primary_key=True)
    opportunity_id: str = Field(primary_key=True)
    revision: int = Field(primary_key=True, sa_type=BigInteger)
    transition_id: UUID
    kind: str
    from_stage: str
    to_stage: str
    visit_no: int
    cause: str
    submission_id: UUID | None
    actor: str
    changed_at: datetime = _moment()
    created_at: datetime = _created()


_tables = Base.metadata.tables
assessment = _tables["assessment"]
assessment_version = _tables["assessment_version"]
submission = _tables["submission"]
held_submission = _tables["held_submission"]
opportunity = _tables["opportunity"]
pipeline_version = _tables["pipeline_version"]
submission_score = _tables["submission_score"]
stage_decision = _tables["stage_decision"]
stage_change = _tables["stage_change"]
scoring_profile = _tables["scoring_profile"]
