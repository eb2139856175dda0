"""Whose business hours count where."""

from collections.abc import Collection
from dataclasses import replace
from zoneinfo import available_timezones

from kit.database.unit_of_work import UnitOfWork
from kit.http.auth import Principal
from kit.http.etag import check_revision
from kit.operators.audit import record

from stage_engine.domain.calendar import DEFAULT, Calendar, faults
from stage_engine.errors.work import CalendarInvalid, CalendarNotFound
from stage_engine.records.work import CalendarRecord
from stage_engine.repository.calendars import CalendarRepository
from stage_engine.repository.locks import lock


class Calendars:
    """Those of the tenant, its teams and its people. What is running keeps the hours that it was set by."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._repository = CalendarRepository(uow.session, uow.tenant_id)

    async def one(self, scope: str) -> CalendarRecord:
        """The calendar of a scope as it is now."""
        found = await self._repository.newest(scope)
        if found is None:
            raise CalendarNotFound(scope)
        return found

    async def put(self, scope: str, given: Calendar, expected: int, caller: Principal) -> CalendarRecord:
        """A new revision. CalendarInvalid where people could not work by it."""
        if given.zone not in available_timezones():
            raise CalendarInvalid("zone", f"There is no time zone {given.zone!r}. Name one such as Europe/Berlin.")
        for fault in faults(given):
            raise CalendarInvalid("hours", f"{fault[0].upper()}{fault[1:]}.")
        await lock(self._uow.session, self._uow.tenant_id, [f"calendar:{scope}"])
        newest = await self._repository.newest(scope)
        if newest is None and expected:
            raise CalendarNotFound(scope)
        revision = newest.revision if newest else 0
        check_revision(expected, revision)
        await self._repository.add(scope, revision + 1, given, caller.subject)
        await record(self._uow, caller, "calendar.changed", scope, revision=revision + 1)
        return CalendarRecord(scope, revision + 1, given)

    async def of_owners(self, owner_ids: Collection[str]) -> dict[str, Calendar]:
        """The calendar in force for each of these owners: their own, that of the nearest team, the tenant's."""
        found = {each.owner_id: _named(each) for each in await self._repository.in_force(owner_ids)}
        return {owner_id: found.get(owner_id, DEFAULT) for owner_id in owner_ids}

    async def named(self, name: str) -> Calendar:
        """The calendar that a decision rested on."""
        scope, _, revision = name.rpartition("@")
        found = await self._repository.at(scope, int(revision))
        assert found is not None
        return _named(found)


def _named(of: CalendarRecord) -> Calendar:
    return replace(of.calendar, name=f"{of.scope}@{of.revision}")
