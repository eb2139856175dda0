"""One recommendation: made from the counts, told as a row and as an event."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from kit.ids import derived, uuid_of
from stagecraft.recommendation.v1.stage_recommended_pb2 import StageProbability, StageRecommended

from recommender.domain.history import Cell, Total
from recommender.domain.model import CountTable, Estimate, estimate
from recommender.facts import PublishedPipeline
from recommender.repository.base import columns


@dataclass(frozen=True, slots=True)
class Advice:
    """A recommendation or abstention, with its place in the deal's series and all it rests on."""

    recommendation_id: UUID
    opportunity_id: str
    recommendation_no: int
    submission_id: str
    score_id: str
    cell: Cell
    estimate: Estimate
    model_version: str
    recommended_at: datetime


class Experience:
    """What past cases say, asked for many deals at once: of a cell once for all deals that taught nothing of it."""

    def __init__(self, table: CountTable, totals: Mapping[str, Mapping[Total, int]]) -> None:
        self._table = table
        self._totals = totals
        self._of_others: dict[Cell, Estimate] = {}

    def of(self, cell: Cell, pipeline: PublishedPipeline, own: Mapping[tuple[Cell, str], int]) -> Estimate:
        """The estimate for a cell of the pipeline, without the deal's own cases."""
        found = None if own else self._of_others.get(cell)
        if found is None:
            found = estimate(self._table.levels(cell, own), self._totals[pipeline.pipeline_key], pipeline.stage_keys)
            if not own:
                self._of_others[cell] = found
        return found


def recommendation_id(tenant_id: str, score_id: str) -> UUID:
    """One per score of a tenant, the same whenever it is made."""
    try:
        origin = uuid_of(score_id)
    except ValueError:
        origin = UUID(int=0)
    return derived(origin, f"recommendation on {score_id} for {tenant_id}")


def ranked(probabilities: Mapping[str, float]) -> list[tuple[str, float]]:
    """Stages with their probabilities, most probable first; equals in the order of the pipeline."""
    return sorted(probabilities.items(), key=lambda item: -item[1])


def row_of(advice: Advice) -> dict[str, Any]:
    """The recommendation as it is stored."""
    found = advice.estimate
    return {
        "recommendation_id": advice.recommendation_id,
        "opportunity_id": advice.opportunity_id,
        "recommendation_no": advice.recommendation_no,
        "submission_id": advice.submission_id,
        "score_id": advice.score_id,
        **columns(advice.cell),
        "recommended_stage": found.recommended_stage,
        "abstention_code": found.abstention,
        "level": found.level,
        "support": found.support,
        "counts": found.counts,
        "probabilities": ranked(found.probabilities),
        "lower_bound": found.lower_bound,
        "runner_up": found.runner_up,
        "model_version": advice.model_version,
        "recommended_at": advice.recommended_at,
    }


def event_of(advice: Advice) -> StageRecommended:
    """The recommendation as it is published; `current_stage` is that of the capture, as all its features are."""
    found = advice.estimate
    message = StageRecommended(
        recommendation_id=str(advice.recommendation_id),
        opportunity_id=advice.opportunity_id,
        pipeline_key=advice.cell.pipeline_key,
        current_stage=advice.cell.stage_key,
        recommended_stage=found.recommended_stage or "",
        abstained=found.abstention is not None,
        abstention_code=found.abstention or "",
        support=found.support,
        probabilities=[StageProbability(stage_key=s, probability=p) for s, p in ranked(found.probabilities)],
        model_version=advice.model_version,
        submission_id=advice.submission_id,
    )
    message.recommended_at.FromDatetime(advice.recommended_at)
    return message
