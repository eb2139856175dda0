"""What the CRM reports of our writes. No decision: nothing about the opportunity itself changes. Reports and
observations come on two topics, so either may overtake the other; their numbers say which was first."""

from dataclasses import dataclass
from datetime import datetime

from stage_engine.domain.inputs import Observation, Occasion
from stage_engine.domain.opportunity import Opportunity, SyncError


@dataclass(frozen=True, slots=True)
class ConfirmedWrite:
    """The CRM holds the stage of this revision. `number` places the report among all reports about the opportunity."""

    write_id: str
    opportunity_id: str
    revision: int
    stage_key: str
    number: int
    at: datetime


@dataclass(frozen=True, slots=True)
class ParkedWrite:
    """The CRM refused the stage of this revision for good."""

    opportunity_id: str
    revision: int
    stage_key: str
    code: str
    reason: str
    at: datetime


def write_confirmed(opportunity: Opportunity, write: ConfirmedWrite) -> Opportunity:
    """A report older than what was agreed since changes nothing. One that is newer than the edit that was agreed to
    says that our write went over that edit."""
    if not write.stage_key or write.revision > opportunity.revision:
        return opportunity
    last = opportunity.last_observation
    newer = last is not None and write.number > last.number
    # An edit that was written back made no revision: the write has that of the base.
    ours = (write.revision, write.stage_key) in opportunity.in_flight and (newer or not write.number)
    if write.revision <= opportunity.base_revision and not ours:
        return opportunity.changed(base_stage=write.stage_key) if newer else opportunity
    error = opportunity.sync_error
    return opportunity.changed(
        base_stage=write.stage_key,
        base_revision=write.revision,
        in_flight=tuple(w for w in opportunity.in_flight if w[0] > write.revision),
        sync_error=None if error is not None and error.revision <= write.revision else error,
    )


def left_unreconciled(opportunity: Opportunity, write: ConfirmedWrite) -> Observation | None:
    """What the CRM shows after this confirmed write, where that is not the opportunity's stage and nothing on its way
    will change it: an edit that was observed before the write it followed, or a write that went over an edit."""
    last = opportunity.last_observation
    waits = opportunity.in_flight or opportunity.sync_error or opportunity.deleted or opportunity.quarantined
    if waits or not write.stage_key or last is None or write.revision > opportunity.revision:
        return None
    edited_since = last.number > write.number
    shown = last.stage_key if edited_since else write.stage_key
    if shown == opportunity.stage_key:
        return None
    return Observation(
        change_id=f"confirmed:{write.write_id}",
        opportunity_id=opportunity.opportunity_id,
        occasion=Occasion.CONFLICT,
        stage_key=shown,
        crm_stage=last.crm_stage if edited_since else opportunity.observed_stage,
        amount=opportunity.amount,
        close_date=opportunity.close_date,
        owner_id=opportunity.owner_id,
        changed_by=last.changed_by if edited_since else "",
        committed_at=last.committed_at if edited_since else write.at,
        number=max(write.number, last.number),
        currency=opportunity.currency,
        account_id=opportunity.account_id,
        account_type=opportunity.account_type,
    )


def write_parked(opportunity: Opportunity, write: ParkedWrite) -> Opportunity:
    """The opportunity shows the refusal until a later write is confirmed."""
    if not write.stage_key or not opportunity.base_revision < write.revision <= opportunity.revision:
        return opportunity
    return opportunity.changed(
        in_flight=tuple(w for w in opportunity.in_flight if w[0] != write.revision),
        sync_error=SyncError(write.revision, write.stage_key, write.code, write.reason, write.at),
    )
