"""How opportunities are closed: won or not, after how long, and for how much."""

from typing import Any

from sqlalchemy import Select, and_, case, func, or_

from stage_engine.domain.stages import Category
from stage_engine.models.figures import visit
from stage_engine.models.opportunities import opportunity
from stage_engine.repository.figures.sampling import (
    COUNTED,
    EXCLUDED,
    Ask,
    judged,
    number,
    of_visits,
    probability,
    sample,
    seconds,
    there,
)

_v = visit.c
_OPEN, _WON, _LOST = Category.OPEN.value, Category.WON.value, Category.LOST.value
_RETRACTED = _v.left_at.is_not(None)
_IS_WON = _v.category == _WON


def _closings(ask: Ask, state: Any, numerator: Any, denominator: Any = 1, *, currency: Any = "") -> Select[Any]:
    """Closings of the period."""
    found = sample(visit, _v.entered_at, state, numerator, denominator, currency=currency, category=_v.category,
                   path=_v.cause)  # fmt: skip
    return of_visits(ask, found).where(ask.within(_v.entered_at), _v.category != _OPEN)


def win_rate(ask: Ask) -> Select[Any]:
    """Lost and won; who walked away is left out."""
    state = case((or_(_RETRACTED, _v.category == Category.ABANDONED.value), EXCLUDED), else_=COUNTED)
    return _closings(ask, state, number(_IS_WON))


def win_rate_of_all(ask: Ask) -> Select[Any]:
    """Who walked away counts as not won."""
    return _closings(ask, case((_RETRACTED, EXCLUDED), else_=COUNTED), number(_IS_WON))


def win_rate_by_value(ask: Ask) -> Select[Any]:
    """Lost and won by their amounts; those without one are left out."""
    left_out = or_(_RETRACTED, _v.amount.is_(None), _v.category == Category.ABANDONED.value)
    amount = func.coalesce(_v.amount, 0)
    state = case((left_out, EXCLUDED), else_=COUNTED)
    return _closings(ask, state, case((_IS_WON, amount), else_=0), amount, currency=_v.currency)


def won_value(ask: Ask) -> Select[Any]:
    """Won and for how much."""
    state = case((or_(_RETRACTED, _v.amount.is_(None)), EXCLUDED), else_=COUNTED)
    return _closings(ask, state, func.coalesce(_v.amount, 0), currency=_v.currency).where(_IS_WON)


def won(ask: Ask) -> Select[Any]:
    """Won, each once for each cycle."""
    return _closings(ask, case((_RETRACTED, EXCLUDED), else_=COUNTED), 1).where(_IS_WON)


def sales_cycle(ask: Ask) -> Select[Any]:
    """Won, from their creation on, or from when they were reopened."""
    unknown = and_(_v.cycle_no == 1, ~_v.is_created_known)
    state = case((or_(_RETRACTED, unknown), EXCLUDED), else_=COUNTED)
    return _closings(ask, state, seconds(_v.cycle_started_at, _v.entered_at)).where(_IS_WON)


def _created(ask: Ask, found: Select[Any]) -> Select[Any]:
    return found.where(ask.within(_v.created_at), _v.visit_no == 1, _v.kind == "adopt", ask.of(visit))


def created(ask: Ask) -> Select[Any]:
    """Opportunities created in the period."""
    state = case((~_v.is_created_known, EXCLUDED), else_=COUNTED)
    found = sample(visit, _v.created_at, state, 1)
    return _created(ask, found.select_from(visit.join(opportunity, there(visit))))


def _cohort(ask: Ask) -> tuple[Any, Any]:
    """Whether one of those created in the period was won within the horizon, and whether it can be judged."""
    end = _v.created_at + ask.horizon
    hit = and_(_v.outcome == _WON, _v.closed_at <= end)
    over = or_(and_(_v.outcome != "", _v.closed_at <= end), end <= ask.now)
    return hit, judged(~_v.is_created_known, over)


def win_rate_of_cohort(ask: Ask) -> Select[Any]:
    """Created in the period, and whether won within the horizon."""
    hit, state = _cohort(ask)
    found = sample(visit, _v.created_at, state, number(hit))
    return _created(ask, found.select_from(visit.join(opportunity, there(visit))))


def velocity(ask: Ask) -> Select[Any]:
    """Created in the period: what those won within the horizon brought, and how long they took."""
    hit, state = _cohort(ask)
    last = visit.alias("last")
    found = sample(
        visit, _v.created_at, state,
        case((hit, func.coalesce(last.c.amount, 0)), else_=0),
        case((hit, seconds(_v.created_at, _v.closed_at)), else_=0),
        extra=number(hit),
        currency=func.coalesce(last.c.currency, ""),
    )  # fmt: skip
    lasting = and_(
        last.c.tenant_id == _v.tenant_id, last.c.opportunity_id == _v.opportunity_id, last.c.left_at.is_(None)
    )
    return _created(ask, found.select_from(visit.join(opportunity, there(visit)).join(last, lasting)))


def _stated(ask: Ask, numerator: Any, **more: Any) -> Select[Any]:
    end = _v.entered_at + ask.horizon
    over = or_(and_(_v.outcome != "", _v.closed_at <= end), end <= ask.now)
    state = judged(or_(_v.win_probability.is_(None), _v.is_gone), over)
    found = sample(visit, _v.entered_at, state, numerator, **more)
    return of_visits(ask, found).where(ask.within(_v.entered_at), _v.is_first, _v.category == _OPEN)


def _won_within(ask: Ask) -> Any:
    return number(and_(_v.outcome == _WON, _v.closed_at <= _v.entered_at + ask.horizon))


def brier(ask: Ask) -> Select[Any]:
    """First visits of stages with a stated probability: by how much it missed the outcome, squared."""
    missed = probability() - _won_within(ask)
    return _stated(ask, missed * missed)


def reliability(ask: Ask) -> Select[Any]:
    """First visits of stages with a stated probability, and whether they were won."""
    return _stated(ask, _won_within(ask), extra=probability())
