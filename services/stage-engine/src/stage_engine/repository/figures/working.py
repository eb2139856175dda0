"""What people did, and what they owed."""

from typing import Any

from kit.database.tables import person
from sqlalchemy import Select, Text, and_, case, cast, func, literal, or_, select

from stage_engine.models.opportunities import opportunity
from stage_engine.models.work import activity, activity_total, obligation
from stage_engine.repository.figures.present import of_present, present
from stage_engine.repository.figures.sampling import CENSORED, COUNTED, EXCLUDED, Ask, number, sample, there

_a, _b = activity.c, obligation.c
_CALL, _MEETING = "call", "meeting"

# The team is that of today; what was owed before a stage was known belongs to none.
owed = (
    select(
        *_b,
        func.coalesce(person.c.manager_id, "").label("team_id"),
        opportunity.c.segment,
        literal("").label("stage_key"),
        # Tells those of one opportunity apart.
        cast(func.extract("epoch", _b.made_at) * 1_000_000, obligation.c.wall_seconds.type).label("decision_no"),
    )
    .select_from(
        obligation.join(opportunity, there(obligation)).outerjoin(
            person, and_(person.c.tenant_id == _b.tenant_id, person.c.person_id == _b.owner_id)
        )
    )
    .subquery("owed")
)


def _owed(state: Any, at: Any, numerator: Any, denominator: Any = 1) -> Select[Any]:
    of = owed.c
    return sample(
        owed, at, state, numerator, denominator, category=of.key, path=of.source, hour=cast(of.hour, Text)
    )  # fmt: skip


def obligations_in_time(ask: Ask) -> Select[Any]:
    """Due in the period, and whether met by then."""
    of = owed.c
    state = case((of.state == "cancelled", EXCLUDED), (of.state == "open", CENSORED), else_=COUNTED)
    return _owed(state, of.due, number(of.state == "met")).where(ask.of(owed), ask.within(of.due))


def _taken(ask: Ask, time: Any) -> Select[Any]:
    """Made in the period, and how long it took. What was never met took longer than anything: it has no number."""
    of = owed.c
    out = or_(of.state == "cancelled", and_(of.met_at.is_not(None), time.is_(None)))
    state = case((out, EXCLUDED), (of.state == "open", CENSORED), else_=COUNTED)
    found = _owed(state, of.made_at, time, number(of.met_at.is_not(None)))
    return found.where(ask.of(owed), ask.within(of.made_at))


def time_to_meet(ask: Ask) -> Select[Any]:
    return _taken(ask, owed.c.wall_seconds)


def business_time_to_meet(ask: Ask) -> Select[Any]:
    return _taken(ask, owed.c.business_seconds)


def touched(ask: Ask) -> Select[Any]:
    """Open ones, and whether there was a call within the horizon before now."""
    of, total = present.c, activity_total.c
    since = ask.now - ask.horizon
    called = and_(total.count > 0, total.last_at >= since)
    found = sample(present, literal(ask.now), COUNTED, number(func.coalesce(called, False)))
    calls = and_(total.subject_id == of.opportunity_id, total.kind == _CALL)
    return of_present(ask, found.select_from(present.outerjoin(activity_total, calls)))


def _done(ask: Ask, *conditions: Any) -> Select[Any]:
    """What took place in the period, each once, whatever it was about."""
    once = (
        select(
            _a.tenant_id, _a.subject_id.label("opportunity_id"), _a.kind, _a.occurred_at,
            _a.person_id.label("owner_id"), opportunity.c.object_type, opportunity.c.pipeline_key,
            opportunity.c.stage_key, opportunity.c.segment, func.coalesce(person.c.manager_id, "").label("team_id"),
            func.row_number().over(partition_by=_a.activity_id, order_by=_a.subject_id).label("revision"),
        )
        .select_from(
            activity.join(
                opportunity,
                and_(opportunity.c.tenant_id == _a.tenant_id, opportunity.c.opportunity_id == _a.subject_id,
                     opportunity.c.object_type == ask.object_type, ~opportunity.c.deleted),
            ).outerjoin(person, and_(person.c.tenant_id == _a.tenant_id, person.c.person_id == _a.person_id))
        )
        .where(_a.done, ~_a.withdrawn, ask.within(_a.occurred_at), *conditions)
        .subquery("once")
    )  # fmt: skip
    return sample(once, once.c.occurred_at, COUNTED, 1, category=once.c.kind).where(ask.of(once), once.c.revision == 1)


def activities(ask: Ask) -> Select[Any]:
    return _done(ask)


def meetings(ask: Ask) -> Select[Any]:
    return _done(ask, _a.kind == _MEETING)
