"""What is due, what is missing, and what became of submissions."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from kit.contracts.wire import PlainDecimal
from pydantic import BaseModel, Field

from assessment.domain.delivery import NextReason
from assessment.domain.outcome import Outcome, Scale, StandingKind
from assessment.schemas.capture import VisitBody


class StageOut(BaseModel):
    """A stage of the opportunity's pipeline."""

    key: str
    name: str


class MissingOut(BaseModel):
    """One thing that keeps the opportunity where it is."""

    code: str = Field(examples=["FAILED"])
    fact: str = Field(examples=["prospecting.score"])
    short_by: PlainDecimal | None = Field(examples=["4"])
    text: str = Field(examples=["4 points short"])
    question_keys: list[str] = Field(description="questions whose answers lost points, most first")
    criterion: str = Field("", description="the criterion that it belongs to; empty where it belongs to a rule")
    supplied_by: str = Field("", description="the question or field that answers the criterion")
    help: str = Field("", description="how to meet the criterion")
    playbook_url: str = ""


class DueOut(BaseModel):
    """The assessment to answer now. Send version, definition_hash, visit and attempt_no back with the answers."""

    assessment_key: str
    assessment_version: int
    title: str
    definition_hash: str
    visit: VisitBody
    attempt_no: int


class StandingOut(BaseModel):
    """An assessment of the stage with its latest attempt in this visit."""

    assessment_key: str
    standing: StandingKind
    attempts: int
    submission_id: UUID | None = Field(description="the latest attempt")
    score: PlainDecimal | None
    words: str = Field(examples=["4 points short"])
    missing: list[MissingOut]


class NextAssessmentOut(BaseModel):
    """Which assessment now, and why; `due` is null when there is none, and `reason` says why not."""

    opportunity_id: str
    stage: StageOut | None
    visit: VisitBody | None
    reason: NextReason
    message: str
    due: DueOut | None
    standings: list[StandingOut]


class RecommendationOut(BaseModel):
    """Where opportunities with such evidence were found in the past; it never moves a stage."""

    recommended_stage: str | None
    probability: float | None
    abstention_code: str | None
    support: int
    recommended_at: datetime


class LastOutcomeOut(BaseModel):
    """The newest submission of the opportunity and what became of it."""

    submission_id: UUID
    assessment_key: str
    score: PlainDecimal | None
    words: str = Field(examples=["4 points short"])
    missing: list[MissingOut]
    at: datetime


class WaitingMoveOut(BaseModel):
    """A move that waits for approval: decide at `/v1/approvals/{approval_id}` of the stage engine."""

    approval_id: str
    to_stage: str
    asked_by: str
    needed: int
    approved_by: list[str]
    expires_at: datetime


class ProposedMoveOut(BaseModel):
    """A move that a rule proposes: decide at `/v1/proposals/{proposal_id}` of the stage engine."""

    proposal_id: str
    rule_id: str
    to_stage: str
    expires_at: datetime


class WorklistItem(BaseModel):
    """One open opportunity and what to do about it."""

    opportunity_id: str
    owner_id: str
    amount: PlainDecimal | None
    stage: StageOut
    visit: VisitBody
    reason: NextReason
    message: str
    next_assessment: DueOut | None
    last_outcome: LastOutcomeOut | None
    recommendation: RecommendationOut | None
    approval: WaitingMoveOut | None = Field(description="the move that waits for approval")
    proposals: list[ProposedMoveOut] = Field(description="what rules propose")


class TimelineItem(BaseModel):
    """One thing that happened to the opportunity."""

    at: datetime
    kind: Literal["submission", "score", "decision", "stage_change"]
    id: str
    detail: dict[str, Any]


class ScoreOut(BaseModel):
    """The newest score of a submission."""

    score_id: UUID
    score: PlainDecimal | None = Field(description="null while an unanswered question blocks it")
    scale: Scale
    reachable_max: PlainDecimal
    complete: bool
    scored_at: datetime


class MoveOut(BaseModel):
    """What became of the move that came with the answers, and why it was refused."""

    to_stage: str
    status: Literal["moved", "refused"]
    missing: list[MissingOut]


class DecisionOut(BaseModel):
    """The newest decision on a submission."""

    decision_id: UUID
    outcome: Outcome
    from_stage: str
    to_stage: str
    proposed_stage: str | None
    words: str
    missing: list[MissingOut]
    move: MoveOut | None = Field(None, description="null when the answers came without a move")
    decided_at: datetime


class SubmissionOut(BaseModel):
    """A submission and how far it has come: received, then scored, then decided. Visit, attempt, score and decision are
    null while its opportunity is not the caller's to see."""

    submission_id: UUID
    status: Literal["received", "scored", "decided"]
    opportunity_id: str
    assessment_key: str
    assessment_version: int
    visit: VisitBody | None = None
    attempt_no: int | None = Field(description="as the server counts attempts at this assessment of the opportunity")
    channel: str
    submitted_by: str
    captured_at: datetime
    received_at: datetime
    warnings: list[str]
    score: ScoreOut | None = None
    decision: DecisionOut | None = None
