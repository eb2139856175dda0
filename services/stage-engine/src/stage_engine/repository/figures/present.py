"""Opportunities as they are now."""

from typing import Any

from kit.database.tables import person
from sqlalchemy import Select, and_, func, select, text

from stage_engine.models.opportunities import LOAD, opportunity
from stage_engine.repository.figures.sampling import Ask

_o = opportunity.c
# Open ones that have a stage; the team is that of today.
present = (
    select(
        *(_o[name] for name in (
            "opportunity_id", "object_type", "pipeline_key", "stage_key", "stage_rank", "earned_rank", "earned_stage",
            "amount", "currency", "owner_id", "segment", "forecast", "earned_forecast", "close_date",
            "visit_opened_at", "expected_at", "rotten_at", "stalled_at",
        )),
        func.coalesce(person.c.manager_id, "").label("team_id"),
    )
    .select_from(
        opportunity.outerjoin(
            person, and_(person.c.tenant_id == _o.tenant_id, person.c.person_id == _o.owner_id)
        )
    )
    .where(text(f"opportunity.{LOAD.replace('NOT ', 'NOT opportunity.')}"), _o.stage_key != "")
    .subquery("present")
)  # fmt: skip


def of_present(ask: Ask, found: Select[Any]) -> Select[Any]:
    """Those that are asked for."""
    return found.where(ask.of(present))
