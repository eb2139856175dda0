"""Pipelines with their mapping, and the texts of assessments."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from crm_connector.domain.stages import Category, PipelineStage
from crm_connector.domain.writes import QuestionText
from crm_connector.models import assessment_text, pipeline, stage_mapping


@dataclass(frozen=True, slots=True)
class PipelineRow:
    """A pipeline's newest version; `pairs` is its mapping when a person set one, `mapping_revision` counts those."""

    pipeline_key: str
    version: int
    name: str
    is_default: bool
    stages: tuple[PipelineStage, ...]
    mapping_revision: int
    pairs: Mapping[str, str]


class DefinitionRepository:
    """What others defined for one tenant."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def pipelines(self) -> dict[str, PipelineRow]:
        """All pipelines by key."""
        m = stage_mapping.c
        statement = select(m.pipeline_key, m.stage_key, m.crm_stage).where(m.tenant_id == self._tenant_id)
        pairs: dict[str, dict[str, str]] = {}
        for row in await self._session.execute(statement.order_by(m.stage_key)):
            pairs.setdefault(row.pipeline_key, {})[row.stage_key] = row.crm_stage
        found = await self._session.execute(select(pipeline).where(pipeline.c.tenant_id == self._tenant_id))
        return {
            row["pipeline_key"]: PipelineRow(
                row["pipeline_key"],
                row["version"],
                row["name"],
                row["is_default"],
                tuple(
                    PipelineStage(stage["key"], stage["name"], Category(stage["category"])) for stage in row["stages"]
                ),
                row["mapping_revision"],
                pairs.get(row["pipeline_key"], {}),
            )
            for row in found.mappings()
        }

    async def keep_pipeline(self, row: Mapping[str, Any], now: datetime) -> bool:
        """Keep this version unless a newer one is known; whether it was kept. There is one default at most."""
        p = pipeline.c
        given = {name: row[name] for name in ("version", "name", "is_default", "stages")}
        statement = insert(pipeline).values(
            tenant_id=self._tenant_id, pipeline_key=row["pipeline_key"], mapping_revision=0, **given
        )
        kept = await self._session.execute(
            statement.on_conflict_do_update(
                index_elements=["tenant_id", "pipeline_key"],
                set_={**given, "updated_at": now},
                where=p.version <= row["version"],
            ).returning(p.pipeline_key)
        )
        if kept.first() is None:
            return False
        if row["is_default"]:
            await self._session.execute(
                update(pipeline)
                .where(
                    p.tenant_id == self._tenant_id,
                    p.pipeline_key != row["pipeline_key"],
                    p.is_default.is_(True),
                )
                .values(is_default=False)
            )
        return True

    async def lock_mapping_revision(self, pipeline_key: str) -> int | None:
        """The mapping's revision, for the rest of the transaction; None when there is no such pipeline."""
        p = pipeline.c
        statement = select(p.mapping_revision).where(p.tenant_id == self._tenant_id, p.pipeline_key == pipeline_key)
        return (await self._session.execute(statement.with_for_update())).scalar_one_or_none()

    async def replace_pairs(self, pipeline_key: str, pairs: Mapping[str, str], revision: int) -> None:
        """Make these the pipeline's mapping."""
        m, p = stage_mapping.c, pipeline.c
        await self._session.execute(
            delete(stage_mapping).where(m.tenant_id == self._tenant_id, m.pipeline_key == pipeline_key)
        )
        rows = [
            {
                "tenant_id": self._tenant_id,
                "pipeline_key": pipeline_key,
                "stage_key": stage_key,
                "crm_stage": crm_stage,
            }
            for stage_key, crm_stage in pairs.items()
        ]
        if rows:
            await self._session.execute(insert(stage_mapping), rows)
        await self._session.execute(
            update(pipeline)
            .where(p.tenant_id == self._tenant_id, p.pipeline_key == pipeline_key)
            .values(mapping_revision=revision)
        )

    async def keep_texts(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Keep the texts of assessment versions; a version never changes."""
        given = [{"tenant_id": self._tenant_id, **row} for row in rows]
        if given:
            await self._session.execute(insert(assessment_text).on_conflict_do_nothing(), given)

    async def texts(self, versions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], dict[str, QuestionText]]:
        """The question texts of these assessment versions, as far as they are known."""
        wanted = sorted(set(versions))
        if not wanted:
            return {}
        t = assessment_text.c
        statement = select(t.assessment_key, t.version, t.questions).where(
            t.tenant_id == self._tenant_id, tuple_(t.assessment_key, t.version).in_(wanted)
        )
        return {
            (row.assessment_key, row.version): {
                key: QuestionText(question["text"], question["choices"]) for key, question in row.questions.items()
            }
            for row in await self._session.execute(statement)
        }
