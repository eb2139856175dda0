"""Inputs that came before their subject was observed."""

from collections.abc import Iterable
from typing import Any

from kit.aside.parking import Early, park
from kit.contracts.events import Received
from kit.database.unit_of_work import UnitOfWork

from stage_engine.settings import Settings
from stage_engine.telemetry import EVENTS_PARKED


async def let_wait(uow: UnitOfWork, kind: str, early: Iterable[tuple[Received[Any], str]], code: str) -> None:
    """Keep these events, each with the id of the subject that it waits for, up to the tenant's limit. What is beyond
    that is rejected with the code."""
    found = [Early(event, str(event.id), subject_id) for event, subject_id in early]
    if found:
        number = await park(uow, kind, found, uow.resources.get(Settings).parked_submission_limit, code)
        uow.after_commit(lambda: EVENTS_PARKED.labels(kind).inc(number))
