"""Figures of a period, and the cases behind them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from kit.database.unit_of_work import UnitOfWork
from kit.http.ownership import Owners
from kit.ids import utc_now

from stage_engine.domain.figures.catalogue import BY_KEY, Figure
from stage_engine.domain.figures.kinds import Group, Row, rows_of
from stage_engine.domain.stages import Category
from stage_engine.errors.figures import FigureNotFound, GroupUnknown, PeriodEmpty
from stage_engine.repository.figures.counting import MOST_ROWS, Case, CountingRepository, Place
from stage_engine.repository.figures.sampling import Ask
from stage_engine.service.rulesets import Rulesets

_YEAR, _MONTH = timedelta(days=365), timedelta(days=31)
_COUNTED = (Category.OPEN, Category.WON)


@dataclass(frozen=True, slots=True)
class Question:
    """Which cases are counted: None of a filter takes all. Without a period it is the year until now, or the current
    month of what is due."""

    object_type: str
    since: datetime | None
    until: datetime | None
    horizon_days: int
    pipeline: str | None = None
    person: str | None = None
    team: str | None = None
    segment: str | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """A figure of a period by group; `has_more` says that there are more groups than are counted."""

    figure: Figure
    since: datetime
    until: datetime
    as_of: datetime
    rows: Sequence[Row]
    has_more: bool = False


class Figures:
    """Of the opportunities of these owners."""

    def __init__(self, uow: UnitOfWork, owners: Owners) -> None:
        self._repository = CountingRepository(uow.session)
        self._rulesets = Rulesets(uow)
        self._owners = owners

    async def count(self, key: str, asked: Question, group: Group | None) -> Counted:
        """A figure by group. FigureNotFound, GroupUnknown."""
        figure = _figure(key, group)
        ask = await self.ask(figure, asked)
        tallies = await self._repository.tallies(figure, ask, group)
        rows = rows_of(figure.kind, tallies[:MOST_ROWS])
        return Counted(figure, ask.since, ask.until, ask.now, rows, len(tallies) > MOST_ROWS)

    async def cases(
        self, key: str, asked: Question, group: tuple[Group, str] | None, after: Place | None, limit: int, seen: Owners
    ) -> list[Case]:
        """The cases behind a figure, or behind one group of it, of opportunities that are seen now: an opportunity that
        has another owner today counts for the one before, and is shown to neither but the new one."""
        figure = _figure(key, group[0] if group else None)
        return await self._repository.cases(figure, await self.ask(figure, asked), group, after, limit, seen)

    async def ask(self, figure: Figure, asked: Question) -> Ask:
        """The question as queries take it, as of now. PeriodEmpty."""
        now = utc_now()
        since, until = _period(figure, asked, now)
        if since >= until:
            raise PeriodEmpty
        return Ask(
            owners=self._owners,
            object_type=asked.object_type,
            since=since,
            until=until,
            now=now,
            horizon=timedelta(days=asked.horizon_days),
            pipeline=asked.pipeline,
            person=asked.person,
            team=asked.team,
            segment=asked.segment,
            stages=await self._stages(asked) if figure.key == "cumulative_conversion" else (),
        )

    async def _stages(self, asked: Question) -> list[tuple[str, str, int]]:
        newest = await self._rulesets.newest()
        pipelines = (each.pipeline for each in newest.values())
        return [
            (pipeline.key, stage.key, pipeline.rank(stage.key))
            for pipeline in pipelines
            if pipeline.object_type == asked.object_type and asked.pipeline in (None, pipeline.key)
            for stage in pipeline.stages
            if stage.category in _COUNTED
        ]


def _figure(key: str, group: Group | None) -> Figure:
    figure = BY_KEY.get(key)
    if figure is None:
        raise FigureNotFound(key, sorted(BY_KEY))
    if group is not None and group not in figure.groups:
        raise GroupUnknown(key, group, sorted(figure.groups))
    return figure


def _period(figure: Figure, asked: Question, now: datetime) -> tuple[datetime, datetime]:
    if not figure.is_of_due_days:
        until = asked.until or now
        return asked.since or until - _YEAR, until
    if asked.since is None and asked.until is None:
        first = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return first, (first + timedelta(days=32)).replace(day=1)
    if asked.since is None:
        assert asked.until is not None
        return asked.until - _MONTH, asked.until
    return asked.since, asked.until or asked.since + _MONTH
