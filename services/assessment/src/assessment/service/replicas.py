"""What other services said, kept as replicas: the newest state of each opportunity, and every fact once."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from kit.database.unit_of_work import UnitOfWork

from assessment.records import (
    ChangeRecord,
    DecisionRecord,
    ObservationRecord,
    PipelineRecord,
    ProfileRecord,
    RecommendationRecord,
    ScoreRecord,
    StageRecord,
    WaitingRecord,
)
from assessment.repository.replica import ReplicaRepository

Side = TypeVar("Side", ObservationRecord, StageRecord, RecommendationRecord, WaitingRecord)


class Replicas:
    """Everything consumers do, in the transaction of their batch."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._repository = ReplicaRepository(uow.session)

    def observe(self, observations: Sequence[ObservationRecord]) -> None:
        """The CRM's side of opportunities; the last observation counts."""
        self._repository.observe(_newest(observations, lambda each: each.observed_no))

    def change_stages(self, changes: Sequence[ChangeRecord], stages: Sequence[StageRecord]) -> None:
        """Stage and visit, by the highest revision, and every change for the timeline."""
        self._repository.change_stages(changes, _newest(stages, lambda each: each.revision))

    def publish_pipelines(self, pipelines: Sequence[PipelineRecord]) -> None:
        """Which assessments count in which stage, of every version."""
        self._repository.publish_pipelines(pipelines)

    def publish_profiles(self, profiles: Sequence[ProfileRecord]) -> None:
        """Which assessment versions have points."""
        self._repository.publish_profiles(profiles)

    def score(self, scores: Sequence[ScoreRecord]) -> None:
        """Scores of submissions."""
        self._repository.score(scores)

    def decide(self, decisions: Sequence[DecisionRecord], waiting: Sequence[WaitingRecord]) -> None:
        """Decisions with what they say is missing, and what waits for people since."""
        self._repository.decide(decisions)
        self._repository.wait(_newest(waiting, lambda each: each.waiting_no))

    def recommend(self, recommendations: Sequence[RecommendationRecord]) -> None:
        """The newest recommendation of each opportunity, or abstention."""
        self._repository.recommend(_newest(recommendations, lambda each: each.recommendation_no))


def _newest(records: Sequence[Side], order: Callable[[Side], int]) -> list[Side]:
    """The last record of each opportunity, in one order for all: two transactions that write the same opportunities in
    different orders would deadlock."""
    newest: dict[str, Side] = {}
    for record in records:
        held = newest.get(record.opportunity_id)
        if held is None or order(held) <= order(record):
            newest[record.opportunity_id] = record
    return [newest[key] for key in sorted(newest)]
