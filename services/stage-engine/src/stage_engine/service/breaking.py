"""Watching how much rules move, and opening the breaker of a pipeline where that is abnormal."""

import logging
from datetime import datetime

from kit.database.unit_of_work import UnitOfWork
from kit.ids import utc_now

from stage_engine import telemetry
from stage_engine.domain.breaker import Breaker, length_of, opens
from stage_engine.domain.modes import BREAKER, Switch, Switching, modes_at
from stage_engine.repository.modes import ModeRepository
from stage_engine.repository.pipelines import PipelineRepository

log = logging.getLogger(__name__)

BY_ITSELF = "stage-engine"


class BreakerWatch:
    """The pipelines in which rules moved something lately, and their breakers."""

    def __init__(self) -> None:
        self._moved: dict[tuple[str, str], Breaker] = {}

    def note(self, tenant_id: str, pipeline_key: str, breaker: Breaker) -> None:
        """A rule has moved a subject."""
        self._moved[tenant_id, pipeline_key] = breaker

    def take(self) -> dict[tuple[str, str], Breaker]:
        """Those that were noted since the last time."""
        found, self._moved = self._moved, {}
        return found


async def check(uow: UnitOfWork, key: str, breaker: Breaker) -> bool:
    """Open the breaker of a pipeline where rules moved too many; whether it was opened. What was moved before a person
    closed it counts no more."""
    found = await PipelineRepository(uow.session, uow.tenant_id).one(key, for_update=True)
    if found is None:
        return False
    modes = ModeRepository(uow.session, uow.tenant_id)
    history = await modes.history(key, found.modes_revision)
    if modes_at(found.modes_revision, history).breaker_open:
        return False
    now = utc_now()
    start = now - length_of(breaker.window)
    closed = [each.changed_at for each in history if each.switch is Switch.BREAKER_CLOSED]
    recent = await modes.moved_by_rules(key, max([start, *closed]), now)
    if recent < breaker.at_least:
        return False
    trailing = await modes.moved_by_rules(key, start - length_of(breaker.trailing), start)
    if not opens(breaker, recent, trailing):
        return False
    await modes.add(key, opened(found.modes_revision + 1, breaker, recent, trailing, now))
    uow.after_commit(telemetry.BREAKERS_OPENED.inc)
    log.error("the breaker of %s of %s is open: rules moved %d within %s", key, uow.tenant_id, recent, breaker.window)
    return True


def opened(revision: int, breaker: Breaker, recent: int, trailing: int, at: datetime) -> Switching:
    """The entry of the history that says why it is open."""
    reason = f"Rules moved {recent} within {breaker.window}, after {trailing} within {breaker.trailing}."
    return Switching(revision, BREAKER, Switch.BREAKER_OPEN, reason, at, BY_ITSELF)
