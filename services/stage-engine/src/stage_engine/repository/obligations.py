"""The ledger of obligations: written with decisions, read in pages and in reports."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from kit.database import bulk
from kit.database.rows import columns, records
from kit.database.sets import among
from kit.database.tables import team
from kit.http.ownership import Owners
from sqlalchemy import ColumnElement, Select, Text, cast, func, literal_column, select, text, true, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from stage_engine.domain.owed import OwedState
from stage_engine.models.work import obligation
from stage_engine.records.figures import LeadTime, OwedTotal
from stage_engine.records.work import ObligationRecord

_COLUMNS = columns(obligation, ObligationRecord)
_KEY = ("opportunity_id", "key", "made_at")
# What was reported once of where a subject came from stays.
_REPLACE = bulk.replace(obligation, *(n for n in bulk.column_names(ObligationRecord) if n not in (*_KEY, "hour")))
# Longer than anything takes, in seconds.
_NEVER = 2**62
# Ids shown with each figure, the longest due first.
SHOWN_IDS = 100
Place = tuple[datetime, str, str, datetime]
Period = Literal["month", "quarter", "year"]
# The nearest manager, or the person itself.
_PERSON_OR_TEAM = """
    SELECT
        {who} AS who,
        date_trunc(:period, obligation.due AT TIME ZONE :zone)::date AS period,
        key,
        count(*) AS owed,
        count(*) FILTER (WHERE state = 'met') AS met,
        count(*) FILTER (WHERE state = 'late') AS late,
        count(*) FILTER (WHERE state = 'missed') AS missed,
        count(*) FILTER (WHERE state = 'open') AS open,
        coalesce(
            (array_agg(opportunity_id ORDER BY obligation.due, opportunity_id)
             FILTER (WHERE state IN ('late', 'missed')))[1:{shown}], '{{}}'
        ) AS not_in_time
    FROM obligation
    {join}
    WHERE obligation.tenant_id = :tenant_id AND obligation.due >= :since AND obligation.due < :until
        AND state <> 'cancelled'
        AND (CAST(:owners AS varchar[]) IS NULL OR owner_id = ANY(CAST(:owners AS varchar[])))
        AND (CAST(:key AS varchar) IS NULL OR key = CAST(:key AS varchar))
    GROUP BY 1, 2, 3
    ORDER BY 2, 1, 3
"""
_JOIN = "LEFT JOIN person ON person.tenant_id = obligation.tenant_id AND person.person_id = obligation.owner_id"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which obligations are asked for; what is None is not asked."""

    state: OwedState | None = None
    owner_id: str | None = None
    team_of: str | None = None
    key: str | None = None
    due_from: datetime | None = None
    due_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """A time, as it is cut into periods by the wall clock of a zone; `key` None: all obligations."""

    since: datetime
    until: datetime
    zone: str
    key: str | None = None


class ObligationRepository:
    """Row-level security confines every statement to the transaction's tenant; writes name it."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    def keep(self, changed: Sequence[ObligationRecord]) -> None:
        """Write these as they are now, with the commit; of one that changed more than once the last."""
        newest = {(each.opportunity_id, each.key, each.made_at): each for each in changed}
        bulk.defer(self._session, obligation, list(newest.values()), conflict=_REPLACE)

    async def many(self, wanted: Wanted, owners: Owners, after: Place | None, limit: int) -> list[ObligationRecord]:
        """By the time they are due, of these owners."""
        statement = page_of(wanted, owners, self._tenant_id, after, limit)
        return await records(self._session, statement, ObligationRecord)

    async def totals(self, window: Window, period: Period, owners: Owners, *, by_team: bool) -> list[OwedTotal]:
        """What came due in a time by person, or by who they report to, and by period."""
        who, join = ("coalesce(person.manager_id, '')", _JOIN) if by_team else ("owner_id", "")
        given = {
            "tenant_id": self._tenant_id, "since": window.since, "until": window.until, "zone": window.zone,
            "key": window.key, "period": period,
            "owners": None if owners.person_ids is None else sorted(owners.person_ids),
        }  # fmt: skip
        statement = text(_PERSON_OR_TEAM.format(who=who, join=join, shown=SHOWN_IDS))
        return await records(self._session, statement.bindparams(**given), OwedTotal)

    async def lead_times(
        self, window: Window, owners: Owners, by: Literal["owner_id", "hour", "source"] | None
    ) -> list[LeadTime]:
        """How long it took to meet what was made in a time, in all or by who, when and where from."""
        of = obligation.c
        label = cast(of[by], Text) if by is not None else literal_column("''")
        judged, met = of.state != "open", of.met_at.is_not(None)

        def share(column: ColumnElement[int | None], at: float) -> ColumnElement[int | None]:
            """Of those whose time is over: one that was never met took longer than any."""
            placed = func.percentile_disc(at).within_group(func.coalesce(column, _NEVER)).filter(judged)
            return func.nullif(placed, _NEVER)

        statement = (
            select(
                label.label("group"),
                func.count().filter(judged).label("judged"),
                func.count().filter(met).label("met"),
                func.count().filter(of.state == "met").label("in_time"),
                func.count().filter(of.state == "open").label("censored"),
                share(of.wall_seconds, 0.5).label("wall_median"),
                share(of.wall_seconds, 0.9).label("wall_p90"),
                share(of.business_seconds, 0.5).label("business_median"),
                share(of.business_seconds, 0.9).label("business_p90"),
            )
            .where(
                of.tenant_id == self._tenant_id, of.key == window.key, of.made_at >= window.since,
                of.made_at < window.until, of.state != "cancelled", owners.condition(of.owner_id),
            )
        )  # fmt: skip
        if by is not None:
            statement = statement.group_by(label).order_by(label)
        return await records(self._session, statement, LeadTime)


def page_of(wanted: Wanted, owners: Owners, tenant_id: str, after: Place | None, limit: int) -> Select[Any]:
    """The statement of a page."""
    of = obligation.c
    place = tuple_(of.due, of.opportunity_id, of.key, of.made_at)
    statement = select(*_COLUMNS).where(of.tenant_id == tenant_id, owners.condition(of.owner_id))
    statement = statement.where(*_conditions(wanted, tenant_id), place > after if after is not None else true())
    return statement.order_by(of.due, of.opportunity_id, of.key, of.made_at).limit(limit)


def _conditions(wanted: Wanted, tenant_id: str) -> list[ColumnElement[bool]]:
    of = obligation.c
    found: list[ColumnElement[bool]] = []
    if wanted.state is not None:
        found.append(of.state == wanted.state.value)
    if wanted.owner_id is not None:
        found.append(of.owner_id == wanted.owner_id)
    if wanted.team_of is not None:
        members = select(team.c.person_id).where(team.c.tenant_id == tenant_id, team.c.manager_id == wanted.team_of)
        found.append(among(of.owner_id, members))
    if wanted.key is not None:
        found.append(of.key == wanted.key)
    if wanted.due_from is not None:
        found.append(of.due >= wanted.due_from)
    if wanted.due_to is not None:
        found.append(of.due < wanted.due_to)
    return found
