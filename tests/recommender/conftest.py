"""A tenant of the running recommender, told of deals as the other services would tell it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf.message import Message
from kit.events import Event, Received
from recommender import consumers
from recommender import models as t
from sqlalchemy import select
from stagecraft.assessment.v1.assessment_published_pb2 import ASSESSMENT_STATUS_PUBLISHED, AssessmentPublished
from stagecraft.common.v1.answer_pb2 import Answer
from stagecraft.common.v1.visit_pb2 import Visit
from stagecraft.scoring.v1.scoring_profile_published_pb2 import SCALE_RAW, ScoringProfilePublished
from stagecraft.scoring.v1.submission_scored_pb2 import Contribution, SubmissionScored
from stagecraft.stage.v1 import pipeline_published_pb2 as pipelines
from stagecraft.stage.v1 import stage_changed_pb2 as changes
from stagecraft.stage.v1.pipeline_published_pb2 import PipelinePublished, Stage
from stagecraft.stage.v1.stage_changed_pb2 import StageChanged
from testing.service import ServiceUnderTest

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
OPEN = ["prospecting", "discovery", "demo"]
CATEGORIES = {"closed_won": pipelines.CATEGORY_WON, "closed_lost": pipelines.CATEGORY_LOST}


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def pipeline(key: str = "sales", version: int = 1) -> PipelinePublished:
    stages = [Stage(key=stage, name=stage.title(), category=pipelines.CATEGORY_OPEN) for stage in OPEN]
    stages += [Stage(key=stage, name=stage.title(), category=category) for stage, category in CATEGORIES.items()]
    return PipelinePublished(pipeline_key=key, version=version, name="Sales", stages=stages, is_default=True)


def profile(profile_id: str = "profile-1", assessment: str = "fit", scores: Sequence[str] = ()) -> Any:
    return ScoringProfilePublished(
        profile_id=profile_id,
        assessment_key=assessment,
        assessment_version=1,
        version=1,
        scale=SCALE_RAW,
        reachable_min="10",
        reachable_max="70",
        reachable_scores=list(scores) or ["10", "20", "40", "50", "70"],
    )


def assessment(key: str = "fit") -> AssessmentPublished:
    return AssessmentPublished(assessment_key=key, version=1, title="Prospect fit", status=ASSESSMENT_STATUS_PUBLISHED)


def stage_changed(deal: str, visit_no: int, stage: str, **changed: Any) -> StageChanged:
    """Visit n is entered on day 10 n."""
    message = StageChanged(
        transition_id=f"{deal}-{visit_no}",
        opportunity_id=deal,
        pipeline_key="sales",
        pipeline_version=1,
        revision=visit_no,
        kind=changes.TRANSITION_KIND_ADVANCE,
        to_stage=stage,
        to_category=CATEGORIES.get(stage, pipelines.CATEGORY_OPEN),
        visit_no=visit_no,
        cycle_no=1,
    )
    message.changed_at.FromDatetime(day(10 * visit_no))
    for name, value in changed.items():
        setattr(message, name, value)
    return message


def scored(
    deal: str,
    submission: str = "",
    score: str = "70",
    *,
    visit: tuple[int, str] = (1, "prospecting"),
    at: float | None = None,
    scoring: int = 1,
    profile_id: str = "profile-1",
    assessment_key: str = "fit",
) -> SubmissionScored:
    """By default captured the day after the visit began; `scoring` counts how often it was scored."""
    submission = submission or f"{deal}-s1"
    message = SubmissionScored(
        score_id=f"{submission}-score-{scoring}",
        submission_id=submission,
        opportunity_id=deal,
        assessment_key=assessment_key,
        assessment_version=1,
        profile_id=profile_id,
        profile_version=1,
        scale=SCALE_RAW,
        score=score,
        complete=bool(score),
        visit=Visit(visit_no=visit[0], stage_key=visit[1]),
        contributions=[
            Contribution(question_key="hours", answer=Answer(question_key="hours", choice="over_5")),
            Contribution(question_key="notes", unanswered=True),
        ],
        attempt_no=1,
    )
    captured_at = day(10 * visit[0] + 1 if at is None else at)
    message.captured_at.FromDatetime(captured_at)
    message.received_at.FromDatetime(captured_at)
    message.scored_at.FromDatetime(captured_at + timedelta(minutes=scoring))
    return message


@dataclass
class World:
    """One tenant. `tell` goes through Kafka, `apply` calls the handler in a transaction as the consumer would."""

    service: ServiceUnderTest
    tenant: str
    eventually: Callable[..., Awaitable[Any]]
    told: int = field(default=0)

    async def tell(self, *messages: Message, sequence: int | None = None) -> None:
        await asyncio.gather(*[self.publish(message, sequence) for message in messages])

    async def publish(self, message: Message, sequence: int | None = None, **given: Any) -> Any:
        self.told += 1
        return await self.service.publish(message, tenant=self.tenant, sequence=sequence or self.told, **given)

    async def apply(self, *messages: Message, sequence: int | None = None) -> None:
        """One batch of one topic, without the inbox: every event is new to it."""
        async with self.service.database.unit_of_work(self.tenant) as uow:
            await consumers.HANDLERS[type(messages[0])](uow, [self.received(m, sequence) for m in messages])

    def received(self, message: Message, sequence: int | None = None) -> Received[Any]:
        self.told += 1
        event = Event(self.tenant, message, sequence or self.told)
        record = event.record("test")
        return Received(event.id, self.tenant, message, event.sequence, event.time, "", record, 0, 0)

    async def define(self) -> None:
        """The pipeline, the assessment and its points."""
        for message in (pipeline(), assessment(), profile()):
            await self.apply(message)

    async def train(self, outcomes: dict[tuple[str, str], int], prefix: str = "past") -> None:
        """Past deals by (score, stage they went to from prospecting), so many of each."""
        await self.define()
        deals = [
            (f"{prefix}-{score}-{stage}-{number}", score, stage)
            for (score, stage), count in outcomes.items()
            for number in range(count)
        ]
        await self.apply(*[stage_changed(deal, 1, "prospecting") for deal, _, _ in deals])
        await self.apply(*[scored(deal, score=score) for deal, score, _ in deals])
        await self.apply(*[stage_changed(deal, 2, stage) for deal, _, stage in deals])

    async def get(self, path: str, role: str = "rep", **options: Any) -> Any:
        return await self.service.client.get(path, headers=self.service.headers(self.tenant, role), **options)

    async def post(self, path: str, document: Any, role: str = "rep") -> Any:
        headers = self.service.headers(self.tenant, role)
        return await self.service.client.post(path, json=document, headers=headers)

    async def recommendation(self, deal: str) -> Any:
        """The deal's latest recommendation, once there is one."""

        async def found() -> Any:
            answer = await self.get(f"/v1/opportunities/{deal}/recommendation")
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
