"""A tenant of the running recommender, and the events of other services as it gets them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf.message import Message
from kit.contracts.events import Received
from recommender import consumers
from recommender import models as t
from sqlalchemy import select
from stagecraft.assessment.v1.assessment_published_pb2 import AssessmentPublished
from stagecraft.common.v1.visit_pb2 import Visit
from stagecraft.scoring.v1.scoring_profile_published_pb2 import ScoringProfilePublished
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored
from stagecraft.stage.v1.pipeline_published_pb2 import PipelinePublished
from stagecraft.stage.v1.stage_changed_pb2 import StageChanged
from testing.service import ServiceUnderTest

from tests import builders
from tests.builders import assessment_published, pipeline_published, scoring_profile_published, submission_scored

START = datetime(2026, 3, 2, 9, tzinfo=UTC)


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def pipeline(key: str = "sales", version: int = 1) -> PipelinePublished:
    return pipeline_published(pipeline_key=key, version=version)


def profile(profile_id: str = "profile-1") -> ScoringProfilePublished:
    return scoring_profile_published(profile_id=profile_id, assessment_key="fit", reachable_min="10")


def assessment(key: str = "fit") -> AssessmentPublished:
    return assessment_published(assessment_key=key, title="Prospect fit")


def stage_changed(opportunity: str, visit_no: int, stage: str, **changes: Any) -> StageChanged:
    """Visit n is entered on day 10 n."""
    fields = {
        "transition_id": f"{opportunity}-{visit_no}",
        "opportunity_id": opportunity,
        "revision": visit_no,
        "to_stage": stage,
        "visit_no": visit_no,
        "changed_at": day(10 * visit_no),
    }
    return builders.stage_changed(**fields | changes)


def scored(
    opportunity: str,
    submission: str = "",
    score: str = "70",
    *,
    visit: tuple[int, str] = (1, "prospecting"),
    at: float | None = None,
    scoring: int = 1,
    profile_id: str = "profile-1",
) -> SubmissionScored:
    """By default captured the day after the visit began; `scoring` counts how often it was scored."""
    submission = submission or f"{opportunity}-s1"
    captured_at = day(10 * visit[0] + 1 if at is None else at)
    return submission_scored(
        score_id=f"{submission}-score-{scoring}",
        submission_id=submission,
        opportunity_id=opportunity,
        assessment_key="fit",
        profile_id=profile_id,
        score=score,
        complete=bool(score),
        visit=Visit(visit_no=visit[0], stage_key=visit[1]),
        captured_at=captured_at,
        received_at=captured_at,
        scored_at=captured_at + timedelta(minutes=scoring),
    )


@dataclass
class World:
    """One tenant. `tell` goes through Kafka, `apply` calls the handler in a transaction as the consumer would."""

    service: ServiceUnderTest
    tenant: str
    eventually: Callable[..., Awaitable[Any]]
    sent: int = field(default=0)

    async def tell(self, *messages: Message, sequence: int | None = None) -> None:
        await asyncio.gather(*[self.publish(message, sequence) for message in messages])

    async def publish(self, message: Message, sequence: int | None = None, **given: Any) -> Any:
        self.sent += 1
        return await self.service.publish(message, tenant=self.tenant, sequence=sequence or self.sent, **given)

    async def apply(self, *messages: Message, sequence: int | None = None) -> None:
        """One batch of one topic, without the inbox: every event is new to it."""
        async with self.service.database.unit_of_work(self.tenant) as uow:
            await consumers.HANDLERS[type(messages[0])](uow, [self.received(m, sequence) for m in messages])

    def received(self, message: Message, sequence: int | None = None) -> Received[Any]:
        self.sent += 1
        return builders.received(message, sequence or self.sent, self.tenant)

    async def define(self) -> None:
        """The pipeline, the assessment and its points."""
        for message in (pipeline(), assessment(), profile()):
            await self.apply(message)

    async def train(self, outcomes: dict[tuple[str, str], int], prefix: str = "past") -> None:
        """Past opportunities by (score, stage they went to from prospecting), so many of each."""
        await self.define()
        opportunities = [
            (f"{prefix}-{score}-{stage}-{number}", score, stage)
            for (score, stage), count in outcomes.items()
            for number in range(count)
        ]
        await self.apply(*[stage_changed(opportunity, 1, "prospecting") for opportunity, _, _ in opportunities])
        await self.apply(*[scored(opportunity, score=score) for opportunity, score, _ in opportunities])
        await self.apply(*[stage_changed(opportunity, 2, stage) for opportunity, _, stage in opportunities])

    async def get(self, path: str, role: str = "manager", **options: Any) -> Any:
        return await self.service.client.get(path, headers=self.service.headers(self.tenant, role), **options)

    async def post(self, path: str, document: Any, role: str = "rep") -> Any:
        headers = self.service.headers(self.tenant, role)
        return await self.service.client.post(path, json=document, headers=headers)

    async def recommendation(self, opportunity: str) -> Any:
        """The opportunity's latest recommendation, once there is one."""

        async def found() -> Any:
            answer = await self.get(f"/v1/opportunities/{opportunity}/recommendation")
            assert answer.status_code == 200, answer.text
            return answer.json()

        return await self.eventually(found)

    async def counts(self) -> dict[tuple[str, str, str, str], int]:
        """The table: cases by (stage, assessment, band, label)."""
        c = t.visit_count.c
        async with self.service.database.unit_of_work(self.tenant) as uow:
            found = await uow.session.execute(
                select(c.stage_key, c.assessment_key, c.band, c.label, c.cases).where(c.cases != 0)
            )
            return {tuple(row[:4]): row[4] for row in found}

    async def totals(self) -> dict[str, int]:
        c = t.pipeline_total.c
        async with self.service.database.unit_of_work(self.tenant) as uow:
            found = await uow.session.execute(select(c.total, c.count).where(c.count != 0))
            return {row[0]: row[1] for row in found}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def recommender_service(start_service: Any) -> AsyncIterator[ServiceUnderTest]:
    yield await start_service("recommender")


@pytest.fixture
def world(recommender_service: ServiceUnderTest, tenant: str, eventually: Any) -> World:
    return World(recommender_service, tenant, eventually)


@pytest.fixture
def other_world(recommender_service: ServiceUnderTest, tenant: str, eventually: Any) -> World:
    """Another tenant of the same service."""
    return World(recommender_service, f"{tenant}-other", eventually)


@pytest.fixture
def say() -> Any:
    """The messages other services send."""
    return Messages


class Messages:
    pipeline = staticmethod(pipeline)
    profile = staticmethod(profile)
    assessment = staticmethod(assessment)
    stage_changed = staticmethod(stage_changed)
    scored = staticmethod(scored)
    day = staticmethod(day)
