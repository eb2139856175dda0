"""What the engine knows of one opportunity. A value: every change makes a new one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from stage_engine.domain.facts import AMOUNT, CLOSE_DATE, OWNER, Facts, score_fact
from stage_engine.domain.grammar import Literal
from stage_engine.domain.value import value


@value
class Score:
    """The evidence in force of one assessment. `lost` are the questions that lost points, most first."""

    score: Decimal
    submission_id: str
    stage_key: str
    visit_no: int
    attempt_no: int
    received_at: datetime
    profile_version: int
    captured_at: datetime
    submitted_by: str
    lost: tuple[tuple[str, Decimal], ...]

    @property
    def order(self) -> tuple[int, int, datetime, int]:
        """Later evidence is greater: a later visit, then the attempt, then when it arrived, then a newer scoring of
        the same answers. Device clocks have no say."""
        return (self.visit_no, self.attempt_no, self.received_at, self.profile_version)


@value
class Override:
    """A person put the opportunity where the evidence did not. Until it ends, automation moves nothing on evidence
    captured before `at`."""

    stage_key: str
    at: datetime
    actor: str
    role: str
    reason_code: str
    text: str
    expires_at: datetime | None


@value
class SyncError:
    """The CRM refused the write of this revision, and only a person can resolve it."""

    revision: int
    stage_key: str
    code: str
    reason: str
    at: datetime


@value
class LastObservation:
    """The newest observation of the opportunity whose place in the order of all reports of the CRM is known."""

    number: int
    stage_key: str
    crm_stage: str
    changed_by: str
    committed_at: datetime


@dataclass(frozen=True)
class Opportunity:
    """One opportunity in its pipeline version.

    `stage_key` is what is claimed, `earned_stage` what the evidence alone supports, `base_stage` what was last agreed
    with the CRM (at `base_revision`), `observed_stage` the CRM's own name of the stage it last showed. `in_flight` are
    writes to the CRM not yet confirmed. An empty `stage_key` means that the CRM has only shown the opportunity in a
    stage that is not mapped. `amount_counts` says whether the amount is in the currency of the pipeline. Visits and
    revisions count from 1, decisions too.
    """

    opportunity_id: str
    pipeline_key: str
    pipeline_version: int
    stage_key: str
    earned_stage: str
    base_stage: str
    base_revision: int
    observed_stage: str
    visit_no: int
    visit_opened_at: datetime
    cycle_no: int
    revision: int
    decision_no: int
    quarantined: bool
    deleted: bool
    amount: Decimal | None
    close_date: str
    owner_id: str
    override: Override | None
    scores: Mapping[str, Score]
    in_flight: tuple[tuple[int, str], ...]
    sync_error: SyncError | None
    last_observation: LastObservation | None = None
    currency: str = ""
    amount_counts: bool = True
    # Keys that the stage of this visit had in versions before: evidence captured under them is of this visit.
    visit_keys: tuple[str, ...] = ()
    # The revision that the last migration made, and the version it came from: what was agreed before names that one's
    # stages.
    migrated_at: int = 0
    migrated_from: int = 0

    @property
    def base_version(self) -> int:
        """The version whose stage the base is."""
        return self.migrated_from if self.base_revision < self.migrated_at else self.pipeline_version

    def changed(self, **changes: Any) -> "Opportunity":
        """A copy with these fields changed. `dataclasses.replace` sets all 23 fields one by one, which costs as much as
        the rest of a decision's bookkeeping."""
        copy = object.__new__(Opportunity)
        object.__setattr__(copy, "__dict__", self.__dict__ | changes)
        return copy


def is_current(opportunity: Opportunity, stage_key: str, visit_no: int) -> bool:
    """Whether evidence of this visit is evidence of the present: the one test of that."""
    if visit_no != opportunity.visit_no:
        return False
    return stage_key == opportunity.stage_key or stage_key in opportunity.visit_keys


def facts_of(opportunity: Opportunity, assessment_keys: tuple[str, ...], *, of_any_visit: bool = False) -> Facts:
    """What is known about the opportunity: its own facts, and the scores of these assessments captured in the current
    visit (or the latest of any visit)."""
    facts: dict[str, Literal] = {}
    if opportunity.amount is not None and opportunity.amount_counts:
        facts[AMOUNT] = opportunity.amount
    if opportunity.close_date:
        facts[CLOSE_DATE] = opportunity.close_date
    if opportunity.owner_id:
        facts[OWNER] = opportunity.owner_id
    for key in assessment_keys:
        score = opportunity.scores.get(key)
        if score is not None and (of_any_visit or is_current(opportunity, score.stage_key, score.visit_no)):
            facts[score_fact(key)] = score.score
    return facts
