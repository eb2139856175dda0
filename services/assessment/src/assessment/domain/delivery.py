"""Which assessment an opportunity is due now, and why: a pure reading of stage, versions and evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from assessment.domain.capture import Visit, is_closed, visit_of
from assessment.domain.outcome import Attempt, Criterion, Standing, StandingKind, standing_of


class NextReason(StrEnum):
    """Why this assessment is due, or why none is."""

    NOT_STARTED = "not_started"
    RETAKE = "retake"
    WAITING_FOR_DECISION = "waiting_for_decision"
    ALL_PASSED = "all_passed"
    NO_ASSESSMENT_IN_STAGE = "no_assessment_in_stage"
    NOT_PUBLISHED = "not_published"
    OPPORTUNITY_CLOSED = "opportunity_closed"
    OPPORTUNITY_DELETED = "opportunity_deleted"
    STAGE_UNKNOWN = "stage_unknown"
    PIPELINE_UNKNOWN = "pipeline_unknown"


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a published pipeline; category is open, won, lost or abandoned."""

    key: str
    name: str
    category: str
    assessment_keys: tuple[str, ...]
    entry: tuple[Criterion, ...] = ()
    exit: tuple[Criterion, ...] = ()


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A published pipeline version: its stages by key, and the versions of assessments that were released with it."""

    stages: Mapping[str, Stage]
    assessment_versions: Mapping[str, int]


NOT_HERE = Pipeline({}, {})


@dataclass(frozen=True, slots=True)
class Available:
    """The newest published version of an assessment that is not retired."""

    assessment_key: str
    version: int
    title: str
    definition_hash: str


@dataclass(frozen=True, slots=True)
class WaitingMove:
    """A move that waits for approval."""

    approval_id: str
    to_stage: str
    asked_by: str
    needed: int
    approved_by: tuple[str, ...]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ProposedMove:
    """A move that a rule proposes."""

    proposal_id: str
    rule_id: str
    to_stage: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for people: a move that has to be approved, and what rules propose."""

    approval: WaitingMove | None = None
    proposals: tuple[ProposedMove, ...] = ()


@dataclass(frozen=True, slots=True)
class Opportunity:
    """What the replica holds of an opportunity: the CRM's side, the stage engine's and the recommender's. Each side is
    empty until its service has spoken."""

    opportunity_id: str
    deleted: bool
    owner_id: str | None = None
    amount: Decimal | None = None
    pipeline_key: str | None = None
    pipeline_version: int | None = None
    stage_key: str | None = None
    stage_category: str | None = None
    visit_no: int | None = None
    recommended_stage: str | None = None
    abstention_code: str | None = None
    probability: float | None = None
    support: int | None = None
    recommended_at: datetime | None = None
    waiting: Waiting | None = None

    @property
    def visit(self) -> Visit | None:
        """The current visit; None until the stage engine has placed the opportunity."""
        return visit_of(self.stage_key, self.visit_no)

    @property
    def pipeline(self) -> tuple[str, int] | None:
        """The key and the version of the pipeline that it is pinned to."""
        if self.pipeline_key is None or self.pipeline_version is None:
            return None
        return self.pipeline_key, self.pipeline_version

    @property
    def closed(self) -> bool:
        """Whether it is in a stage that ends it."""
        return is_closed(self.stage_category)


@dataclass(frozen=True, slots=True)
class Due:
    """The assessment to answer now, pinned: all of it is sent back with the answers."""

    assessment: Available
    visit: Visit
    attempt_no: int


@dataclass(frozen=True, slots=True)
class NextAssessment:
    """The answer to "which assessment now?": one due or none, always with its reason and every standing."""

    reason: NextReason
    message: str
    due: Due | None
    stage: Stage | None
    standings: tuple[Standing, ...]


def startable(
    pipeline: Pipeline, newest: Mapping[str, Available], released: Mapping[tuple[str, int], Available]
) -> dict[str, Available]:
    """What may be started of each assessment in a pipeline version: what was released with it, or else the newest."""
    found = {key: each for key, each in newest.items() if key not in pipeline.assessment_versions}
    pinned = (released.get(pair) for pair in pipeline.assessment_versions.items())
    return found | {each.assessment_key: each for each in pinned if each is not None}


def next_assessment(
    opportunity: Opportunity,
    stage: Stage | None,
    available: Mapping[str, Available],
    attempts: Sequence[Attempt],
) -> NextAssessment:
    """Choose what is due: the first assessment of the stage not yet started, else the first to retake.

    stage is None when the pinned pipeline version is not known here or lacks the stage; attempts are those of
    this opportunity, of any visit.
    """
    visit = opportunity.visit
    if visit is None or stage is None or opportunity.closed or opportunity.deleted or not stage.assessment_keys:
        reason, message = _unassessable(opportunity, stage)
        return NextAssessment(reason, message, None, stage, ())
    standings = tuple(standing_of(key, visit, attempts) for key in stage.assessment_keys)
    startable = [standing for standing in standings if standing.assessment_key in available]
    for kind, reason, words in _DUE:
        for standing in startable:
            if standing.kind is kind:
                chosen = available[standing.assessment_key]
                message = words.format(title=chosen.title, stage=stage.name, why=standing.why)
                due = Due(chosen, visit, _next_attempt(chosen.assessment_key, attempts))
                return NextAssessment(reason, message, due, stage, standings)
    reason, message = _nothing_due(stage, standings)
    return NextAssessment(reason, message, None, stage, standings)


_DUE = (
    (StandingKind.NOT_STARTED, NextReason.NOT_STARTED, "{title} counts in {stage} and was not answered yet."),
    (StandingKind.FAILED, NextReason.RETAKE, "{title} did not pass: {why}. It may be answered again."),
)


def _unassessable(opportunity: Opportunity, stage: Stage | None) -> tuple[NextReason, str]:
    if opportunity.deleted:
        return NextReason.OPPORTUNITY_DELETED, "The opportunity was deleted in the CRM."
    if opportunity.visit is None:
        return NextReason.STAGE_UNKNOWN, "The stage engine has not placed this opportunity in a stage yet."
    if opportunity.closed:
        return NextReason.OPPORTUNITY_CLOSED, "The opportunity is closed; nothing is left to assess."
    if stage is None:
        return NextReason.PIPELINE_UNKNOWN, f"The pipeline version of stage {opportunity.stage_key} is not here yet."
    return NextReason.NO_ASSESSMENT_IN_STAGE, f"No assessment counts in {stage.name}."


def _nothing_due(stage: Stage, standings: Sequence[Standing]) -> tuple[NextReason, str]:
    kinds = {standing.kind for standing in standings}
    if StandingKind.PENDING in kinds:
        return NextReason.WAITING_FOR_DECISION, "The answers are in; their decision is on its way."
    if kinds == {StandingKind.PASSED}:
        return NextReason.ALL_PASSED, (
            f"Every assessment of {stage.name} has passed in this visit. What else it asks for is among the next steps."
        )
    return NextReason.NOT_PUBLISHED, f"What is left to answer in {stage.name} has no published version with points yet."


def _next_attempt(assessment_key: str, attempts: Sequence[Attempt]) -> int:
    """Attempts at one assessment are counted over all visits, so that a late one never outranks a newer one."""
    return 1 + max((a.attempt_no for a in attempts if a.assessment_key == assessment_key), default=0)
