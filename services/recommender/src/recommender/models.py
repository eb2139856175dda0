"""Tables: what other services published, each opportunity's history, the counts learned from it, and the
recommendations."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from kit.database.tables import table_base
from sqlalchemy import BigInteger, Column, DateTime, Index, Numeric, String, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

Base = table_base()


def _moment(*, nullable: bool = False) -> Any:
    return Field(sa_type=DateTime(timezone=True), nullable=nullable)  # pyright: ignore[reportArgumentType]


def _created() -> Any:
    return Field(sa_type=DateTime(timezone=True), sa_column_kwargs={"server_default": func.now()})  # pyright: ignore[reportArgumentType]


def _key() -> Any:
    return Field(sa_type=String, primary_key=True)


class Pipeline(Base, table=True):
    """The newest version of a pipeline, as far as the model needs it."""

    tenant_id: str = _key()
    pipeline_key: str = _key()
    version: int
    name: str
    is_default: bool
    #: In rank order: `{"key", "name", "category"}`.
    stages: list[dict[str, str]] = Field(sa_column=Column(JSONB, nullable=False))
    created_at: datetime = _created()


class Assessment(Base, table=True):
    """The newest title of an assessment, so that the table of counts can be read."""

    tenant_id: str = _key()
    assessment_key: str = _key()
    version: int
    title: str
    retired: bool
    revision: int = Field(sa_type=BigInteger)
    created_at: datetime = _created()


class ScoringProfile(Base, table=True):
    """The bands of one version of a profile; immutable."""

    __tablename__ = "scoring_profile"  # pyright: ignore[reportAssignmentType]

    tenant_id: str = _key()
    profile_id: str = _key()
    assessment_key: str
    assessment_version: int
    version: int
    #: Lowest scores as decimal text, and the names, of the bands in ascending order.
    band_edges: list[str] = Field(sa_column=Column(JSONB, nullable=False))
    band_names: list[str] = Field(sa_column=Column(JSONB, nullable=False))
    created_at: datetime = _created()


class Opportunity(Base, table=True):
    """The visits of an opportunity, by the stage engine, and its stage and owner in the CRM. It has no visit until the
    engine first reports one."""

    __table_args__ = (
        Index("opportunity_owner", "tenant_id", "owner_id"),
        # Written again and again in place: with room in its page a row keeps its index entries.
        {"postgresql_with": {"fillfactor": 70}},
    )

    tenant_id: str = _key()
    opportunity_id: str = _key()
    current_stage: str | None
    #: In order: the fields of `Visit`. Every score reads all of them, so they are in the row of its opportunity.
    visits: list[dict[str, Any]] = Field(sa_column=Column(JSONB, nullable=False))
    claimed_stage: str | None
    owner_id: str | None
    crm_deleted: bool
    observed_sequence: int = Field(sa_type=BigInteger)
    #: Number of the latest recommendation: the `sequence` of its event.
    recommendation_no: int = Field(sa_type=BigInteger)
    latest_recommendation: UUID | None = Field(sa_type=Uuid, nullable=True)
    created_at: datetime = _created()


class Submission(Base, table=True):
    """A scored assessment of an opportunity: the features as of its capture, and the answers behind them."""

    __table_args__ = (Index("submission_opportunity", "tenant_id", "opportunity_id"),)

    tenant_id: str = _key()
    submission_id: str = _key()
    opportunity_id: str
    assessment_key: str
    assessment_version: int
    profile_id: str
    score_id: str
    score: Decimal | None = Field(sa_type=Numeric, nullable=True)  # pyright: ignore[reportArgumentType]
    #: Empty until the scoring profile is known.
    band: str | None
    stage_key: str
    visit_no: int
    captured_at: datetime = _moment()
    attempt_no: int
    received_at: datetime = _moment()
    scored_at: datetime = _moment()
    answers: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    created_at: datetime = _created()


class Decision(Base, table=True):
    """What the stage engine decided on a submission, shown beside the recommendation."""

    tenant_id: str = _key()
    submission_id: str = _key()
    opportunity_id: str
    decision_no: int = Field(sa_type=BigInteger)
    outcome: str
    #: The stage the rules moved or would move the opportunity to.
    stage_key: str
    earned_stage: str
    decided_at: datetime = _moment()
    created_at: datetime = _created()


class VisitCount(Base, table=True):
    """The model: how many past cases of a cell led to each stage."""

    __tablename__ = "visit_count"  # pyright: ignore[reportAssignmentType]

    tenant_id: str = _key()
    pipeline_key: str = _key()
    stage_key: str = _key()
    assessment_key: str = _key()
    band: str = _key()
    label: str = _key()
    cases: int = Field(sa_type=BigInteger)


class PipelineTotal(Base, table=True):
    """Ended visits and closed opportunities of a pipeline, which say whether it has enough history."""

    __tablename__ = "pipeline_total"  # pyright: ignore[reportAssignmentType]

    tenant_id: str = _key()
    pipeline_key: str = _key()
    total: str = _key()
    count: int = Field(sa_type=BigInteger)


class ParkedSubmission(Base, table=True):
    """A submission whose recommendation waits for an event of another topic."""

    __tablename__ = "parked_submission"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        Index("parked_submission_missing", "tenant_id", "missing", "missing_key"),
        Index("parked_submission_waiting", "parked_at"),
    )

    tenant_id: str = _key()
    submission_id: str = _key()
    opportunity_id: str
    #: `profile`, `visit` or `pipeline`, and which one.
    missing: str
    missing_key: str
    parked_at: datetime = _created()


class Recommendation(Base, table=True):
    """What was recommended, or why nothing was, with everything it was based on."""

    __table_args__ = (
        Index("recommendation_newest", "tenant_id", "recommended_at", "recommendation_id"),
        # A rep reads those of their own opportunities.
        Index("recommendation_opportunity", "tenant_id", "opportunity_id"),
    )

    tenant_id: str = _key()
    recommendation_id: UUID = Field(sa_type=Uuid, primary_key=True)
    opportunity_id: str
    recommendation_no: int = Field(sa_type=BigInteger)
    submission_id: str
    score_id: str
    pipeline_key: str
    stage_key: str
    assessment_key: str
    band: str
    recommended_stage: str | None
    abstention_code: str | None
    level: str
    support: int = Field(sa_type=BigInteger)
    counts: dict[str, int] = Field(sa_column=Column(JSONB, nullable=False))
    #: `[stage, probability]`, most probable first.
    probabilities: list[list[Any]] = Field(sa_column=Column(JSONB, nullable=False))
    lower_bound: float
    runner_up: float
    model_version: str
    recommended_at: datetime = _moment()


_tables = Base.metadata.tables
pipeline = _tables["pipeline"]
assessment = _tables["assessment"]
scoring_profile = _tables["scoring_profile"]
opportunity = _tables["opportunity"]
submission = _tables["submission"]
decision = _tables["decision"]
visit_count = _tables["visit_count"]
pipeline_total = _tables["pipeline_total"]
parked_submission = _tables["parked_submission"]
recommendation = _tables["recommendation"]
