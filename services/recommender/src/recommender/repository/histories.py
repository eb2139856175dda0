"""Queries of the histories of opportunities."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from kit.database import bulk
from kit.database.sets import among
from sqlalchemy import Text, delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from recommender import models as t
from recommender.domain.history import Evidence, History
from recommender.facts import ScoredSubmission
from recommender.records import HistoryRecord, ParkedRecord, SubmissionRecord, VisitsRecord
from recommender.repository.base import TenantRepository


class HistoryRepository(TenantRepository):
    """Visits and scored submissions of opportunities, and submissions that wait for another topic."""

    async def lock(self) -> None:
        """Let one transaction at a time work on the tenant's histories and counts, until it ends."""
        name = func.hashtextextended(f"histories/{self._tenant_id}", 0)
        await self._session.execute(select(func.pg_advisory_xact_lock(name)))

    async def histories(
        self, opportunity_ids: Collection[str], scored: Collection[str] | None = None
    ) -> dict[str, History]:
        """Everything known of these opportunities; an empty history for an unknown one.

        A caller that adds scores and no visit names their submissions in `scored`. Of an opportunity in its first
        visit, other evidence is then not read, because evidence teaches only when its visit has ended.
        """
        histories = {opportunity_id: History(opportunity_id) for opportunity_id in opportunity_ids}
        c = t.opportunity.c
        visits = select(c.opportunity_id, c.visits).where(
            self._own(t.opportunity), among(c.opportunity_id, opportunity_ids)
        )
        for found in await self._records(visits, VisitsRecord):
            for visit in found.visits:
                histories[found.opportunity_id].enter(visit)
        full = [
            opportunity_id for opportunity_id, history in histories.items() if scored is None or len(history.visits) > 1
        ]
        s = t.submission.c
        evidence: list[Any] = []
        if full:
            of_all = select(s.opportunity_id, *(s[name] for name in _EVIDENCE_FACTS))
            of_all = of_all.where(self._own(t.submission), among(s.opportunity_id, full))
            evidence += (await self._session.execute(of_all)).all()
        if scored is not None and len(full) < len(histories):
            driver = await bulk.driver_of(self._session)
            evidence += await driver.fetch(_SCORED, self._tenant_id, sorted(scored))
        for opportunity_id, *facts in evidence:
            if history := histories.get(opportunity_id):
                history.score(Evidence(*facts))
        return histories

    async def save_visits(self, histories: Iterable[History]) -> None:
        """Keep the visits of these opportunities and their present stages."""
        await self._upsert(
            t.opportunity,
            [
                HistoryRecord(
                    history.opportunity_id,
                    current.stage_key,
                    tuple(visit for _, visit in sorted(history.visits.items())),
                )
                for history in histories
                if (current := history.current) is not None
            ],
            update_only=("current_stage", "visits"),
        )

    async def save_submissions(self, scored: Sequence[tuple[ScoredSubmission, Evidence]]) -> None:
        """Keep these scores, with the band in the evidence when it is known."""
        await self._upsert(
            t.submission,
            [_submission(fact, evidence) for fact, evidence in scored],
            with_commit=True,
        )

    async def unbanded(self, submission_ids: Collection[str]) -> list[tuple[str, str, Decimal | None]]:
        """Submission, profile and score of those among these that have no band yet."""
        c = t.submission.c
        statement = select(c.submission_id, c.profile_id, c.score).where(
            self._own(t.submission), among(c.submission_id, submission_ids), c.band.is_(None)
        )
        return [tuple(row) for row in await self._session.execute(statement)]

    async def save_bands(self, bands: Mapping[str, str]) -> None:
        """Fix the bands of these submissions, by id."""
        if not bands:
            return
        found = func.unnest(literal(list(bands), ARRAY(Text)), literal(list(bands.values()), ARRAY(Text)))
        value = found.table_valued("submission_id", "band", name="found").render_derived()
        await self._session.execute(
            update(t.submission)
            .values(band=value.c.band)
            .where(self._own(t.submission), t.submission.c.submission_id == value.c.submission_id)
        )

    async def park(self, parked: Sequence[ParkedRecord]) -> None:
        """Note what these submissions wait for."""
        await self._upsert(t.parked_submission, parked)

    async def release(self, missing: str, keys: Collection[str]) -> list[tuple[str, str]]:
        """Stop waiting for what has arrived; submission and opportunity ids, in the order of parking."""
        c = t.parked_submission.c
        statement = (
            delete(t.parked_submission)
            .where(self._own(t.parked_submission), c.missing == missing, among(c.missing_key, keys))
            .returning(c.parked_at, c.submission_id, c.opportunity_id)
        )
        released = sorted(tuple(row) for row in await self._session.execute(statement))
        return [(submission_id, opportunity_id) for _, submission_id, opportunity_id in released]

    async def waiting(self) -> dict[str, int]:
        """How many submissions wait, by what for."""
        c = t.parked_submission.c
        statement = select(c.missing, func.count().label("waiting")).where(self._own(t.parked_submission))
        return {missing: count for missing, count in await self._session.execute(statement.group_by(c.missing))}


_EVIDENCE_FACTS = tuple(Evidence.__dataclass_fields__)
_SCORED = f"""
    SELECT opportunity_id, {", ".join(_EVIDENCE_FACTS)}
    FROM submission
    WHERE tenant_id = $1 AND submission_id = ANY($2)
"""  # noqa: S608 - names of our own columns


def _submission(fact: ScoredSubmission, evidence: Evidence) -> SubmissionRecord:
    return SubmissionRecord(
        opportunity_id=fact.opportunity_id,
        assessment_version=fact.assessment_version,
        profile_id=fact.profile_id,
        score=fact.score,
        answers=fact.answers,
        submission_id=evidence.submission_id,
        score_id=evidence.score_id,
        assessment_key=evidence.assessment_key,
        band=evidence.band,
        stage_key=evidence.stage_key,
        visit_no=evidence.visit_no,
        captured_at=evidence.captured_at,
        attempt_no=evidence.attempt_no,
        received_at=evidence.received_at,
        scored_at=evidence.scored_at,
    )
