"""What the CRM reports of our writes. No decision: nothing about the deal itself changes."""

from datetime import datetime

from stage_engine.domain.state import Instance, SyncError


def write_confirmed(instance: Instance, revision: int, stage_key: str) -> Instance:
    """The CRM holds the stage of this revision. A report older than what was agreed since changes nothing."""
    if not stage_key or not instance.base_revision < revision <= instance.revision:
        return instance
    error = instance.sync_error
    return instance._replace(
        base_stage=stage_key,
        base_revision=revision,
        in_flight=tuple(w for w in instance.in_flight if w[0] > revision),
        sync_error=None if error is not None and error.revision <= revision else error,
    )


def write_parked(instance: Instance, revision: int, stage_key: str, code: str, reason: str, at: datetime) -> Instance:
    """The CRM refused the stage of this revision for good."""
    if not stage_key or not instance.base_revision < revision <= instance.revision:
        return instance
    return instance._replace(
        in_flight=tuple(w for w in instance.in_flight if w[0] != revision),
        sync_error=SyncError(revision, stage_key, code, reason, at),
    )
