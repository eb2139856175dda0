"""What the CRM reports of our writes. No decision: nothing about the deal itself changes. Reports and sights come on
two topics, so either may overtake the other; their numbers tell which was first."""

from datetime import datetime

from stage_engine.domain.inputs import Observation, Sight
from stage_engine.domain.state import Instance, SyncError


def write_confirmed(instance: Instance, revision: int, stage_key: str, number: int = 0) -> Instance:
    """The CRM holds the stage of this revision. A report older than what was agreed since changes nothing, but one that
    is newer than the edit that was agreed to tells that our write went over it."""
    if not stage_key or revision > instance.revision:
        return instance
    if revision <= instance.base_revision:
        last = instance.last_seen
        return instance._replace(base_stage=stage_key) if last is not None and number > last.number else instance
    error = instance.sync_error
    return instance._replace(
        base_stage=stage_key,
        base_revision=revision,
        in_flight=tuple(w for w in instance.in_flight if w[0] > revision),
        sync_error=None if error is not None and error.revision <= revision else error,
    )


def unanswered(
    instance: Instance, write_id: str, revision: int, stage_key: str, number: int, at: datetime
) -> Observation | None:
    """What the CRM shows after this confirmed write, where that is not the deal's stage and nothing on its way will
    change it: an edit that was seen before the write it followed, or a write that went over an edit."""
    last = instance.last_seen
    settled = not (instance.in_flight or instance.sync_error or instance.deleted or instance.quarantined)
    if not (settled and stage_key and last is not None and revision <= instance.revision):
        return None
    edited_since = last.number > number
    shown = last.stage_key if edited_since else stage_key
    if shown == instance.stage_key:
        return None
    return Observation(
        change_id=f"confirmed:{write_id}",
        opportunity_id=instance.opportunity_id,
        sight=Sight.CONFLICT,
        pipeline_key="",
        stage_key=shown,
        crm_stage=last.crm_stage if edited_since else instance.observed_stage,
        amount=instance.amount,
        close_date=instance.close_date,
        owner_id=instance.owner_id,
        changed_by=last.changed_by if edited_since else "",
        committed_at=last.committed_at if edited_since else at,
        number=max(number, last.number),
    )


def write_parked(instance: Instance, revision: int, stage_key: str, code: str, reason: str, at: datetime) -> Instance:
    """The CRM refused the stage of this revision for good."""
    if not stage_key or not instance.base_revision < revision <= instance.revision:
        return instance
    return instance._replace(
        in_flight=tuple(w for w in instance.in_flight if w[0] != revision),
        sync_error=SyncError(revision, stage_key, code, reason, at),
    )
