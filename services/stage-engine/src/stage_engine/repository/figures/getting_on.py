"""How opportunities get on from stages, and by what moves."""

from typing import Any

from sqlalchemy import Select, SelectBase, Text, and_, case, column, exists, func, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Integer

from stage_engine.domain.stages import Category
from stage_engine.models.figures import evaluation, visit
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
    there,
)

_v = visit.c
_OPEN, _WON = Category.OPEN.value, Category.WON.value
_LOST = or_(_v.outcome == "lost", _v.outcome == "abandoned")
_BACK_OR_LOST = or_(_v.left_kind == "regress", _v.left_kind == "close_lost", _v.left_kind == "walk_away")
_ON = or_(_v.left_kind == "advance", _v.left_kind == "skip", _v.left_kind == "close_won")
# Coming from the CRM or another pipeline is no move within this one.
_IS_MOVE = and_(_v.kind != "adopt", _v.kind != "reassign")


def _reached(ask: Ask, *, strictly: bool) -> Select[Any]:
    """First visits of open stages that began in the period, and whether a later stage was reached or the opportunity
    won within the horizon; strictly, whether the first step on passed over nothing."""
    end = _v.entered_at + ask.horizon
    on = case((_v.reached_at.is_not(None), _v.reached_at), (_v.outcome == _WON, _v.closed_at))
    hit = and_(on.is_not(None), on <= end)
    directly = case((_v.reached_at.is_not(None), _v.reached_next), else_=_v.closed_next)
    ended = and_(_LOST, _v.closed_at <= end)
    state = judged(_v.is_gone, or_(hit, ended, end <= ask.now))
    found = sample(visit, _v.entered_at, state, number(and_(hit, directly) if strictly else hit))
    return of_visits(ask, found).where(ask.within(_v.entered_at), _v.is_first, _v.category == _OPEN)


def conversion(ask: Ask) -> Select[Any]:
    return _reached(ask, strictly=False)


def strict_conversion(ask: Ask) -> Select[Any]:
    return _reached(ask, strictly=True)


def cumulative_conversion(ask: Ask) -> Select[Any]:
    """Of those that entered the first stage in the period, once for each stage, whether it or a later one was
    reached."""
    keys, stages, places = zip(*ask.stages, strict=True) if ask.stages else ((), (), ())
    given = (
        func.unnest(
            literal(list(keys), ARRAY(Text)), literal(list(stages), ARRAY(Text)), literal(list(places), ARRAY(Integer))
        )
        .table_valued("pipeline_key", "stage_key", column("place", Integer), name="given")
        .render_derived()
    )
    end, later = _v.entered_at + ask.horizon, visit.alias("later")
    reached = exists().where(
        later.c.tenant_id == _v.tenant_id,
        later.c.opportunity_id == _v.opportunity_id,
        later.c.pipeline_key == _v.pipeline_key,
        later.c.is_first,
        later.c.rank >= given.c.place,
        later.c.entered_at <= end,
        or_(later.c.category == _OPEN, and_(later.c.category == _WON, later.c.left_at.is_(None))),
    )
    over = and_(_v.outcome != "", _v.closed_at <= end)
    state = judged(_v.is_gone, or_(reached, over, end <= ask.now))
    found = sample(visit, _v.entered_at, state, number(reached), stage=given.c.stage_key)
    source = visit.join(opportunity, there(visit)).join(given, given.c.pipeline_key == _v.pipeline_key)
    of_first = and_(ask.within(_v.entered_at), _v.is_first, _v.category == _OPEN, _v.rank == 0)
    return found.select_from(source).where(ask.of(visit), of_first)


def _moves(ask: Ask, numerator: Any, state: Any = COUNTED, *conditions: Any) -> Select[Any]:
    found = sample(visit, _v.entered_at, state, numerator, path=_v.cause, rule=_v.rule_id, category=_v.kind)
    return of_visits(ask, found).where(ask.within(_v.entered_at), _IS_MOVE, *conditions)


def skips(ask: Ask) -> Select[Any]:
    return _moves(ask, number(_v.kind == "skip"))


def regresses(ask: Ask) -> Select[Any]:
    return _moves(ask, number(_v.kind == "regress"))


def adherence(ask: Ask) -> Select[Any]:
    """Forward moves, and whether all was there that the pipeline asks for."""
    state = case((_v.lacking.is_(None), EXCLUDED), else_=COUNTED)
    return _moves(ask, number(~func.coalesce(_v.lacking, False)), state, _v.is_forward)


def rework(ask: Ask) -> Select[Any]:
    """Opportunities that moved in the period, and whether any came back to a stage."""
    again = func.bool_or(and_(~_v.is_first, _v.kind != "reassign"))
    who = _v.opportunity_id, _v.owner_id, _v.team_id, _v.pipeline_key, _v.segment
    moved = (
        select(*who, func.max(_v.revision).label("revision"), func.max(_v.entered_at).label("entered_at"),
               again.label("again"), literal("").label("stage_key"))
        .select_from(visit.join(opportunity, there(visit)))
        .where(ask.of(visit), ask.within(_v.entered_at))
        .group_by(*who)
        .subquery("moved")
    )  # fmt: skip
    return sample(moved, moved.c.entered_at, COUNTED, number(moved.c.again))


def rule_precision(ask: Ask) -> Select[Any]:
    """Forward moves by rules, and whether they were kept: not taken back, lost or reopened within the horizon."""
    end = _v.entered_at + ask.horizon
    left = and_(_v.left_at.is_not(None), _v.left_at <= end)
    undone = and_(left, or_(_BACK_OR_LOST, _v.category == _WON))
    over = or_(left, end <= ask.now)
    state = judged(and_(left, _v.left_kind == "reassign"), over)
    return _moves(ask, number(~undone), state, _v.is_forward, _v.cause == "rule")


def override_quality(ask: Ask) -> Select[Any]:
    """Forward overrides, and whether the opportunity got on from there within the horizon, or was won."""
    end = _v.entered_at + ask.horizon
    left = and_(_v.left_at.is_not(None), _v.left_at <= end)
    state = judged(and_(left, _v.left_kind == "reassign"), or_(left, end <= ask.now))
    return _moves(ask, number(and_(left, _ON)), state, _v.is_forward, _v.is_override)


def _evaluations(ask: Ask, numerator: Any, denominator: Any) -> Select[Any]:
    of = evaluation.c
    found = sample(evaluation, of.decided_at, COUNTED, numerator, denominator)
    joined = found.select_from(evaluation.join(opportunity, there(evaluation)))
    return joined.where(ask.of(evaluation), ask.within(of.decided_at))


def overrides(ask: Ask) -> SelectBase:
    """Decisions in which the engine said something of the next step, and moves that people made against it."""
    moved = of_visits(ask, sample(visit, _v.entered_at, COUNTED, 1, 0)).where(
        ask.within(_v.entered_at), _IS_MOVE, _v.is_override
    )
    shown = _evaluations(ask, 0, 1).where(evaluation.c.outcome != "no_op")
    return moved.union_all(shown)


def rule_fires(ask: Ask) -> Select[Any]:
    """Rules that were asked, and whether they moved or proposed."""
    of = evaluation.c
    asked = func.jsonb_array_elements_text(of.asked).table_valued("value", name="asked_rule")
    found = sample(evaluation, of.decided_at, COUNTED, number(of.fired == asked.c.value), rule=asked.c.value)
    source = evaluation.join(opportunity, there(evaluation)).join(asked, literal(True))
    return found.select_from(source).where(ask.of(evaluation), ask.within(of.decided_at))


def process_gap(ask: Ask) -> SelectBase:
    """What is documented of stages beside what is so: the time in them, and the share that wins from there."""
    end = _v.entered_at + ask.horizon
    long = judged(or_(_v.expected_seconds.is_(None), _v.business_seconds.is_(None)), _v.left_at.is_not(None))
    times = of_visits(
        ask,
        sample(visit, _v.entered_at, long, func.coalesce(_v.business_seconds, 0),
               func.coalesce(_v.expected_seconds, 0), part="time"),
    )  # fmt: skip
    won = and_(_v.outcome == _WON, _v.closed_at <= end)
    over = or_(and_(_v.outcome != "", _v.closed_at <= end), end <= ask.now)
    wins = of_visits(
        ask,
        sample(visit, _v.entered_at, judged(or_(_v.win_probability.is_(None), _v.is_gone), over), number(won),
               probability(), part="conversion"),
    )  # fmt: skip
    first = ask.within(_v.entered_at), _v.category == _OPEN
    return times.where(*first).union_all(wins.where(*first, _v.is_first))
