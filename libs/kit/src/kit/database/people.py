"""People, as the CRM's users: who they are, whether they are still there, and who reports to whom."""

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from kit.database import bulk
from kit.database.rows import columns, records
from kit.database.sets import among
from kit.database.tables import person, team
from kit.database.unit_of_work import UnitOfWork

PersonClaim = Literal["crm_id", "federation_id", "username", "email"]

# Reports of reports, so many times over: more than any company has, and the end of a cycle.
DEPTH = 20
_CACHED_SECONDS = 15.0
_CACHED = 10_000
_CACHED_MEMBERS = 500_000

# Beside another one, a transaction would derive teams from managers that it does not see yet.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('people of ' || :tenant_id, 0))")
# Those who reported to them before, and they themselves.
_AFFECTED = text(
    "SELECT DISTINCT person_id FROM team WHERE tenant_id = :tenant_id AND manager_id = ANY(:changed)"
    " UNION SELECT unnest(CAST(:changed AS varchar[]))"
)
_FORGET = text("DELETE FROM team WHERE tenant_id = :tenant_id AND person_id = ANY(:affected)")
_DERIVE = text("""
    WITH RECURSIVE chain (person_id, manager_id, depth) AS (
        SELECT person_id, manager_id, 1
        FROM person
        WHERE tenant_id = :tenant_id AND person_id = ANY(:affected) AND manager_id <> ''
        UNION
        SELECT chain.person_id, person.manager_id, chain.depth + 1
        FROM chain
        JOIN person ON person.tenant_id = :tenant_id AND person.person_id = chain.manager_id
        WHERE person.manager_id <> '' AND person.manager_id <> chain.person_id AND chain.depth < :depth
    )
    INSERT INTO team (tenant_id, manager_id, person_id)
    SELECT DISTINCT CAST(:tenant_id AS varchar), manager_id, person_id
    FROM chain
    WHERE manager_id <> person_id
""")


@dataclass(frozen=True, slots=True)
class PersonRecord:
    """A user of the CRM; the names of a token are digests, empty for what the CRM does not hold."""

    person_id: str
    active: bool
    manager_id: str
    federation_id: str
    username: str
    email: str
    committed_at: datetime
    observed_no: int


@dataclass(frozen=True, slots=True)
class Match:
    """The person that a token names, and all who report to that person, directly or through others."""

    person_id: str
    active: bool
    team: frozenset[str]


class Matches:
    """What was matched lately, by tenant and by who asked; None for no match."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[str, str], tuple[float, Match | None]] = OrderedDict()
        self._members = 0
        # How often people have changed.
        self.changes = 0

    def get(self, tenant_id: str, name: str) -> tuple[Match | None] | None:
        """The match, in a tuple; None when it is not known any more."""
        held = self._held.get((tenant_id, name))
        return (held[1],) if held is not None and held[0] > time.monotonic() else None

    def put(self, tenant_id: str, name: str, match: Match | None) -> None:
        """Keep it for some seconds, unless others need the place."""
        self._drop((tenant_id, name))
        self._held[tenant_id, name] = time.monotonic() + _CACHED_SECONDS, match
        self._members += len(match.team) if match else 0
        while len(self._held) > _CACHED or (self._members > _CACHED_MEMBERS and len(self._held) > 1):
            self._drop(next(iter(self._held)))

    def forget(self, tenant_id: str) -> None:
        """People of this tenant have changed."""
        self.changes += 1
        for key in [key for key in self._held if key[0] == tenant_id]:
            self._drop(key)

    def _drop(self, key: tuple[str, str]) -> None:
        _, match = self._held.pop(key, (0.0, None))
        self._members -= len(match.team) if match else 0


async def keep_people(uow: UnitOfWork, found: Sequence[PersonRecord]) -> None:
    """Keep the newest state of each person, and derive the teams of those whose manager changed."""
    newest: dict[str, PersonRecord] = {}
    for each in sorted(found, key=lambda each: each.observed_no):
        newest[each.person_id] = each
    if not newest:
        return
    tenant = {"tenant_id": uow.tenant_id}
    await uow.session.execute(_LOCK, tenant)
    before = await _managers(uow, list(newest))
    names = ("active", "manager_id", "federation_id", "username", "email", "committed_at", "observed_no")
    conflict = bulk.replace(person, *names, newer="observed_no")
    rows = [newest[key] for key in sorted(newest)]
    await bulk.insert(uow.session, person, uow.tenant_id, rows, conflict=conflict)
    after = await _managers(uow, list(newest))
    changed = [key for key in after if before.get(key, "") != after[key]]
    if changed:
        affected = list((await uow.session.execute(_AFFECTED, {**tenant, "changed": changed})).scalars())
        await uow.session.execute(_FORGET, {**tenant, "affected": affected})
        await uow.session.execute(_DERIVE, {**tenant, "affected": affected, "depth": DEPTH})
    uow.after_commit(lambda: uow.resources.get(Matches).forget(uow.tenant_id))


async def people_of(uow: UnitOfWork, person_ids: Sequence[str]) -> dict[str, PersonRecord]:
    """Those of these people who are known."""
    statement = select(*columns(person, PersonRecord)).where(
        person.c.tenant_id == uow.tenant_id, among(person.c.person_id, person_ids)
    )
    return {each.person_id: each for each in await records(uow.session, statement, PersonRecord)}


async def _managers(uow: UnitOfWork, person_ids: Sequence[str]) -> dict[str, str]:
    statement = select(person.c.person_id, person.c.manager_id).where(
        person.c.tenant_id == uow.tenant_id, among(person.c.person_id, person_ids)
    )
    return {row.person_id: row.manager_id for row in await uow.session.execute(statement)}


async def match_person(session: AsyncSession, tenant_id: str, claim: PersonClaim, value: str) -> Match | None:
    """The person whose id this is, or whose name has this digest. One who has left counts only where no other person
    has it; two who have it are no match: nothing says which of them it is."""
    column = person.c.person_id if claim == "crm_id" else person.c[claim]
    members = (
        select(func.coalesce(func.array_agg(team.c.person_id), text("'{}'")))
        .where(team.c.tenant_id == tenant_id, team.c.manager_id == person.c.person_id)
        .scalar_subquery()
    )
    statement = (
        select(person.c.person_id, person.c.active, members.label("members"))
        .where(person.c.tenant_id == tenant_id, column == value)
        .order_by(person.c.active.desc())
        .limit(2)
    )
    found = (await session.execute(statement)).all()
    if not found or (len(found) == 2 and found[0].active == found[1].active):
        return None
    return Match(found[0].person_id, found[0].active, frozenset(found[0].members))
