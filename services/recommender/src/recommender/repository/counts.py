"""Queries of the model."""

from collections import Counter
from collections.abc import Collection

from kit.database.sets import among, among_rows
from sqlalchemy import select

from recommender import models as t
from recommender.domain.history import Cell, Lessons, Total
from recommender.domain.model import CountTable, count_table
from recommender.records import CountRecord, TotalRecord
from recommender.repository.base import TenantRepository


class CountRepository(TenantRepository):
    """Counts of past cases and totals of pipelines."""

    async def learn(self, difference: Lessons) -> None:
        """Add what changed to the counts; differences may be negative."""
        cases = [
            CountRecord(cell.pipeline_key, cell.stage_key, cell.assessment_key, cell.band, label, count)
            for (cell, label), count in sorted(difference.cases.items())
            if count
        ]
        totals = [
            TotalRecord(pipeline_key, total.value, count)
            for (pipeline_key, total), count in sorted(difference.totals.items())
            if count
        ]
        await self._upsert(t.visit_count, cases, add="cases")
        await self._upsert(t.pipeline_total, totals, add="count")

    async def count_table(self, stages: Collection[tuple[str, str]]) -> CountTable:
        """Counts of all cells of these (pipeline, stage) pairs."""
        c = t.visit_count.c
        statement = select(c.pipeline_key, c.stage_key, c.assessment_key, c.band, c.label, c.cases).where(
            self._own(t.visit_count), among_rows((c.pipeline_key, c.stage_key), stages), c.cases > 0
        )
        return count_table((Cell(*row[:4]), row[4], row[5]) for row in await self._session.execute(statement))

    async def totals(self, pipeline_keys: Collection[str]) -> dict[str, Counter[Total]]:
        """Totals of these pipelines, zero where there are none."""
        c = t.pipeline_total.c
        statement = select(c.pipeline_key, c.total, c.count).where(
            self._own(t.pipeline_total), among(c.pipeline_key, pipeline_keys)
        )
        totals: dict[str, Counter[Total]] = {key: Counter() for key in pipeline_keys}
        for pipeline_key, total, count in await self._session.execute(statement):
            totals[pipeline_key][Total(total)] = count
        return totals
