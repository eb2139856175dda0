"""Migrations, and the opportunities that they carry to another version of a pipeline."""

from dataclasses import asdict
from uuid import UUID

from kit.database.rows import columns, record, records
from sqlalchemy import and_, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from stage_engine.domain.versions import Held
from stage_engine.models.opportunities import decision, opportunity
from stage_engine.models.pipelines import migration
from stage_engine.records.opportunities import OpportunityState
from stage_engine.records.pipelines import MigrationRecord

_MIGRATION = columns(migration, MigrationRecord)
# Open, or not yet in any stage.
_LIVE = and_(or_(opportunity.c.category == "open", opportunity.c.category == ""), ~opportunity.c.deleted)


class MigrationRepository:
    """Row-level security confines every statement to the transaction's tenant; writes name it."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def add(self, started: MigrationRecord) -> None:
        await self._session.execute(insert(migration).values(tenant_id=self._tenant_id, **asdict(started)))

    async def under_way(self, key: str) -> MigrationRecord | None:
        statement = select(*_MIGRATION).where(migration.c.pipeline_key == key, migration.c.finished_at.is_(None))
        return await record(self._session, statement, MigrationRecord)

    async def one(self, key: str, migration_id: UUID) -> MigrationRecord | None:
        statement = select(*_MIGRATION).where(migration.c.migration_id == migration_id, migration.c.pipeline_key == key)
        return await record(self._session, statement, MigrationRecord)

    async def many(self, key: str, after: UUID, limit: int) -> list[MigrationRecord]:
        statement = (
            select(*_MIGRATION)
            .where(migration.c.pipeline_key == key, migration.c.migration_id > after)
            .order_by(migration.c.migration_id)
            .limit(limit)
        )
        return await records(self._session, statement, MigrationRecord)

    async def take(self, migration_id: UUID) -> MigrationRecord | None:
        """The migration, for this transaction alone; None when it is finished, or another one has it."""
        statement = (
            select(*_MIGRATION)
            .where(migration.c.migration_id == migration_id, migration.c.finished_at.is_(None))
            .with_for_update(skip_locked=True)
        )
        return await record(self._session, statement, MigrationRecord)

    async def went_on(self, migration_id: UUID, after: str, moved: int, left: int, *, finished: bool) -> None:
        """Note the page that this transaction carries over."""
        of_it = update(migration).where(migration.c.migration_id == migration_id)
        finished_at = func.now() if finished else migration.c.finished_at
        await self._session.execute(
            of_it.values(
                after=after, moved=migration.c.moved + moved, left=migration.c.left + left, finished_at=finished_at
            )
        )

    async def held(self, key: str, besides: int = 0) -> list[Held]:
        """Where the live opportunities of a pipeline are, but for those of one version."""
        of = opportunity.c
        statement = (
            select(
                of.pipeline_version.label("version"), of.stage_key, of.earned_stage, func.count().label("opportunities")
            )
            .where(of.pipeline_key == key, of.pipeline_version != besides, _LIVE)
            .group_by(of.pipeline_version, of.stage_key, of.earned_stage)
            .order_by(of.pipeline_version, of.stage_key, of.earned_stage)
        )
        return await records(self._session, statement, Held)

    async def live(self, key: str, besides: int, after: str, limit: int) -> list[OpportunityState]:
        """The next live opportunities of a pipeline by id, but for those of one version."""
        of = opportunity.c
        statement = (
            select(of.opportunity_id, of.state)
            .where(of.pipeline_key == key, of.pipeline_version != besides, _LIVE, of.opportunity_id > after)
            .order_by(of.opportunity_id)
            .limit(limit)
        )
        return await records(self._session, statement, OpportunityState)

    async def carried(self, migration_id: UUID, after: str, limit: int) -> list[OpportunityState]:
        """The next opportunities that a migration has carried over, by id, as they were before."""
        statement = (
            select(decision.c.opportunity_id, decision.c.before.label("state"))
            .where(decision.c.identity == f"migration:{migration_id}", decision.c.opportunity_id > after)
            .order_by(decision.c.opportunity_id)
            .limit(limit)
        )
        return await records(self._session, statement, OpportunityState)
