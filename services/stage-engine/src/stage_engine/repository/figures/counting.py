"""Counts the cases of a figure by group, and lists them."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from kit.database.rows import records
from kit.database.tables import person
from kit.http.ownership import Owners
from sqlalchemy import ColumnElement, Numeric, Subquery, and_, cast, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from stage_engine.domain.figures.catalogue import Figure
from stage_engine.domain.figures.kinds import Group, Tally
from stage_engine.models.opportunities import opportunity
from stage_engine.repository.figures.sampling import CENSORED, COUNTED, EXCLUDED, Ask
from stage_engine.repository.figures.sources import SOURCES

_PERIODS = {Group.WEEK: 'IYYY-"W"IW', Group.MONTH: "YYYY-MM", Group.QUARTER: 'YYYY-"Q"Q', Group.YEAR: "YYYY"}
# Longer than anything takes, in seconds.
NEVER = 2**62
# More groups than people could look at.
MOST_ROWS = 2000


@dataclass(frozen=True, slots=True)
class Case:
    """One case behind a figure; `number` tells those of one opportunity apart."""

    opportunity_id: str
    number: int
    part: str
    at: datetime
    state: str
    group: str
    currency: str
    numerator: Decimal | None
    denominator: Decimal


@dataclass(frozen=True, slots=True)
class PersonCount:
    """Cases of a person in a period."""

    person: str
    period: str
    cases: int


Place = tuple[str, int, str]


def _group(case: Subquery, group: Group | None) -> ColumnElement[str]:
    if group is None:
        return literal("")
    pattern = _PERIODS.get(group)
    if pattern is not None:
        # Periods begin at midnight of UTC.
        return func.to_char(func.timezone("UTC", case.c.at), pattern)
    return case.c[group.value]


def _place(percent: int, numerator: ColumnElement[Any]) -> Any:
    """The percentile by nearest rank; a case without a number lies behind all others."""
    return func.percentile_disc(percent / 100).within_group(func.coalesce(numerator, NEVER))


class CountingRepository:
    """Row-level security confines every statement to the transaction's tenant."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def tallies(self, figure: Figure, ask: Ask, group: Group | None) -> list[Tally]:
        """What was counted of each group, currency and part."""
        case = SOURCES[figure.key](ask).subquery("cases")
        of, name = case.c, _group(case, group)
        counted = of.state == COUNTED

        def total(column: ColumnElement[Any]) -> ColumnElement[Any]:
            return cast(func.coalesce(func.sum(column).filter(counted), 0), Numeric)

        columns = [
            name.label("group"),
            of.currency,
            of.part,
            func.count().filter(counted).label("n"),
            total(of.numerator).label("numerator"),
            total(of.denominator).label("denominator"),
            total(of.extra).label("extra"),
            func.count().filter(of.state == CENSORED).label("censored"),
            func.count().filter(of.state == EXCLUDED).label("excluded"),
        ]
        if figure.kind.has_percentiles:
            columns += [
                func.nullif(_place(p, of.numerator).filter(counted), NEVER).label(f"p{p}") for p in (50, 75, 90)
            ]
        places = name.label("group"), of.currency, of.part
        statement = select(*columns).group_by(*places).order_by(*places).limit(MOST_ROWS + 1)
        return await records(self._session, statement, Tally)

    async def of_persons(self, figure: Figure, ask: Ask, period: Group) -> list[PersonCount]:
        """How many cases were counted by person and period."""
        case = SOURCES[figure.key](ask).subquery("cases")
        of, name = case.c, _group(case, period)
        columns = of.person.label("person"), name.label("period")
        statement = (
            select(*columns, func.count().label("cases"))
            .where(of.state == COUNTED)
            .group_by(*columns)
            .order_by(*columns)
            .limit(MOST_ROWS)
        )
        return await records(self._session, statement, PersonCount)

    async def colleagues(self, person_id: str) -> set[str]:
        """Those who report to whom this person reports to, the person included; the person alone where that is not
        known."""
        me, other = person.alias("me"), person.c
        statement = (
            select(other.person_id)
            .join(me, and_(me.c.tenant_id == other.tenant_id, me.c.manager_id == other.manager_id))
            .where(me.c.person_id == person_id, me.c.manager_id != "", other.active)
        )
        return {person_id, *(await self._session.execute(statement)).scalars()}

    async def cases(
        self, figure: Figure, ask: Ask, group: tuple[Group, str] | None, after: Place | None, limit: int, seen: Owners
    ) -> list[Case]:
        """The cases behind a figure, or behind its row of one group, of opportunities that are seen now."""
        case = SOURCES[figure.key](ask).subquery("cases")
        of, name = case.c, _group(case, group[0] if group else None)
        columns = [of[each] for each in ("opportunity_id", "number", "part", "at", "state", "currency")]
        statement = (
            select(*columns, name.label("group"), of.numerator, of.denominator)
            .join(opportunity, and_(opportunity.c.opportunity_id == of.opportunity_id))
            .where(seen.condition(opportunity.c.owner_id))
        )
        if group is not None:
            statement = statement.where(name == group[1])
        order = of.opportunity_id, of.number, of.part
        if after is not None:
            statement = statement.where(tuple_(*order) > tuple_(*after))
        return await records(self._session, statement.order_by(*order).limit(limit), Case)
