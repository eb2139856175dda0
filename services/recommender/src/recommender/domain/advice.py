"""One recommendation, or abstention, with all that it rests on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from recommender.domain.history import Cell
from recommender.domain.model import Estimate


@dataclass(frozen=True, slots=True)
class Advice:
    """A recommendation or abstention, with its place in the series of its opportunity."""

    recommendation_id: UUID
    opportunity_id: str
    recommendation_no: int
    submission_id: str
    score_id: str
    cell: Cell
    estimate: Estimate
    model_version: str
    recommended_at: datetime


def ranked(probabilities: Mapping[str, float]) -> list[tuple[str, float]]:
    """Stages with their probabilities, most probable first; equals in the order of the pipeline."""
    return sorted(probabilities.items(), key=lambda item: -item[1])
