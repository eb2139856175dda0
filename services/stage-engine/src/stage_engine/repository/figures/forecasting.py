"""What is expected to close, and how true such expectations were."""

from datetime import UTC
from typing import Any

from sqlalchemy import Date, Select, SelectBase, and_, case, cast, exists, func, literal, or_, select

from stage_engine.domain.stages import Category, ForecastCategory
from stage_engine.models.figures import standing, visit
from stage_engine.models.opportunities import opportunity
from stage_engine.repository.figures.present import of_present, present
from stage_engine.repository.figures.sampling import (
    CENSORED,
    COUNTED,
    EXCLUDED,
    Ask,
    number,
    of_visits,
    sample,
    there,
)

_v, _s = visit.c, standing.c


def _days(ask: Ask) -> tuple[Any, Any]:
    """The days of the period, by the clock of UTC."""
    first, last = (cast(literal(at.astimezone(UTC).date()), Date) for at in (ask.since, ask.until))
    return first, last


def _due(ask: Ask, day: Any) -> Any:
    first, last = _days(ask)
    return and_(day >= first, day < last)


def _won(ask: Ask, numerator: Any, denominator: Any, **more: Any) -> Select[Any]:
    left_out = or_(_v.left_at.is_not(None), _v.amount.is_(None))
    state = case((left_out, EXCLUDED), else_=more.pop("state", COUNTED))
    found = sample(visit, _v.entered_at, state, numerator, denominator, currency=_v.currency, **more)
    return of_visits(ask, found).where(ask.within(_v.entered_at), _v.category == Category.WON.value)


def _forecast(ask: Ask, category: Any, stage: Any) -> SelectBase:
    """Open opportunities due in the period, and what was won in it."""
    of = present.c
    state = case((of.amount.is_(None), EXCLUDED), else_=COUNTED)
    found = sample(present, literal(ask.now), state, func.coalesce(of.amount, 0), category=category, stage=stage,
                   currency=of.currency)  # fmt: skip
    open_ = of_present(ask, found).where(_due(ask, of.close_date))
    closed = _won(ask, func.coalesce(_v.amount, 0), 1, category=ForecastCategory.CLOSED.value)
    return open_.union_all(closed)


def forecast(ask: Ask) -> SelectBase:
    return _forecast(ask, present.c.forecast, present.c.stage_key)


def forecast_earned(ask: Ask) -> SelectBase:
    return _forecast(ask, present.c.earned_forecast, present.c.earned_stage)


def _snapshot(ask: Ask, table: Any = standing) -> Any:
    """As things stood when the period began."""
    of = table.c
    return and_(of.since <= ask.since, or_(of.until.is_(None), of.until > ask.since))


def slips(ask: Ask) -> Select[Any]:
    """Due in the period when it began, and whether the day they are due on has left it by its end."""
    later = standing.alias("later")
    end = min(ask.until, ask.now)
    first, last = _days(ask)
    last_day = (
        select(later.c.due)
        .where(later.c.tenant_id == _s.tenant_id, later.c.opportunity_id == _s.opportunity_id, later.c.since < end)
        .order_by(later.c.decision_no.desc())
        .limit(1)
        .scalar_subquery()
    )
    lasts = exists().where(
        later.c.tenant_id == _s.tenant_id,
        later.c.opportunity_id == _s.opportunity_id,
        later.c.since < end,
        or_(later.c.until.is_(None), later.c.until >= end),
    )
    slipped = or_(last_day.is_(None), last_day < first, last_day >= last)
    young = and_(literal(ask.until > ask.now), lasts)
    state = case((or_(slipped, ~young), COUNTED), else_=CENSORED)
    found = sample(standing, literal(ask.since), state, number(slipped), category=_s.forecast)
    source = found.select_from(standing.join(opportunity, there(standing)))
    return source.where(ask.of(standing), _due(ask, _s.due), _snapshot(ask))


def _accuracy(ask: Ask, *, by_person: bool) -> SelectBase:
    """What was committed when the period began, beside what was won in it."""
    over = COUNTED if ask.until <= ask.now else CENSORED
    state = case((_s.amount.is_(None), EXCLUDED), else_=over)
    part = {"part": _s.owner_id} if by_person else {}
    found = sample(standing, literal(ask.since), state, func.coalesce(_s.amount, 0), 0, currency=_s.currency, **part)
    source = found.select_from(standing.join(opportunity, there(standing)))
    committed = source.where(
        ask.of(standing), _due(ask, _s.due), _snapshot(ask), _s.forecast == ForecastCategory.COMMIT.value
    )
    won = _won(ask, 0, func.coalesce(_v.amount, 0), state=over, **({"part": _v.owner_id} if by_person else {}))
    return committed.union_all(won)


def accuracy(ask: Ask) -> SelectBase:
    return _accuracy(ask, by_person=False)


def accuracy_by_person(ask: Ask) -> SelectBase:
    return _accuracy(ask, by_person=True)


def optimism(ask: Ask) -> Select[Any]:
    """Open value, and that of it which is claimed further than earned."""
    of = present.c
    amount = func.coalesce(of.amount, 0)
    state = case((of.amount.is_(None), EXCLUDED), else_=COUNTED)
    ahead = case((of.stage_rank > of.earned_rank, amount), else_=0)
    return of_present(ask, sample(present, literal(ask.now), state, ahead, amount, currency=of.currency))


def stages_ahead(ask: Ask) -> Select[Any]:
    """Open opportunities, and by how many stages they claim more than they earned."""
    of = present.c
    ahead = func.greatest(of.stage_rank - of.earned_rank, 0)
    return of_present(ask, sample(present, literal(ask.now), COUNTED, ahead))
