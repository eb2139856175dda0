"""Events that wait for another one: kept as they came, taken out in the order of arrival when that has come, and set
aside as dead letters when they are too many or it never comes."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from kit.aside.dead_letters import Refused, bounded, reject, set_aside
from kit.contracts.events import Received, Record, decode
from kit.database import bulk, rows, tables
from kit.database.sets import among
from kit.database.unit_of_work import Database, UnitOfWork
from kit.errors import InvalidEvent
from kit.settings import ServiceSettings

AT_ONCE = 500
_PARKED = tables.parked
# An event that is parked again while it is handled out of its turn stays where it is.
_ONCE = "(tenant_id, what, item) DO NOTHING"


@dataclass(frozen=True, slots=True)
class Early:
    """An event that came too early. `item` names it among those of its kind, `waits_for` says what has to come."""

    event: Received[Any]
    item: str
    waits_for: str


@dataclass(frozen=True, slots=True)
class _Row:
    what: str
    item: str
    waits_for: str
    topic: str
    partition: int
    offset: int
    key: str
    value: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Kept:
    position: int
    topic: str
    partition: int
    offset: int
    key: str
    value: bytes
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def record(self) -> Record:
        return Record(self.topic, self.key, self.value, self.headers)


async def park(uow: UnitOfWork, what: str, early: Sequence[Early], limit: int, code: str) -> int:
    """Keep these in their order, up to `limit` for the tenant and to the setting for each key. What is beyond that is
    rejected with this code. How many are kept."""
    if not early:
        return 0
    each_key = uow.resources.get(ServiceSettings).parked_limit_per_key
    room = limit - await _count(uow.session, what, limit)
    by_key = Counter(await _counts(uow.session, what, {e.event.record.key for e in early}))
    kept: list[Early] = []
    refused: list[Received[Any]] = []
    for each in early:
        key = each.event.record.key
        if len(kept) < room and by_key[key] < each_key:
            by_key[key] += 1
            kept.append(each)
        else:
            refused.append(each.event)
    found = [_row(what, each) for each in kept]
    await bulk.insert(uow.session, _PARKED, uow.tenant_id, found, conflict=_ONCE)
    words = f"{limit} events of the tenant or {each_key} of its key wait already."
    await reject(uow, refused, code, words)
    return len(kept)


def _row(what: str, early: Early) -> _Row:
    record, event = early.event.record, early.event
    item, waits_for = bounded(early.item), bounded(early.waits_for)
    return _Row(
        what, item, waits_for, record.topic, event.partition, event.offset, record.key, record.value, record.headers
    )


async def take(uow: UnitOfWork, what: str, waits_for: Collection[str] | None, at_most: int) -> list[Received[Any]]:
    """Remove what waits and return it in the order it came; what waits for any of these, or all."""
    chosen = select(_PARKED.c.position).where(_PARKED.c.what == what)
    if waits_for is not None:
        chosen = chosen.where(among(_PARKED.c.waits_for, [bounded(each) for each in waits_for]))
    chosen = chosen.order_by(_PARKED.c.position).limit(at_most)
    return [
        decode(each.record, each.partition, each.offset)
        for each in await _removed(uow, among(_PARKED.c.position, chosen))
    ]


async def parked_aggregate(uow: UnitOfWork, what: str, item: str) -> str | None:
    """The id of the aggregate whose event waits under this name; None when none does."""
    statement = select(_PARKED.c.key).where(_PARKED.c.what == what, _PARKED.c.item == item)
    key = (await uow.session.execute(statement)).scalar()
    return key and key.removeprefix(f"{uow.tenant_id}:")


async def expire(database: Database, days: int) -> int:
    """Set aside, of all tenants, what has waited for so many days; how many."""
    count = 0
    tenants = text("SELECT DISTINCT tenant_id FROM parked WHERE parked_at < now() - make_interval(days => :days)")
    async with database.as_relay() as connection:
        late = [row[0] for row in await connection.execute(tenants, {"days": days})]
    reason = InvalidEvent("waited_too_long", f"What it waits for has not come for {days} days.")
    old = _PARKED.c.parked_at < func.now() - func.make_interval(0, 0, 0, days)
    for tenant_id in late:
        while True:
            async with database.unit_of_work(tenant_id) as uow:
                chosen = select(_PARKED.c.position).where(old).order_by(_PARKED.c.position).limit(AT_ONCE)
                removed = await _removed(uow, among(_PARKED.c.position, chosen))
                await set_aside(uow, [Refused(e.record, e.partition, e.offset, reason, holds=False) for e in removed])
            count += len(removed)
            if len(removed) < AT_ONCE:
                break
    return count


async def _removed(uow: UnitOfWork, condition: Any) -> list[_Kept]:
    statement = (
        delete(_PARKED).where(_PARKED.c.tenant_id == uow.tenant_id, condition).returning(*rows.columns(_PARKED, _Kept))
    )
    return sorted(await rows.records(uow.session, statement, _Kept), key=lambda each: each.position)


async def _count(session: AsyncSession, what: str, at_most: int) -> int:
    some = select(_PARKED.c.position).where(_PARKED.c.what == what).limit(at_most).subquery()
    return (await session.execute(select(func.count()).select_from(some))).scalar_one()


async def _counts(session: AsyncSession, what: str, keys: Collection[str]) -> dict[str, int]:
    statement = (
        select(_PARKED.c.key, func.count())
        .where(_PARKED.c.what == what, among(_PARKED.c.key, keys))
        .group_by(_PARKED.c.key)
    )
    return {key: count for key, count in await session.execute(statement)}
