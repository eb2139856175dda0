"""What the engine knows of one deal. A value: every change makes a new one."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from stage_engine.domain.evaluate import Facts
from stage_engine.domain.grammar import Literal

AMOUNT = "opportunity.amount"
CLOSE_DATE = "opportunity.close_date"
OWNER = "opportunity.owner_id"
OPPORTUNITY_FACTS = (AMOUNT, CLOSE_DATE, OWNER)


def score_fact(assessment_key: str) -> str:
    """The fact that holds an assessment's score."""
    return f"{assessment_key}.score"


class Score(NamedTuple):
    """The evidence in force of one assessment. `lost` are the questions that lost points, most first."""

    score: Decimal
    submission_id: str
    visit_no: int
    attempt_no: int
    received_at: datetime
    profile_version: int
    captured_at: datetime
    lost: tuple[tuple[str, Decimal], ...]

    @property
    def order(self) -> tuple[int, int, datetime, int]:
        """Later evidence is greater: a later visit, then the attempt, then when it arrived, then a newer scoring of
        the same answers. Device clocks have no say."""
        return (self.visit_no, self.attempt_no, self.received_at, self.profile_version)


class Override(NamedTuple):
    """A person put the deal where the evidence did not. While it stands, automation moves nothing on evidence captured
    before `at`."""

    stage_key: str
    at: datetime
    actor: str
    role: str
    reason_code: str
    text: str
    expires_at: datetime | None


class SyncError(NamedTuple):
    """The CRM refused the write of this revision, and only a person can mend it."""

    revision: int
    stage_key: str
    code: str
    reason: str
    at: datetime


class LastSeen(NamedTuple):
    """The newest sight of the deal in the CRM whose place in the order of all that was told of it is known."""

    number: int
    stage_key: str
    crm_stage: str
    changed_by: str
    committed_at: datetime


class Instance(NamedTuple):
    """One deal in its pipeline version.

    `stage_key` is what is claimed, `earned_stage` what the evidence alone supports, `base_stage` what was last agreed
    with the CRM (at `base_revision`), `observed_stage` the CRM's own name of the stage it last showed. `in_flight` are
    writes to the CRM not yet confirmed. An empty `stage_key` means that the deal has only been seen in a stage that is
    not mapped. Visits and revisions count from 1, decisions too.
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
    last_seen: LastSeen | None = None

    def changed(self, **changes: Any) -> "Instance":
        """What `_replace` does, in half the time."""
        values = list(self)
        for name, value in changes.items():
            values[_PLACES[name]] = value
        return Instance._make(values)


_PLACES = {name: place for place, name in enumerate(Instance._fields)}


def facts_of(instance: Instance, assessment_keys: tuple[str, ...], *, of_any_visit: bool = False) -> Facts:
    """What is known about the deal: its own facts, and the scores of these assessments captured in the current visit
    (or the latest of any visit)."""
    facts: dict[str, Literal] = {}
    if instance.amount is not None:
        facts[AMOUNT] = instance.amount
    if instance.close_date:
        facts[CLOSE_DATE] = instance.close_date
    if instance.owner_id:
        facts[OWNER] = instance.owner_id
    for key in assessment_keys:
        score = instance.scores.get(key)
        if score is not None and (of_any_visit or score.visit_no == instance.visit_no):
            facts[score_fact(key)] = score.score
    return facts
