"""What other services' events leave here: one bulk statement per kind, safe to repeat and in any order."""

from collections.abc import Sequence

from kit.database import bulk
from kit.database.bulk import Rows
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncSession

from assessment.models import (
    opportunity,
    pipeline_version,
    scoring_profile,
    stage_change,
    stage_decision,
    submission_score,
)
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

_OBSERVED = bulk.replace(opportunity, "owner_id", "amount", "deleted", "observed_no", newer="observed_no")
_STAGE = """(tenant_id, opportunity_id) DO UPDATE
    SET
        pipeline_version = CASE excluded.pipeline_key
            WHEN opportunity.pipeline_key THEN greatest(excluded.pipeline_version, opportunity.pipeline_version)
            ELSE excluded.pipeline_version
        END,
        pipeline_key = excluded.pipeline_key,
        stage_key = excluded.stage_key,
        stage_category = excluded.stage_category,
        visit_no = excluded.visit_no,
        revision = excluded.revision,
        updated_at = now()
    WHERE excluded.revision > opportunity.revision"""
_RECOMMENDED = bulk.replace(
    opportunity,
    "recommendation_no",
    "recommendation_id",
    "recommended_stage",
    "abstention_code",
    "probability",
    "support",
    "recommended_at",
    newer="recommendation_no",
)

_WAITING = bulk.replace(opportunity, "waiting", "waiting_no", newer="waiting_no")


class ReplicaRepository:
    """The replicas of one tenant, written with the commit. Callers pass at most one row per opportunity where the
    newest state is kept."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def observe(self, values: Sequence[ObservationRecord]) -> None:
        """The CRM's side of opportunities; an observation older than the one held changes nothing."""
        self._keep(opportunity, values, _OBSERVED)

    def change_stages(self, changes: Sequence[ChangeRecord], newest: Sequence[StageRecord]) -> None:
        """Keep every change as a fact, and of each opportunity the stage by its highest revision."""
        self._keep(stage_change, changes)
        self._keep(opportunity, newest, _STAGE)

    def publish_pipelines(self, values: Sequence[PipelineRecord]) -> None:
        """Keep published pipeline versions."""
        self._keep(pipeline_version, values)

    def publish_profiles(self, values: Sequence[ProfileRecord]) -> None:
        """Keep which assessment versions have points."""
        self._keep(scoring_profile, values)

    def score(self, values: Sequence[ScoreRecord]) -> None:
        """Keep scores."""
        self._keep(submission_score, values)

    def decide(self, values: Sequence[DecisionRecord]) -> None:
        """Keep decisions."""
        self._keep(stage_decision, values)

    def recommend(self, values: Sequence[RecommendationRecord]) -> None:
        """The newest recommendation per opportunity."""
        self._keep(opportunity, values, _RECOMMENDED)

    def wait(self, values: Sequence[WaitingRecord]) -> None:
        """What waits for people of each opportunity, by its newest decision."""
        self._keep(opportunity, values, _WAITING)

    def _keep(self, table: Table, values: Rows, conflict: str = "DO NOTHING") -> None:
        bulk.defer(self._session, table, values, conflict=conflict)
