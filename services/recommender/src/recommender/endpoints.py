"""HTTP in and out. Every route reads; a recommendation never moves a stage."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Path, Query
from kit.http.auth import Caller, requires
from kit.http.ownership import Owners
from kit.http.pagination import Page, Paging, invalid_cursor
from kit.http.texts import RecordId
from kit.http.web import Uow, router

from recommender.domain.advice import ranked
from recommender.domain.history import Total
from recommender.domain.model import CHAMPION_0
from recommender.records import RecommendationInPlace
from recommender.schemas import (
    Advised,
    Alternative,
    CellVerdicts,
    ModelCell,
    ModelState,
    PipelineModel,
    PriorStrengths,
    Reasons,
    RecommendationPreview,
    StageRecommendation,
)
from recommender.service import Reading
from recommender.service.reading import CellPlace, CellState, PipelineState, cell_place

router = router("recommendations", dependencies=[requires("recommendations:read")])


@router.get("/opportunities/{opportunity_id}/recommendation")
async def get_recommendation(
    opportunity_id: Annotated[RecordId, Path(examples=["006Qy00000AbCdEIAV"])], uow: Uow, caller: Caller
) -> StageRecommendation:
    """The latest recommendation for an opportunity, with its reasons."""
    return _recommendation(await Reading(uow).latest(Owners.seen_by(caller), opportunity_id))


@router.get("/recommendations")
async def list_recommendations(paging: Paging, uow: Uow, caller: Caller) -> Page[StageRecommendation]:
    """Recommendations, newest first; a rep sees those for their own opportunities."""
    owners = Owners.seen_by(caller)
    found = await Reading(uow).newest(owners, paging.after(datetime, UUID), paging.limit + 1)
    return paging.page(found, lambda made: [made.recommended_at, made.recommendation_id], _recommendation)


@router.post("/recommendations/preview")
async def preview_recommendation(preview: RecommendationPreview, uow: Uow) -> Advised:
    """What would be recommended for such evidence. Nothing is stored or published."""
    cell, estimate, version = await Reading(uow).preview(
        preview.pipeline_key, preview.stage_key, preview.assessment_key, preview.score
    )
    return Advised(
        pipeline_key=cell.pipeline_key,
        stage_at_capture=cell.stage_key,
        recommended_stage=estimate.recommended_stage,
        abstention_code=estimate.abstention,
        reasons=Reasons(
            assessment_key=cell.assessment_key,
            band=cell.band,
            level=estimate.level,
            support=estimate.support,
            counts=estimate.counts,
            lower_bound=estimate.lower_bound,
            runner_up=estimate.runner_up,
        ),
        alternatives=_alternatives(ranked(estimate.probabilities)),
        model_version=version,
    )


@router.get("/model")
async def get_model(uow: Uow) -> ModelState:
    """How much the model knows of each pipeline, and where it abstains."""
    reading = Reading(uow)
    return ModelState(
        priors=PriorStrengths(**asdict(CHAMPION_0)),
        pipelines=[_pipeline(state) for state in await reading.state()],
        waiting=await reading.waiting(),
    )


@router.get("/model/cells")
async def list_model_cells(
    paging: Paging,
    uow: Uow,
    stage: Annotated[str, Query(max_length=200, description="stage at capture", examples=["prospecting"])],
    pipeline: Annotated[
        str | None, Query(max_length=200, description="the tenant's default pipeline when left out")
    ] = None,
) -> Page[ModelCell]:
    """The table itself for one stage: past cases by assessment and score band, and where they led."""
    cells = await Reading(uow).cells(pipeline, stage)
    after = _place_in_table(paging.after(str, str))
    rest = [state for state in cells if after is None or state.place > after]
    return paging.page(rest, lambda state: [state.cell.assessment_key, state.cell.band], _cell)


def _recommendation(made: RecommendationInPlace) -> StageRecommendation:
    values = {
        **asdict(made),
        "stage_at_capture": made.stage_key,
        "reasons": Reasons.model_validate(made, from_attributes=True),
        "alternatives": _alternatives(made.probabilities),
    }
    return StageRecommendation.model_validate(values, extra="ignore")


def _alternatives(probabilities: Iterable[tuple[str, float]]) -> list[Alternative]:
    return [Alternative(stage_key=stage, probability=probability) for stage, probability in probabilities]


def _pipeline(state: PipelineState) -> PipelineModel:
    pipeline, totals = state.pipeline, state.totals
    return PipelineModel(
        pipeline_key=pipeline.pipeline_key,
        name=pipeline.name,
        pipeline_version=pipeline.version,
        is_default=pipeline.is_default,
        model_version=state.model_version,
        is_cold=state.is_cold,
        ended_visits=totals[Total.ENDED_VISITS],
        won=totals[Total.WON],
        lost=totals[Total.LOST],
        abandoned=totals[Total.ABANDONED],
        cases=state.cases,
        cells=CellVerdicts(recommending=state.recommending, abstaining=state.abstaining),
    )


def _cell(state: CellState) -> ModelCell:
    estimate = state.estimate
    return ModelCell(
        assessment_key=state.cell.assessment_key,
        assessment_title=state.assessment_title,
        band=state.cell.band,
        cases=sum(state.counts.values()),
        counts=state.counts,
        recommended_stage=estimate.recommended_stage,
        abstention_code=estimate.abstention,
        level=estimate.level,
        support=estimate.support,
        alternatives=_alternatives(ranked(estimate.probabilities)),
    )


def _place_in_table(key: tuple[str, str] | None) -> CellPlace | None:
    try:
        return cell_place(*key) if key else None
    except ValueError as error:
        raise invalid_cursor() from error
