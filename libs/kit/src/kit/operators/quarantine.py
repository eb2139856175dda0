"""What operators do about events that the broker refuses: see them, send them again, or dismiss them."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Path, Query, Request
from pydantic import BaseModel, Field

from kit.http.auth import Caller, requires
from kit.http.pagination import Page, Paging
from kit.http.problems import ConflictProblem, NotFoundProblem
from kit.http.web import Uow, router
from kit.operators import audit
from kit.operators.dead_letters import Dismissal
from kit.relay import quarantine

api = router("operations")
Position = Annotated[int, Path(ge=1, lt=2**63, description="as the list gives it", examples=[1])]


class QuarantinedEvent(BaseModel):
    """An event that was not sent, without its payload."""

    position: int
    event_id: UUID
    topic: str
    key: str
    whole_topic: bool = Field(description="all later events of the topic wait behind it, and not only those of its key")
    code: str = Field(description="`behind`: nothing is wrong with it, but one before it was refused")
    detail: str
    created_at: datetime
    quarantined_at: datetime
    dismissed_at: datetime | None


class SentAgain(BaseModel):
    """How many events leave quarantine together."""

    events: int


@api.get("/quarantined-events", dependencies=[requires("dead-letters:read")])
async def list_quarantined_events(
    uow: Uow, paging: Paging, dismissed: Annotated[bool, Query(description="also those dismissed")] = False
) -> Page[QuarantinedEvent]:
    """Events of this service that the broker refused, and those that wait behind them, in their order."""
    found = await quarantine.list_quarantined(uow.session, paging.after(int), paging.limit + 1, dismissed=dismissed)
    return paging.page(found, lambda event: [event.position], lambda event: QuarantinedEvent(**asdict(event)))


@api.post("/quarantined-events/{position}/replay", dependencies=[requires("dead-letters:write")])
async def replay_quarantined_event(position: Position, uow: Uow, caller: Caller, request: Request) -> SentAgain:
    """Send the event again after its cause was removed, with all that waits before and behind it: those of its key, or
    all of its topic where the whole topic was refused. What is refused again comes back here."""
    count = await quarantine.send_again(uow.session, uow.tenant_id, position)
    if not count:
        raise await _not_waiting(uow, position)
    await audit.record(uow, caller, "quarantined-event.replayed", str(position), events=count)
    uow.after_commit(request.app.state.runtime.relay.wake)
    return SentAgain(events=count)


@api.post("/quarantined-events/{position}/dismiss", dependencies=[requires("dead-letters:write")])
async def dismiss_quarantined_event(
    position: Position, dismissal: Dismissal, uow: Uow, caller: Caller
) -> dict[str, str]:
    """Never send this event. It is kept; those behind it wait until one of them is replayed."""
    if not await quarantine.dismiss(uow.session, position):
        raise await _not_waiting(uow, position)
    await audit.record(uow, caller, "quarantined-event.dismissed", str(position), reason=dismissal.reason)
    return {"status": "dismissed"}


async def _not_waiting(uow: Uow, position: int) -> NotFoundProblem | ConflictProblem:
    if await quarantine.find_quarantined(uow.session, position) is None:
        return NotFoundProblem(f"There is no quarantined event {position}.")
    return ConflictProblem(f"The quarantined event {position} was dismissed.", code="quarantined_event_dismissed")
