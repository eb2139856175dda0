"""What a person does with the events that a service set aside: look at them, replay them, dismiss them."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement

from kit.aside.replay import (
    DeadLetterRecord,
    Dismissed,
    dead_letter,
    dismiss_all,
    dismiss_dead_letter,
    first_of_key,
    list_dead_letters,
    retry_all,
    retry_next,
    take_dead_letter,
    tenants_with_dead_letters,
)
from kit.database.tables import dead_letter as letters
from kit.database.unit_of_work import UnitOfWork
from kit.errors import InvalidEvent, RetryableError
from kit.http.auth import Caller, requires
from kit.http.pagination import Page, Paging
from kit.http.problems import ConflictProblem, ForbiddenProblem, NotFoundProblem, UnavailableProblem
from kit.http.web import router, unavailable_while_it_passes, unit_of_work
from kit.operators import audit as audit_log

_ALL = "dead-letters:all"

api = router("operations")


class DeadLetter(BaseModel):
    """An event put aside, without its payload."""

    model_config = ConfigDict(from_attributes=True)

    dead_letter_id: UUID
    topic: str
    partition: int
    offset: int
    key: str
    code: str
    detail: str
    attempts: int
    holds: bool = Field(description="whether later events of the same topic and key wait behind it")
    at: datetime
    retry_at: datetime | None = Field(description="when it is handled again by itself; null when a person decides")
    replayed_at: datetime | None
    dismissed_at: datetime | None


class Selection(BaseModel):
    """Which dead letters of the tenant: all that wait, or those of a topic, a key or a code."""

    topic: str | None = Field(default=None, max_length=300, examples=["stagecraft.crm.observed.v1"])
    key: str | None = Field(default=None, max_length=300, examples=["006Qy00000AbCdEIAV"])
    code: str | None = Field(default=None, max_length=100, examples=["missing_field"])

    def conditions(self) -> list[ColumnElement[bool]]:
        """As SQL."""
        given = {"topic": self.topic, "key": self.key, "code": self.code}
        return [letters.c[name] == value for name, value in given.items() if value is not None]


class Dismissals(Selection):
    """Which dead letters will never be handled, and why."""

    reason: str = Field(min_length=1, max_length=500, examples=["The record was deleted in the CRM."])


class Affected(BaseModel):
    """How many dead letters a request concerned."""

    count: int


class Dismissal(BaseModel):
    """Why an event will never be handled."""

    reason: str = Field(min_length=1, max_length=500, examples=["The record was deleted in the CRM."])


class TenantLetters(BaseModel):
    """How many dead letters of one tenant wait."""

    tenant_id: str
    waiting: int


async def _of_tenant(
    request: Request,
    caller: Caller,
    tenant_id: Annotated[
        str | None,
        Query(
            max_length=300,
            description="whose dead letters; another tenant's, or `-` for those of no readable tenant, need the scope "
            "dead-letters:all",
        ),
    ] = None,
) -> AsyncIterator[UnitOfWork]:
    if tenant_id is not None and tenant_id != caller.tenant_id and not caller.may(_ALL):
        raise ForbiddenProblem(f"the scope {_ALL} is needed", code="missing_scope", extra={"scope": _ALL})
    async with unit_of_work(request, caller, tenant_id or caller.tenant_id) as uow:
        yield uow


# The transaction of the tenant whose dead letters are asked for.
_LettersUow = Annotated[UnitOfWork, Depends(_of_tenant, scope="function")]


@api.get("/dead-letter-tenants", dependencies=[requires(_ALL)])
async def list_tenants_with_dead_letters(request: Request) -> list[TenantLetters]:
    """Every tenant whose dead letters wait, most first, and `-` for those of no readable tenant; the first thousand."""
    with unavailable_while_it_passes(request):
        found = await tenants_with_dead_letters(request.app.state.database, 1000)
    return [TenantLetters(tenant_id=tenant_id, waiting=waiting) for tenant_id, waiting in found]


@api.get("/dead-letters", dependencies=[requires("dead-letters:read")])
async def list_the_dead_letters(
    uow: _LettersUow,
    paging: Paging,
    settled: Annotated[bool, Query(description="also those replayed or dismissed")] = False,
    code: Annotated[str | None, Query(max_length=100, description="only those with this code")] = None,
) -> Page[DeadLetter]:
    """Events that could not be handled, with their origin and the reason."""
    after = paging.after(UUID)
    found = await list_dead_letters(uow.session, after, paging.limit + 1, settled=settled, code=code)
    return paging.page(found, lambda row: [row.dead_letter_id], DeadLetter.model_validate)


@api.post("/dead-letters/replay", status_code=202, dependencies=[requires("dead-letters:write")])
async def replay_the_dead_letters(selection: Selection, uow: _LettersUow, caller: Caller) -> Affected:
    """Have all that wait handled again soon, each key in its order until one of it fails; the answer counts those that
    come first."""
    count = await retry_all(uow.session, selection.conditions())
    await audit_log.record(uow, caller, "dead-letters.replayed", "", count=count, **selection.model_dump())
    return Affected(count=count)


@api.post("/dead-letters/dismiss", dependencies=[requires("dead-letters:write")])
async def dismiss_the_dead_letters(dismissals: Dismissals, uow: _LettersUow, caller: Caller) -> Affected:
    """Let these wait no longer. What waited behind them is handled now."""
    count = await dismiss_all(uow.session, dismissals.conditions())
    await audit_log.record(uow, caller, "dead-letters.dismissed", "", count=count, **dismissals.model_dump())
    return Affected(count=count)


@api.post("/dead-letters/{dead_letter_id}/replay", dependencies=[requires("dead-letters:write")])
async def replay_the_dead_letter(
    dead_letter_id: UUID, uow: _LettersUow, caller: Caller, request: Request
) -> dict[str, str]:
    """Handle the event again, here and now, after its cause was removed; 409 says what is still wrong with it. What
    waits behind it follows within seconds.

    It does not pass through its topic, which only its writer may write and whose other readers have it already."""
    letter = await dead_letter(uow.session, dead_letter_id)
    if letter is None:
        raise _not_found(dead_letter_id)
    await _is_first(uow, letter)
    event = await take_dead_letter(uow.session, dead_letter_id)
    if event is not None:
        batches = request.app.state.runtime.consumer.batches
        try:
            await batches.replay(uow, event.record, event.partition, event.offset, claimed=not event.holds)
        except InvalidEvent as invalid:
            raise ConflictProblem(str(invalid), code="event_invalid") from invalid
        except RetryableError as passing:
            raise UnavailableProblem(str(passing)) from passing
        await retry_next(uow.session, letter.topic, letter.key)
    await audit_log.record(uow, caller, "dead-letter.replayed", str(dead_letter_id))
    return {"status": "handled"}


async def _is_first(uow: UnitOfWork, letter: DeadLetterRecord) -> None:
    """409 unless it is its turn."""
    if not letter.holds or letter.replayed_at or letter.dismissed_at:
        return
    first = await first_of_key(uow.session, letter.topic, letter.key)
    if first not in (None, letter.dead_letter_id):
        detail = f"The dead letter {first} of the same key comes before it. Replay or dismiss that one first."
        raise ConflictProblem(detail, code="dead_letter_behind")


@api.post("/dead-letters/{dead_letter_id}/dismiss", dependencies=[requires("dead-letters:write")])
async def dismiss_the_dead_letter(
    dead_letter_id: UUID, dismissal: Dismissal, uow: _LettersUow, caller: Caller
) -> dict[str, str]:
    """Let the event wait no longer, for nothing can be made of it. It is kept, and can still be replayed. What waited
    behind it is handled now."""
    outcome = await dismiss_dead_letter(uow.session, dead_letter_id)
    if outcome is Dismissed.NOT_FOUND:
        raise _not_found(dead_letter_id)
    if outcome is Dismissed.SETTLED_BEFORE:
        detail = f"The dead letter {dead_letter_id} was replayed or dismissed before."
        raise ConflictProblem(detail, code="dead_letter_settled")
    await audit_log.record(uow, caller, "dead-letter.dismissed", str(dead_letter_id), reason=dismissal.reason)
    return {"status": "dismissed"}


def _not_found(dead_letter_id: UUID) -> NotFoundProblem:
    return NotFoundProblem(f"There is no dead letter {dead_letter_id}.")
