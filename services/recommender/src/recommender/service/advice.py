"""Recommendations: what past cases say, and how one is stored."""

from collections.abc import Mapping
from uuid import UUID

from kit.ids import derived, uuid_of

from recommender.domain.advice import Advice, ranked
from recommender.domain.history import Cell, Total
from recommender.domain.model import CountTable, Estimate
from recommender.domain.skill import Model
from recommender.facts import PublishedPipeline
from recommender.records import RecommendationRecord


class Experience:
    """What past cases say, for many opportunities at once. A cell is estimated once for all opportunities without cases
    of their own in it."""

    def __init__(self, table: CountTable, totals: Mapping[str, Mapping[Total, int]]) -> None:
        self._model = Model(table)
        self._totals = totals
        self._of_others: dict[Cell, Estimate] = {}

    def of(self, cell: Cell, pipeline: PublishedPipeline, own: Mapping[tuple[Cell, str], int]) -> Estimate:
        """The estimate for a cell of the pipeline, without the opportunity's own cases."""
        found = None if own else self._of_others.get(cell)
        if found is None:
            found = self._model.answer(cell, self._totals[pipeline.pipeline_key], pipeline.stage_keys, own)
            if not own:
                self._of_others[cell] = found
        return found


def recommendation_id(tenant_id: str, score_id: str) -> UUID:
    """One for each score of a tenant, always the same."""
    try:
        origin = uuid_of(score_id)
    except ValueError:
        origin = UUID(int=0)
    return derived(origin, f"recommendation on {score_id} for {tenant_id}")


def record_of(advice: Advice) -> RecommendationRecord:
    """The recommendation as it is stored."""
    found, cell = advice.estimate, advice.cell
    return RecommendationRecord(
        recommendation_id=advice.recommendation_id,
        opportunity_id=advice.opportunity_id,
        recommendation_no=advice.recommendation_no,
        submission_id=advice.submission_id,
        score_id=advice.score_id,
        pipeline_key=cell.pipeline_key,
        stage_key=cell.stage_key,
        assessment_key=cell.assessment_key,
        band=cell.band,
        recommended_stage=found.recommended_stage,
        abstention_code=found.abstention,
        level=found.level,
        support=found.support,
        counts=found.counts,
        probabilities=tuple(ranked(found.probabilities)),
        lower_bound=found.lower_bound,
        runner_up=found.runner_up,
        model_version=advice.model_version,
        recommended_at=advice.recommended_at,
    )
