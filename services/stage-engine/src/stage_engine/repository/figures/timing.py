"""How long opportunities are in stages, and which are there for too long."""

from typing import Any

from sqlalchemy import Numeric, Select, SelectBase, and_, case, cast, func, literal, or_, select

from stage_engine.domain.stages import Category
from stage_engine.models.figures import visit
from stage_engine.repository.figures.present import of_present, present
from stage_engine.repository.figures.sampling import (
    CENSORED,
    COUNTED,
    EXCLUDED,
    Ask,
    number,
    of_visits,
    sample,
    seconds,
)

_v = visit.c
_OPEN = Category.OPEN.value


def _left(ask: Ask, time: Any) -> Select[Any]:
    """The last visit of each stage that was left in the period."""
    place = _v.opportunity_id, _v.pipeline_key, _v.stage_key
    latest = func.row_number().over(partition_by=place, order_by=_v.revision.desc())
    unknown = or_(~_v.is_clocked, time.is_(None))
    found = sample(
        visit, _v.left_at, case((unknown, EXCLUDED), else_=COUNTED), func.coalesce(time, 0), path=_v.left_kind
    )
    each = of_visits(ask, found.add_columns(latest.label("latest"))).where(ask.within(_v.left_at), _v.category == _OPEN)
    last = each.subquery("each")
    return select(*(column for column in last.c if column.name != "latest")).where(last.c.latest == 1)


def _lasting(ask: Ask) -> Select[Any]:
    """Visits that began in the period and lasted beyond it."""
    found = sample(visit, _v.entered_at, CENSORED, 0)
    lasts = or_(_v.left_at.is_(None), _v.left_at >= ask.until)
    return of_visits(ask, found).where(ask.within(_v.entered_at), lasts, _v.category == _OPEN)


def time_in_stage(ask: Ask) -> SelectBase:
    return _left(ask, _v.wall_seconds).union_all(_lasting(ask))


def business_time_in_stage(ask: Ask) -> SelectBase:
    return _left(ask, _v.business_seconds).union_all(_lasting(ask))


def time_in_stage_in_all(ask: Ask) -> SelectBase:
    """All visits of the stage together, of those that left it in the period."""
    other = visit.alias("other")
    whole = (
        select(func.sum(other.c.wall_seconds))
        .where(
            other.c.tenant_id == _v.tenant_id,
            other.c.opportunity_id == _v.opportunity_id,
            other.c.pipeline_key == _v.pipeline_key,
            other.c.stage_key == _v.stage_key,
            other.c.left_at < ask.until,
        )
        .scalar_subquery()
    )
    return _left(ask, whole).union_all(_lasting(ask))


def stalled(ask: Ask) -> Select[Any]:
    """Open opportunities, and whether they lie still."""
    of = present.c
    return of_present(ask, sample(present, literal(ask.now), COUNTED, number(_passed(of.stalled_at, ask))))


def rotten(ask: Ask) -> Select[Any]:
    """Open opportunities of stages with an expected time, and whether they are half as long again in theirs."""
    of = present.c
    state = case((of.expected_at.is_(None), EXCLUDED), else_=COUNTED)
    return of_present(ask, sample(present, literal(ask.now), state, number(_passed(of.rotten_at, ask))))


def aging(ask: Ask) -> Select[Any]:
    """Open opportunities of stages with an expected time: how long they are there by how long that takes."""
    of = present.c
    whole = func.greatest(seconds(of.visit_opened_at, of.expected_at), 1)
    state = case((of.expected_at.is_(None), EXCLUDED), else_=COUNTED)
    ratio = func.trunc(cast(seconds(of.visit_opened_at, literal(ask.now)), Numeric) / whole, 6)
    return of_present(ask, sample(present, literal(ask.now), state, func.coalesce(ratio, 0)))


def _passed(moment: Any, ask: Ask) -> Any:
    return and_(moment.is_not(None), moment <= ask.now)
