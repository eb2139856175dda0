"""Who the caller of a request is among the CRM's users, and whom no token could be matched with."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from fastapi import Request
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from kit.database.people import Match, Matches, PersonClaim, match_person
from kit.database.tables import unmatched_person
from kit.database.unit_of_work import Database
from kit.fairness.shares import Shares
from kit.http.auth import Principal, requires
from kit.http.ownership import READ_ANY
from kit.http.pagination import Page, Paging
from kit.http.web import Uow, router, unavailable_while_it_passes
from kit.settings import ServiceSettings

api = router("people")

_c = unmatched_person.c


class UnmatchedPerson(BaseModel):
    """A caller whose token names no user of the CRM that is known, or several."""

    subject: str = Field(description="the token's `sub`")
    claim: str = Field(description="what the token was matched by: PERSON_CLAIM_IS")
    digest: str = Field(description="of the claim's value, as PersonObserved has it; empty for a token without it")
    first_seen_at: datetime
    last_seen_at: datetime
    count: int = Field(description="how often the person was looked for: at most a few times a minute")


class People:
    """Matches callers to people, for some seconds from memory. Callers who see all opportunities need no match."""

    def __init__(self, settings: ServiceSettings, database: Database, *, notes: bool) -> None:
        self._claim: PersonClaim = settings.person_claim_is
        self._database = database
        self._matches = database.resources.get(Matches)
        self._notes = notes

    async def known(self, request: Request, caller: Principal) -> Principal:
        """The caller as the person that the token names."""
        by_id = self._claim == "crm_id"
        if (by_id and caller.may(READ_ANY)) or not caller.may("opportunities:read"):
            return caller
        # With the subject, so that of several who give the same name each is noted.
        key = f"{caller.identity}\n{caller.subject}"
        held = self._matches.get(caller.tenant_id, key)
        if held is None:
            changes = self._matches.changes
            held = (await self._match(request, caller, caller.person_id if by_id else caller.identity),)
            # People who changed meanwhile may be seen here as they were.
            if self._matches.changes == changes:
                self._matches.put(caller.tenant_id, key, held[0])
        match = held[0]
        if match is None:
            return caller
        return replace(caller, person_id=match.person_id, team=match.team, has_left=not match.active)

    async def _match(self, request: Request, caller: Principal, name: str) -> Match | None:
        shares: Shares = request.app.state.shares
        tenant_id = caller.tenant_id
        with unavailable_while_it_passes(request):
            async with shares.of(tenant_id), self._database.unit_of_work(tenant_id) as uow:
                match = await match_person(uow.session, tenant_id, self._claim, name) if name else None
                if self._notes and match is None and not caller.may(READ_ANY):
                    await _note(uow.session, caller, self._claim)
                elif self._notes and match is not None:
                    await _forget(uow.session, caller)
        return match


async def _note(session: AsyncSession, caller: Principal, claim: str) -> None:
    seen = insert(unmatched_person).values(
        tenant_id=caller.tenant_id, subject=caller.subject, claim=claim, digest=caller.identity, count=1
    )
    changes = {"claim": claim, "digest": caller.identity, "last_seen_at": seen.excluded.last_seen_at}
    again = seen.on_conflict_do_update(index_elements=["tenant_id", "subject"], set_={**changes, "count": _c.count + 1})
    await session.execute(again)


async def _forget(session: AsyncSession, caller: Principal) -> None:
    await session.execute(
        unmatched_person.delete().where(_c.tenant_id == caller.tenant_id, _c.subject == caller.subject)
    )


@api.get("/unmatched-people", dependencies=[requires("people:read")])
async def list_unmatched_people(uow: Uow, paging: Paging) -> Page[UnmatchedPerson]:
    """Reps and managers who called and are no known user of the CRM, by subject: they see nothing of their own. One
    that is matched later leaves the list at the next call."""
    found = await _unmatched(uow.session, paging.after(str) or "", paging.limit + 1)
    return paging.page(found, lambda each: [each.subject], lambda each: each)


async def _unmatched(session: AsyncSession, after: str, limit: int) -> Sequence[UnmatchedPerson]:
    statement = (
        select(*(_c[name] for name in UnmatchedPerson.model_fields))
        .where(_c.subject > after)
        .order_by(_c.subject)
        .limit(limit)
    )
    return [UnmatchedPerson(**row) for row in (await session.execute(statement)).mappings()]
