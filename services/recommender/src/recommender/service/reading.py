"""What was recommended and what the model holds, for people and for other programs."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from kit.database.unit_of_work import UnitOfWork
from kit.http.ownership import Owners

from recommender.domain.bands import band_order
from recommender.domain.history import Cell, Total
from recommender.domain.model import Abstention, CountTable, Estimate, is_cold, model_version
from recommender.domain.skill import Model
from recommender.errors import AssessmentUnknown, PipelineNotFound, RecommendationNotFound, StageUnknown
from recommender.facts import PublishedPipeline
from recommender.records import RecommendationInPlace
from recommender.repository import (
    CountRepository,
    HistoryRepository,
    RecommendationRepository,
    ReplicaRepository,
)

CellPlace = tuple[str, tuple[bool, Decimal], str]


def cell_place(assessment_key: str, band: str) -> CellPlace:
    """A key that sorts the cells of one stage by assessment, then by score."""
    return assessment_key, band_order(band), band


@dataclass(frozen=True, slots=True)
class CellState:
    """A cell of the table, and what the model would say to evidence in it."""

    cell: Cell
    assessment_title: str
    counts: dict[str, int]
    estimate: Estimate

    @property
    def place(self) -> CellPlace:
        return cell_place(self.cell.assessment_key, self.cell.band)


@dataclass(frozen=True, slots=True)
class PipelineState:
    """How much the model knows of a pipeline, and in how many cells it would recommend or abstain, by code."""

    pipeline: PublishedPipeline
    totals: Mapping[Total, int]
    cases: int
    is_cold: bool
    recommending: int
    abstaining: dict[Abstention, int]

    @property
    def model_version(self) -> str:
        return model_version(self.pipeline.pipeline_key, self.pipeline.version)


class Reading:
    """Every question the API answers; nothing here writes."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._replicas = ReplicaRepository(uow.session, uow.tenant_id)
        self._histories = HistoryRepository(uow.session, uow.tenant_id)
        self._counts = CountRepository(uow.session, uow.tenant_id)
        self._recommendations = RecommendationRepository(uow.session, uow.tenant_id)

    async def latest(self, owners: Owners, opportunity_id: str) -> RecommendationInPlace:
        """The newest recommendation for an opportunity of these owners. RecommendationNotFound before its first."""
        absent = RecommendationNotFound(f"Nothing was recommended for an opportunity {opportunity_id} of yours yet.")
        row = await self._recommendations.latest_recommendation(opportunity_id)
        if row is None:
            raise absent
        owners.demand(row.owner_id, absent)
        return row

    async def newest(self, owners: Owners, before: tuple[Any, UUID] | None, limit: int) -> list[RecommendationInPlace]:
        """Recommendations of these owners' opportunities, newest first."""
        return await self._recommendations.recommendations(owners, before, limit)

    async def state(self) -> list[PipelineState]:
        """The state of the model per pipeline."""
        pipelines = await self._replicas.all_pipelines()
        totals = await self._counts.totals([pipeline.pipeline_key for pipeline in pipelines])
        table = await self._counts.count_table([(p.pipeline_key, key) for p in pipelines for key in p.stage_keys])
        return [_state(pipeline, totals[pipeline.pipeline_key], table) for pipeline in pipelines]

    async def waiting(self) -> dict[str, int]:
        """How many submissions wait for another topic, by what for."""
        return await self._histories.waiting()

    async def cells(self, pipeline_key: str | None, stage_key: str) -> list[CellState]:
        """The table of one stage, ordered by assessment and score. StageUnknown, PipelineNotFound."""
        pipeline = await self._pipeline(pipeline_key)
        _check_stage(pipeline, stage_key, "/query/stage")
        table, totals = await self._known(pipeline, stage_key)
        titles = await self._replicas.assessment_titles()
        model = Model(table)
        states = [
            CellState(
                cell,
                titles.get(cell.assessment_key, cell.assessment_key),
                dict(table.by_cell[cell]),
                model.answer(cell, totals, pipeline.stage_keys),
            )
            for cell in table.by_cell
        ]
        return sorted(states, key=lambda state: state.place)

    async def preview(
        self, pipeline_key: str | None, stage_key: str, assessment_key: str, score: Decimal | None
    ) -> tuple[Cell, Estimate, str]:
        """What would be recommended for such a score, and by which model; nothing is stored.

        StageUnknown, PipelineNotFound; AssessmentUnknown when the assessment has no scoring profile.
        """
        pipeline = await self._pipeline(pipeline_key)
        _check_stage(pipeline, stage_key, "/stage_key")
        bands = await self._replicas.newest_banding(assessment_key)
        if bands is None:
            raise AssessmentUnknown(assessment_key)
        cell = Cell(pipeline.pipeline_key, stage_key, assessment_key, bands.band(score))
        table, totals = await self._known(pipeline, stage_key)
        answer = Model(table).answer(cell, totals, pipeline.stage_keys)
        return cell, answer, model_version(pipeline.pipeline_key, pipeline.version)

    async def _pipeline(self, pipeline_key: str | None) -> PublishedPipeline:
        if pipeline_key is None:
            found = (await self._replicas.all_pipelines())[:1]
        else:
            found = list((await self._replicas.pipelines([pipeline_key])).values())
        if not found:
            detail = f"The pipeline {pipeline_key} is not published." if pipeline_key else "No pipeline is published."
            raise PipelineNotFound(detail)
        return found[0]

    async def _known(self, pipeline: PublishedPipeline, stage_key: str) -> tuple[CountTable, Counter[Total]]:
        table = await self._counts.count_table([(pipeline.pipeline_key, stage_key)])
        totals = await self._counts.totals([pipeline.pipeline_key])
        return table, totals[pipeline.pipeline_key]


def _check_stage(pipeline: PublishedPipeline, stage_key: str, pointer: str) -> None:
    if stage_key not in pipeline.stage_keys:
        raise StageUnknown(pointer, stage_key, pipeline.pipeline_key)


def _state(pipeline: PublishedPipeline, totals: Counter[Total], table: CountTable) -> PipelineState:
    cells = [cell for cell in table.by_cell if cell.pipeline_key == pipeline.pipeline_key]
    model = Model(table)
    verdicts = Counter(model.answer(cell, totals, pipeline.stage_keys).abstention for cell in cells)
    return PipelineState(
        pipeline=pipeline,
        totals=totals,
        cases=sum(table.by_cell[cell].total() for cell in cells),
        is_cold=is_cold(totals),
        recommending=verdicts.pop(None, 0),
        abstaining={code: count for code, count in verdicts.items() if code is not None},
    )
