"""No request and no event, however large, keeps the event loop from everything else.

Every operation that takes a body, and every handler, gets the largest input that it admits. What counts is the time of
the processor that the loop has between two turns of a pulse, beside what a fixed piece of work takes in that moment.
"""

import asyncio
import gc
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any
from uuid import uuid4

import pytest
from forms.answers import Value
from forms.check import visible_questions
from kit.ids import utc_now, uuid7
from sqlalchemy import text
from stagecraft.common.v1.answer_pb2 import Answer
from stagecraft.recommendation.v1.stage_recommended_pb2 import StageRecommended
from stagecraft.scoring.v1.submission_scored_pb2 import Contribution, SubmissionScored
from stagecraft.stage.v1.stage_decided_pb2 import StageDecided
from testing.pace import Pace
from testing.service import ServiceUnderTest

from tests.builders import (
    assessment_published,
    assessment_submitted,
    crm_write_confirmed,
    crm_write_parked,
    pipeline_published,
    record_observed,
    scoring_profile_published,
    stage_changed,
    stage_decided,
    submission_scored,
)
from tests.rule_tables import largest_pipeline
from tests.scoring.largest import largest_form, largest_profile

pytestmark = [pytest.mark.stack, pytest.mark.alone]

SECONDS = 0.1
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
TRIES = 4
Stalls = dict[str, float]


def in_no_try(test: Callable[..., Awaitable[Stalls]]) -> Callable[..., Awaitable[None]]:
    """The test gives what stalled the loop, and is tried again while something did: what stalls the loop by itself does
    so each time, and what another program did to the machine does not."""

    @wraps(test)
    async def tried(start_service: Any, tenant: str, eventually: Any) -> None:
        always = await test(start_service, f"{tenant}-0", eventually)
        for attempt in range(1, TRIES):
            if always:
                again = await test(start_service, f"{tenant}-{attempt}", eventually)
                always = {what: min(always[what], again[what]) for what in always.keys() & again.keys()}
        assert always == {}

    return tried


class Pulse:
    """Notes what kept the loop for too long, in seconds of a machine that does nothing else."""

    def __init__(self) -> None:
        self.stalls: Stalls = {}

    @asynccontextmanager
    async def during(self, what: str) -> AsyncIterator[None]:
        worst, stop = 0.0, False

        async def beat() -> None:
            nonlocal worst
            last = time.thread_time()
            while not stop:
                await asyncio.sleep(0.002)
                now = time.thread_time()
                worst, last = max(worst, now - last), now

        pace = Pace()
        # A collection of all that other tests left is none of the operation's.
        gc.collect()
        gc.freeze()
        beating = asyncio.create_task(beat())
        await asyncio.sleep(0.01)
        try:
            yield
        finally:
            await asyncio.sleep(0.01)
            stop = True
            await beating
            gc.unfreeze()
            worst = pace.of(worst)
            if worst > SECONDS:
                self.stalls[what] = max(worst, self.stalls.get(what, 0))


class Person:
    """An administrator whose requests are watched."""

    def __init__(self, service: ServiceUnderTest, tenant: str, pulse: Pulse) -> None:
        self._service, self._pulse = service, pulse
        self._headers = service.headers(tenant) | {"content-type": "application/json"}

    async def call(self, method: str, path: str, body: Any = None, match: int | None = None) -> Any:
        content = b"" if body is None else json.dumps(body).encode()
        headers = self._headers if match is None else self._headers | {"if-match": f'"{match}"'}
        async with self._pulse.during(f"{method} {ID.sub('{id}', path.split('?', maxsplit=1)[0])}"):
            response = await self._service.client.request(method, path, content=content or None, headers=headers)
        assert response.status_code < 300, (method, path, response.text[:2000])
        return json.loads(response.content)


def largest_score(**changes: Any) -> SubmissionScored:
    """As many answers, as long as fit into an event."""
    contributions = [
        Contribution(
            question_key=f"q{index}",
            answer=Answer(question_key=f"q{index}", text="x" * 1_300),
            points="0.0000000001",
            max_points="999999.9999999999",
        )
        for index in range(500)
    ]
    return submission_scored(contributions=contributions, **changes)


async def rows_of(service: ServiceUnderTest, tenant: str, table: str, count: int = 1) -> None:
    async with service.database.unit_of_work(tenant) as uow:
        assert (await uow.session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one() == count


@in_no_try
async def test_the_stage_engine(start_service: Any, tenant: str, eventually: Any) -> Stalls:
    engine, pulse = await start_service("stage_engine"), Pulse()
    admin = Person(engine, tenant, pulse)
    document = largest_pipeline("lists")
    key, content = document["key"], {name: value for name, value in document.items() if name != "key"}
    await admin.call("POST", "/v1/pipelines", document)
    await admin.call("PUT", f"/v1/pipelines/{key}/draft", content, match=1)
    await admin.call("POST", f"/v1/pipelines/{key}/lint", content)
    await admin.call("POST", f"/v1/pipelines/{key}/publish")
    async with pulse.during("events"):
        await engine.publish(
            scoring_profile_published(assessment_key="q0", reachable_scores=map(str, range(5000))), tenant=tenant
        )
        await engine.publish(record_observed(stage_key="s0", pipelines=(key,), committed_at=utc_now()), tenant=tenant)
        await engine.events(StageDecided, tenant=tenant, count=1)
        for number in range(10):
            scored = largest_score(assessment_key=f"q{number}", submission_id=str(uuid7()), score="70")
            scored.visit.stage_key = "s0"
            await engine.publish(scored, tenant=tenant)
        await engine.publish(crm_write_confirmed(stage_key="s0"), tenant=tenant)
        await engine.publish(crm_write_parked(stage_key="s0", reason="x" * 10_000), tenant=tenant)
        await engine.events(StageDecided, tenant=tenant, count=11)
    listed = await admin.call("GET", "/v1/opportunities?limit=200")
    (opportunity,) = listed["items"]
    path = f"/v1/opportunities/{opportunity['opportunity_id']}"
    decisions = await admin.call("GET", f"{path}/decisions?limit=200")
    newest = decisions["items"][-1]["decision_id"]
    for asked in (
        *("/v1/pipelines?limit=200", f"/v1/pipelines/{key}", f"/v1/pipelines/{key}/versions?limit=200"),
        f"/v1/pipelines/{key}/versions/1",
        *(f"/v1/pipelines/{key}/findings", "/v1/funnel", "/v1/optimism-gap", path, f"/v1/decisions/{newest}"),
        "/v1/changes?limit=200",
    ):
        await admin.call("GET", asked)
    await admin.call("POST", f"/v1/decisions/{newest}/replay")
    moved = {"to_stage": "s1", "override": True, "reason_code": "x" * 64, "text": "x" * 2000}
    revision = (await admin.call("GET", path))["revision"]
    await admin.call("POST", f"{path}/transitions", moved, match=revision)
    return pulse.stalls


@in_no_try
async def test_scoring(start_service: Any, tenant: str, eventually: Any) -> Stalls:
    scoring, pulse = await start_service("scoring"), Pulse()
    admin = Person(scoring, tenant, pulse)
    form, profile = largest_form(), largest_profile()
    answers: dict[str, Value] = dict.fromkeys((question.key for question in form.questions), True)
    async with pulse.during("AssessmentPublished"):
        await scoring.publish(assessment_published(form), tenant=tenant)
        await eventually(lambda: rows_of(scoring, tenant, "assessment"))
    draft = {"assessment_key": form.key, "assessment_version": form.version, "title": "x" * 200, "profile": profile}
    made = await admin.call("POST", "/v1/scoring-profiles", draft)
    path = f"/v1/scoring-profiles/{made['profile_id']}"
    await admin.call("PUT", path, {"title": "again", "profile": profile}, match=1)
    await admin.call("GET", path)
    await admin.call("POST", f"{path}/preview", {"answers": {key: True for key in answers}})
    submissions = [
        assessment_submitted(
            form, answers, submission_id=str(uuid4()), visible_questions=visible_questions(form, answers)
        )
        for _ in range(20)
    ]
    async with pulse.during("AssessmentSubmitted"):
        for submission in submissions[:10]:
            await scoring.publish(submission, tenant=tenant)
        await eventually(lambda: rows_of(scoring, tenant, "parked", 10))
    await admin.call("POST", f"{path}/publish")
    async with pulse.during("AssessmentSubmitted"):
        for submission in submissions[10:]:
            await scoring.publish(submission, tenant=tenant)
        await scoring.events(SubmissionScored, tenant=tenant, count=20)
    await admin.call("GET", f"/v1/scores?opportunity_id={submissions[0].opportunity_id}&limit=200")
    await admin.call("GET", f"/v1/submissions/{submissions[0].submission_id}/score")
    await admin.call("GET", "/v1/scoring-profiles?limit=200")
    return pulse.stalls


@in_no_try
async def test_the_recommender(start_service: Any, tenant: str, eventually: Any) -> Stalls:
    recommender, pulse = await start_service("recommender"), Pulse()
    admin = Person(recommender, tenant, pulse)
    async with pulse.during("events"):
        await recommender.publish(assessment_published(largest_form()), tenant=tenant)
        await recommender.publish(pipeline_published(), tenant=tenant)
        await recommender.publish(scoring_profile_published(reachable_scores=map(str, range(5000))), tenant=tenant)
        await recommender.publish(record_observed(), tenant=tenant)
        await recommender.publish(stage_changed(), tenant=tenant)
        for number in range(10):
            scored = largest_score(score=str(number * 100))
            await recommender.publish(scored, tenant=tenant)
            await recommender.publish(stage_decided(submission=scored, decision_no=number + 1), tenant=tenant)
        await recommender.events(StageRecommended, tenant=tenant, count=10)
    for asked in ("/v1/model", "/v1/recommendations?limit=200", "/v1/model/cells?stage=prospecting"):
        await admin.call("GET", asked)
    return pulse.stalls
