"""Assignment rules, what they led to, and the people they choose from."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from kit.database import bulk
from kit.database.rows import columns, record, records
from kit.database.sets import among
from kit.database.tables import person
from kit.http.ownership import Owners
from pydantic import TypeAdapter
from sqlalchemy import Select, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from stage_engine.domain.assignment import AssignmentRules
from stage_engine.models.opportunities import decision, opportunity
from stage_engine.models.work import assignment, assignment_rules
from stage_engine.records.work import AssignmentRecord, AssignmentRulesRecord, FirstSeen, WorkerRecord

_RULES = TypeAdapter(AssignmentRules)
# The load is counted in an index of what is open; the last turn is the end of another.
_BENCH = """
    SELECT
        person.person_id,
        person.active,
        (SELECT count(*) FROM opportunity
         WHERE opportunity.tenant_id = $1 AND opportunity.assignee_id = person.person_id
           AND opportunity.category = 'open' AND NOT opportunity.deleted AND opportunity.object_type = $3),
        (SELECT max(assignment.assigned_at) FROM assignment
         WHERE assignment.tenant_id = $1 AND assignment.object_type = $3
           AND assignment.person_id = person.person_id)
    FROM person
    WHERE person.tenant_id = $1 AND person.person_id = ANY($2)
"""


class AssignmentRepository:
    """Row-level security confines every statement to the transaction's tenant; writes name it."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def newest(self, object_type: str) -> AssignmentRulesRecord | None:
        """The rules in force for a type of object."""
        of = assignment_rules.c
        statement = select(*columns(assignment_rules, AssignmentRulesRecord)).where(of.object_type == object_type)
        return await record(self._session, statement.order_by(of.version.desc()).limit(1), AssignmentRulesRecord)

    async def add(self, object_type: str, version: int, rules: AssignmentRules, by: str) -> None:
        """Append a version."""
        document = _RULES.dump_python(rules, mode="json")
        row = insert(assignment_rules).values(
            tenant_id=self._tenant_id, object_type=object_type, version=version, document=document, changed_by=by
        )
        await self._session.execute(row)

    def keep(self, made: Sequence[AssignmentRecord]) -> None:
        """Append to the log, with the commit."""
        bulk.defer(self._session, assignment, made)

    async def bench(self, object_type: str, person_ids: Collection[str]) -> list[WorkerRecord]:
        """Those of these people whom the CRM has, with what they have open of this type."""
        driver = await bulk.driver_of(self._session)
        found = await driver.fetch(_BENCH, self._tenant_id, sorted(person_ids), object_type)
        return [WorkerRecord(*row) for row in found]

    async def active(self, person_ids: Collection[str]) -> set[str]:
        """Those of these people who are users of the CRM now."""
        statement = select(person.c.person_id).where(among(person.c.person_id, person_ids), person.c.active)
        return set((await self._session.execute(statement)).scalars())

    async def first_seen(self, object_type: str, since: datetime, owners: Owners, limit: int) -> list[FirstSeen]:
        """Subjects that came since then, as they were first decided on, the newest first."""
        return await records(self._session, first_seen(self._tenant_id, object_type, since, owners, limit), FirstSeen)


def first_seen(tenant_id: str, object_type: str, since: datetime, owners: Owners, limit: int) -> Select[Any]:
    """The statement."""
    of, made = opportunity.c, decision.c
    return (
        select(*columns(decision, FirstSeen))
        .join(opportunity, (of.tenant_id == made.tenant_id) & (of.opportunity_id == made.opportunity_id))
        .where(
            of.tenant_id == tenant_id, of.object_type == object_type, of.created_at >= since, made.decision_no == 1,
            owners.condition(of.owner_id),
        )
        .order_by(of.created_at.desc())
        .limit(limit)
    )  # fmt: skip
