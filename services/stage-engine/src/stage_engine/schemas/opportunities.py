"""Opportunities, decisions, changes, commands."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from kit.contracts.wire import PlainDecimal
from kit.http.texts import RecordId, refusal
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from stage_engine.domain.decision import Cause, Code, Outcome, TransitionKind
from stage_engine.domain.earning import Support
from stage_engine.domain.rules import RuleMode
from stage_engine.domain.stages import Category, Need
from stage_engine.schemas.assignment import AssignedOut
from stage_engine.schemas.holds import HoldOut, TimerOut
from stage_engine.schemas.moments import Moment
from stage_engine.schemas.obligations import OwedOut
from stage_engine.schemas.waiting import ProposedOut, WaitingOut

# Of all texts of one fact together: it is kept with its subject, and in each of its decisions.
MOST_CHARACTERS = 4000


def _kept(texts: list[str]) -> list[str]:
    if sum(map(len, texts)) > MOST_CHARACTERS:
        raise refusal("fact_too_large", f"All texts of a fact together have at most {MOST_CHARACTERS} characters.")
    return texts


Text = Annotated[str, Field(max_length=2000)]
FactValue = Text | bool | Annotated[list[Text], Field(max_length=200), AfterValidator(_kept)]
OpportunityId = Annotated[RecordId, Field(max_length=200, examples=["006Qy00000AbCdEIAV"])]


class SuppliedFact(BaseModel):
    """A fact that a person knows."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=140, examples=["account.industry"])
    value: FactValue | None = Field(description="numbers, dates and instants as texts; null: it is not known")


class TransitionRequest(BaseModel):
    """Where a person wants the opportunity. Without `override` the evidence has to support it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"to_stage": "discovery"},
                {
                    "to_stage": "negotiation",
                    "override": True,
                    "reason_code": "EXECUTIVE_SPONSOR",
                    "text": "The board has approved the budget; the assessments follow.",
                },
            ]
        },
    )

    to_stage: str = Field(min_length=1, max_length=64)
    override: bool = Field(False, description="put it there although the evidence does not; takes a manager")
    skip: bool = Field(False, description="agree to pass over open stages")
    reason_code: str = Field("", max_length=64, description="needed to go back, give up, reopen or override")
    text: str = Field("", max_length=2000, description="needed to override")
    expires_at: Moment | None = Field(None, description="when the override ends by itself")
    facts: list[SuppliedFact] = Field(
        default=[], max_length=50, description="what the person adds: it counts together with the move, or not at all"
    )


class ReasonOut(BaseModel):
    """Why; `margin` is the signed distance to what was needed, in `unit`: -4 is four short."""

    code: Code
    fact: str
    margin: PlainDecimal | None
    message: str
    unit: str = Field("", description="of the margin", examples=["points", "days", "EUR"])
    criterion: str = Field("", description="the criterion that it belongs to; empty where it belongs to a rule")


class CriterionOut(BaseModel):
    """An exit criterion of the stage, and what it lacks."""

    key: str
    name: str
    need: Need
    met: bool
    missing: list[ReasonOut]
    help: str
    playbook_url: str
    supplied_by: str


class MilestoneOut(BaseModel):
    """A milestone that was reached: first when and by which input, and how often."""

    at: datetime
    input_id: str
    count: int


class FactOut(BaseModel):
    """A fact in force."""

    value: str | None
    source: str
    observed_at: datetime


class NearMissOut(BaseModel):
    """A rule that would have held with a little more, and the questions that lost points."""

    rule_id: str
    to_stage: str
    fact: str
    cell: str
    actual: str
    margin: PlainDecimal
    question_keys: list[str]
    unit: str = Field("", description="of the margin", examples=["points", "days", "EUR"])


class TakenBackOut(BaseModel):
    """An outcome that counts no more: what it was, and the revision that had brought it."""

    category: Category
    revision: int
    cycle_no: int


class TransitionOut(BaseModel):
    """The move a decision made."""

    kind: TransitionKind
    from_stage: str
    to_stage: str
    skipped: list[str]
    visit_no: int
    cycle_no: int
    revision: int
    cause: Cause
    rule_id: str
    submission_id: str
    actor: str
    reason_code: str
    changed_at: datetime
    taken_back: TakenBackOut | None
    hops: int = Field(description="how many moves of subjects led to it, one after the other")


class MoveOutcomeOut(BaseModel):
    """What became of the move that came with answers; without reasons the opportunity is in the stage."""

    to_stage: str
    refused: list[ReasonOut]


class DecisionOut(BaseModel):
    """What the engine decided on one input. `reasons` say what is missing when it was refused."""

    decision_id: UUID
    opportunity_id: str
    decision_no: int
    outcome: Outcome
    reasons: list[ReasonOut]
    near_misses: list[NearMissOut]
    rule_id: str
    margin: PlainDecimal | None
    facts: dict[str, str]
    pipeline_key: str
    pipeline_version: int
    from_stage: str
    to_stage: str
    proposed_stage: str
    earned_stage: str
    revision: int
    transition: TransitionOut | None
    crm_target_stage: str
    crm_expected_stage: str
    actor: str
    decided_at: datetime
    move: MoveOutcomeOut | None
    actions: list[str] = Field(description="keys of the actions that it asks for")
    assigned: list[AssignedOut] = Field(description="who got a role by it, and why")
    owed: list[OwedOut] = Field(description="obligations that it made, or whose state it changed")
    input: dict[str, Any]


class ReplayOut(BaseModel):
    """A decision made again from what was stored. `identical` compares bytes."""

    decision_id: UUID
    identical: bool
    stored: dict[str, Any]
    replayed: dict[str, Any]


class OverrideOut(BaseModel):
    """A person put the opportunity where the evidence did not."""

    stage_key: str
    at: datetime
    actor: str
    role: str
    reason_code: str
    text: str
    expires_at: datetime | None


class ScoreOut(BaseModel):
    """The evidence in force of one assessment; `current` when it belongs to this visit."""

    score: PlainDecimal
    submission_id: UUID | str
    visit_no: int
    attempt_no: int
    captured_at: datetime
    current: bool


class WayOut(BaseModel):
    """A rule that leads on, and what it still lacks."""

    rule_id: str
    to_stage: str
    mode: RuleMode
    missing: list[ReasonOut]
    near_misses: list[NearMissOut]


class SyncOut(BaseModel):
    """How the opportunity compares with the CRM: `agreed`, `pending`, `blocked` (the CRM refused) or `quarantined`
    (then `code` and `reason` say why)."""

    state: str = Field(examples=["agreed"])
    base_stage: str
    observed_crm_stage: str
    code: str = ""
    reason: str = ""


class OpportunitySummary(BaseModel):
    """A subject in a list; `opportunity_id` is its id in the CRM, whatever its type."""

    opportunity_id: str
    object_type: str = Field(examples=["opportunity"])
    pipeline_key: str
    pipeline_version: int
    claimed_stage: str
    category: Category | None
    earned_stage: str
    revision: int
    amount: PlainDecimal | None
    currency: str = Field(description="of the amount, ISO 4217; empty in an org of one", examples=["EUR"])
    owner_id: str
    deleted: bool
    on_hold: bool
    stalled_at: datetime | None = Field(description="since when, or from when on, it is stalled if nothing happens")
    quarantine_code: str = Field(description="why it is quarantined; empty when it is not", examples=["UNMAPPED_STAGE"])
    other_pipeline: str = Field(description="that applies to its facts, and says no place for its stage; mostly empty")
    updated_at: datetime


class OpportunityOut(OpportunitySummary):
    """An opportunity: what is claimed, what is earned, and what is missing now."""

    is_closed: bool
    visit_no: int
    visit_opened_at: datetime
    cycle_no: int
    close_date: date | str | None
    override: OverrideOut | None
    scores: dict[str, ScoreOut]
    ways_on: list[WayOut]
    support: Support = Field(description="what the claimed stage rests on")
    criteria: list[CriterionOut]
    milestones: dict[str, MilestoneOut]
    facts: dict[str, FactOut]
    sync: SyncOut
    hold: HoldOut | None
    approval: WaitingOut | None = Field(description="the move that waits for approval")
    proposals: list[ProposedOut] = Field(description="what rules propose")
    timers: list[TimerOut]
    assigned: list[AssignedOut] = Field(description="who was chosen, for each role")
    obligations: list[OwedOut] = Field(description="the newest of each key, and the one before")
    age_business_days: int = Field(description="whole business days in its stage, without the time on hold")
    rotting_at: datetime | None = Field(description="when it has been in its stage for longer than expected")
    inactive_at: datetime | None = Field(description="when it has been without a touch or new evidence for too long")


class ChangeOut(BaseModel):
    """A move, and the visit it opened; `visit_closed_at` null while the opportunity is still there."""

    transition_id: UUID
    opportunity_id: str
    revision: int
    decision_id: UUID
    kind: TransitionKind
    from_stage: str
    to_stage: str
    to_category: Category
    skipped: list[str]
    visit_no: int
    visit_closed_at: datetime | None
    cycle_no: int
    cause: Cause
    rule_id: str
    submission_id: str
    actor: str
    reason_code: str
    earned_stage: str
    pipeline_key: str
    pipeline_version: int
    changed_at: datetime
