"""Folds batches of facts into histories, keeps the counts in step, and recommends on every new score.

Counts change by the difference between what an opportunity's history taught before a batch and after it. As lessons
are a pure function of the history, and a history keeps each fact once, the counts are the same whatever the
order in which topics deliver and however batches are cut.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any
from uuid import UUID

from kit.contracts.events import Received
from kit.database.unit_of_work import UnitOfWork
from kit.ids import utc_now

from recommender.domain.advice import Advice
from recommender.domain.bands import Banding
from recommender.domain.history import Cell, Evidence, History, Lessons, lessons
from recommender.domain.model import model_version
from recommender.facts import (
    EngineDecision,
    EnteredVisit,
    Observation,
    PublishedAssessment,
    PublishedPipeline,
    PublishedProfile,
    ScoredSubmission,
)
from recommender.messages import stage_recommended
from recommender.records import ParkedRecord
from recommender.repository import (
    CountRepository,
    HistoryRepository,
    RecommendationRepository,
    ReplicaRepository,
)
from recommender.service.advice import Experience, recommendation_id, record_of
from recommender.telemetry import RECOMMENDATIONS

Cause = Received[Any]


class Missing(StrEnum):
    """What a submission may wait for before it can be placed in the table."""

    PROFILE = "profile"
    VISIT = "visit"
    PIPELINE = "pipeline"


@dataclass(frozen=True, slots=True)
class Pending:
    """A score that waits for its recommendation, and the event that makes it possible."""

    opportunity_id: str
    evidence: Evidence
    profile_id: str
    cause: Cause

    @property
    def visit_no(self) -> int:
        """The visit that names the opportunity's pipeline: a capture without a visit waits for the first one."""
        return max(self.evidence.visit_no, 1)


class Learning:
    """What the consumers do, in the transaction of their batch."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._replicas = ReplicaRepository(uow.session, uow.tenant_id)
        self._histories = HistoryRepository(uow.session, uow.tenant_id)
        self._counts = CountRepository(uow.session, uow.tenant_id)
        self._recommendations = RecommendationRepository(uow.session, uow.tenant_id)

    async def keep_assessments(self, assessments: Sequence[PublishedAssessment]) -> None:
        await self._replicas.save_assessments(assessments)

    async def keep_decisions(self, decisions: Sequence[EngineDecision]) -> None:
        await self._replicas.save_decisions(decisions)

    async def keep_observations(self, observations: Sequence[Observation]) -> None:
        await self._one_at_a_time()
        await self._replicas.save_observations(observations)

    async def keep_pipelines(self, pipelines: Sequence[PublishedPipeline], cause: Cause) -> None:
        """Keep the newest versions and recommend on submissions that waited for them."""
        await self._one_at_a_time()
        await self._replicas.save_pipelines(pipelines)
        released = await self._histories.release(Missing.PIPELINE, {p.pipeline_key for p in pipelines})
        histories = await self._histories.histories({opportunity_id for _, opportunity_id in released})
        await self._recommend(histories, _released(released, histories, dict.fromkeys(histories, cause)))

    async def keep_profiles(self, profiles: Sequence[PublishedProfile], cause: Cause) -> None:
        """Keep the bands; submissions that waited for them are banded, counted and recommended on."""
        await self._one_at_a_time()
        await self._replicas.save_profiles(profiles)
        bandings = {profile.profile_id: profile.banding for profile in profiles}
        released = await self._histories.release(Missing.PROFILE, bandings)
        scores = await self._histories.unbanded({submission_id for submission_id, _ in released})
        bands = {
            submission_id: bandings[profile_id].band(score)
            for submission_id, profile_id, score in scores
            if profile_id in bandings
        }
        # A submission that was scored again meanwhile, by a known profile, already has its recommendation.
        banded = [
            (submission_id, opportunity_id) for submission_id, opportunity_id in released if submission_id in bands
        ]
        async with self._learning({opportunity_id for _, opportunity_id in banded}) as histories:
            for submission_id, opportunity_id in banded:
                evidence = histories[opportunity_id].evidence
                evidence[submission_id] = replace(evidence[submission_id], band=bands[submission_id])
            await self._histories.save_bands(bands)
        await self._recommend(histories, _released(banded, histories, dict.fromkeys(histories, cause)))

    async def follow_stages(self, entered: Sequence[EnteredVisit], causes: Mapping[str, Cause]) -> None:
        """Extend the histories: ended visits teach, and submissions that waited get their recommendation.

        `causes` holds the latest event of each opportunity.
        """
        await self._one_at_a_time()
        async with self._learning({fact.opportunity_id for fact in entered}) as histories:
            new = [
                (fact.opportunity_id, fact.visit)
                for fact in entered
                if histories[fact.opportunity_id].enter(fact.visit)
            ]
            await self._histories.save_visits(
                histories[opportunity_id]
                for opportunity_id in dict.fromkeys(opportunity_id for opportunity_id, _ in new)
            )
        released = await self._histories.release(
            Missing.VISIT, {_visit_key(opportunity_id, v.visit_no) for opportunity_id, v in new}
        )
        await self._recommend(histories, _released(released, histories, causes))

    async def _counted(self, scores: Sequence[ScoredSubmission]) -> Sequence[ScoredSubmission]:
        """The scores without those of people whose right to the opportunity was not checked and who do not own it."""
        unchecked = {fact.opportunity_id for fact in scores if not fact.entitled}
        if not unchecked:
            return scores
        owners = await self._replicas.owners(unchecked)
        return [fact for fact in scores if fact.entitled or owners.get(fact.opportunity_id) == fact.submitted_by]

    async def recommend_stages(self, scores: Sequence[ScoredSubmission], causes: Mapping[str, Cause]) -> None:
        """Keep the scores and recommend on each that is new. `causes` holds the event of each score id."""
        await self._one_at_a_time()
        scores = await self._counted(scores)
        bandings = await self._replicas.bandings({fact.profile_id for fact in scores})
        scored = {fact.evidence.submission_id for fact in scores}
        async with self._learning({fact.opportunity_id for fact in scores}, scored) as histories:
            new: list[tuple[ScoredSubmission, Evidence]] = []
            for fact in scores:
                evidence = _banded(fact, bandings.get(fact.profile_id))
                if histories[fact.opportunity_id].score(evidence):
                    new.append((fact, evidence))
            await self._histories.save_submissions(new)
        await self._recommend(
            histories,
            [
                Pending(fact.opportunity_id, evidence, fact.profile_id, causes[evidence.score_id])
                for fact, evidence in new
            ],
        )

    async def _one_at_a_time(self) -> None:
        """Handle one batch of the tenant at a time. Two topics may complete the same case, and a submission may be
        parked while what it waits for arrives; each must see the other's effects."""
        await self._histories.lock()

    @asynccontextmanager
    async def _learning(
        self, opportunity_ids: Collection[str], scored: Collection[str] | None = None
    ) -> AsyncIterator[dict[str, History]]:
        """The histories of these opportunities, to be extended in the block; afterwards the counts follow. If `scored`
        names submissions, the block may add only their scores."""
        histories = await self._histories.histories(opportunity_ids, scored)
        before = _taught(histories.values())
        yield histories
        difference = _taught(histories.values())
        difference.subtract(before)
        await self._counts.learn(difference)

    async def _recommend(self, histories: Mapping[str, History], pending: Sequence[Pending]) -> None:
        """Recommend on what can be placed, park the rest."""
        if not pending:
            return
        visits = [histories[p.opportunity_id].visits.get(p.visit_no) for p in pending]
        pipelines = await self._replicas.pipelines({visit.pipeline_key for visit in visits if visit})
        placed: list[tuple[Pending, PublishedPipeline]] = []
        parked: list[ParkedRecord] = []
        for waiting, visit in zip(pending, visits, strict=True):
            pipeline = pipelines.get(visit.pipeline_key) if visit else None
            if waiting.evidence.band is not None and pipeline is not None:
                placed.append((waiting, pipeline))
                continue
            if waiting.evidence.band is None:
                missing, key = Missing.PROFILE, waiting.profile_id
            elif visit is None:
                missing, key = Missing.VISIT, _visit_key(waiting.opportunity_id, waiting.visit_no)
            else:
                missing, key = Missing.PIPELINE, visit.pipeline_key
            parked.append(ParkedRecord(waiting.evidence.submission_id, waiting.opportunity_id, missing.value, key))
        await self._histories.park(parked)
        await self._publish(histories, placed)

    async def _publish(
        self, histories: Mapping[str, History], placed: Sequence[tuple[Pending, PublishedPipeline]]
    ) -> None:
        if not placed:
            return
        table = await self._counts.count_table({(p.pipeline_key, w.evidence.stage_key) for w, p in placed})
        totals = await self._counts.totals({pipeline.pipeline_key for _, pipeline in placed})
        ids = [recommendation_id(self._uow.tenant_id, waiting.evidence.score_id) for waiting, _ in placed]
        made: dict[str, list[UUID]] = {}
        for id, (waiting, _) in zip(ids, placed, strict=True):
            made.setdefault(waiting.opportunity_id, []).append(id)
        numbers = await self._recommendations.number_recommendations(made)
        own = {opportunity_id: lessons(histories[opportunity_id]).cases for opportunity_id in numbers}
        experience = Experience(table, totals)
        now = utc_now()
        advices: list[Advice] = []
        for id, (waiting, pipeline) in zip(ids, placed, strict=True):
            opportunity_id, evidence = waiting.opportunity_id, waiting.evidence
            numbers[opportunity_id] += 1
            assert evidence.band is not None
            cell = Cell(pipeline.pipeline_key, evidence.stage_key, evidence.assessment_key, evidence.band)
            advice = Advice(
                recommendation_id=id,
                opportunity_id=opportunity_id,
                recommendation_no=numbers[opportunity_id],
                submission_id=evidence.submission_id,
                score_id=evidence.score_id,
                cell=cell,
                estimate=experience.of(cell, pipeline, own[opportunity_id]),
                model_version=model_version(pipeline.pipeline_key, pipeline.version),
                recommended_at=now,
            )
            advices.append(advice)
            self._uow.publish(
                stage_recommended(advice),
                sequence=advice.recommendation_no,
                cause=waiting.cause,
                id=advice.recommendation_id,
            )
        await self._recommendations.save_recommendations([record_of(advice) for advice in advices])
        self._uow.after_commit(lambda: _count(advices))


def _count(advices: Sequence[Advice]) -> None:
    for advice in advices:
        outcome = "answered" if advice.estimate.recommended_stage else "abstained"
        RECOMMENDATIONS.labels(outcome).inc()


def _taught(histories: Iterable[History]) -> Lessons:
    learned = Lessons()
    for history in histories:
        learned.add(lessons(history))
    return learned


def _banded(fact: ScoredSubmission, banding: Banding | None) -> Evidence:
    return replace(fact.evidence, band=banding.band(fact.score)) if banding else fact.evidence


def _visit_key(opportunity_id: str, visit_no: int) -> str:
    return f"{opportunity_id}/{visit_no}"


def _released(
    released: Iterable[tuple[str, str]], histories: Mapping[str, History], causes: Mapping[str, Cause]
) -> list[Pending]:
    """Submissions that no longer wait. Their bands are known: the profile is waited for first."""
    return [
        Pending(opportunity_id, histories[opportunity_id].evidence[submission_id], "", causes[opportunity_id])
        for submission_id, opportunity_id in released
    ]
