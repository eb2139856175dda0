"""A simulated org, the connector linked to it, and decisions to send."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from crm_connector.salesforce.auth import ClientCredentials, Sessions
from crm_connector.salesforce.rest import Rest
from prometheus_client import REGISTRY
from sandbox.salesforce.testing import RunningOrg, running_org
from stagecraft.assessment.v1.assessment_published_pb2 import AssessmentPublished, Choice, Question
from stagecraft.common.v1.answer_pb2 import Answer, ChoiceList
from stagecraft.common.v1.visit_pb2 import Visit
from stagecraft.crm.v1.record_observed_pb2 import RecordObserved
from stagecraft.scoring.v1.scoring_profile_published_pb2 import SCALE_RAW
from stagecraft.scoring.v1.submission_scored_pb2 import Contribution, SubmissionScored
from stagecraft.stage.v1.pipeline_published_pb2 import (
    CATEGORY_LOST,
    CATEGORY_OPEN,
    CATEGORY_WON,
    PipelinePublished,
    Stage,
)
from stagecraft.stage.v1.stage_decided_pb2 import StageDecided
from testing.service import ServiceUnderTest, StartService, eventually

from tests.published import publish_pipelines

STAGES = (
    ("prospecting", "Prospecting", CATEGORY_OPEN),
    ("discovery", "Discovery", CATEGORY_OPEN),
    ("demo", "Demo", CATEGORY_OPEN),
    ("negotiation", "Negotiation", CATEGORY_OPEN),
    ("closed_won", "Closed Won", CATEGORY_WON),
    ("closed_lost", "Closed Lost", CATEGORY_LOST),
)


def pipeline(version: int = 1, *, key: str = "sales", default: bool = True) -> PipelinePublished:
    stages = [Stage(key=k, name=name, category=category) for k, name, category in STAGES]
    return PipelinePublished(pipeline_key=key, version=version, name="Sales", stages=stages, is_default=default)


def assessment() -> AssessmentPublished:
    questions = [
        Question(key="hours", text="Hours a week?", choices=[Choice(key="over_5", text="More than five")]),
        Question(
            key="tools",
            text="Which tools?",
            choices=[Choice(key="sheets", text="Sheets"), Choice(key="crm", text="CRM")],
        ),
        Question(key="budget", text="Budget?"),
        Question(key="note", text="Anything else?"),
        Question(key="signed", text="Signed?"),
    ]
    return AssessmentPublished(assessment_key="prospecting", version=1, title="Prospecting", questions=questions)


def scored(opportunity_id: str, submission_id: str = "", *, note: str = "calls back", score: str = "70") -> Any:
    answers = [
        Answer(question_key="hours", choice="over_5"),
        Answer(question_key="tools", choices=ChoiceList(keys=["sheets", "crm"])),
        Answer(question_key="budget", number="50000.50"),
        Answer(question_key="note", text=note),
        Answer(question_key="signed", boolean=True),
    ]
    return SubmissionScored(
        score_id=str(uuid4()),
        submission_id=submission_id or str(uuid4()),
        opportunity_id=opportunity_id,
        assessment_key="prospecting",
        assessment_version=1,
        scale=SCALE_RAW,
        score=score,
        raw_points=score,
        reachable_max="100",
        percent=score,
        complete=True,
        contributions=[
            Contribution(question_key=a.question_key, answer=a, points="14", max_points="20") for a in answers
        ],
        visit=Visit(stage_key="prospecting", visit_no=1),
        submitted_by="rep-1",
        captured_at=datetime(2026, 11, 22, 9, 30, tzinfo=UTC),
    )


def decision(
    opportunity_id: str,
    number: int = 1,
    *,
    target: str = "",
    expected: str = "",
    submission: SubmissionScored | None = None,
) -> StageDecided:
    return StageDecided(
        decision_id=str(uuid4()),
        opportunity_id=opportunity_id,
        pipeline_key="sales",
        pipeline_version=1,
        decision_no=number,
        revision=number,
        crm_target_stage=target,
        crm_expected_stage=expected,
        submission=submission,
    )


@dataclass
class Linked:
    """The connector and its org."""

    org: RunningOrg
    service: ServiceUnderTest
    tenant: str
    _names: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def headers(self) -> dict[str, str]:
        return self.service.headers(self.tenant)

    async def get(self, path: str) -> Any:
        reply = await self.service.client.get(f"/v1/{path}", headers=self.headers)
        assert reply.status_code == 200, reply.text
        return reply.json()

    async def decide(self, message: StageDecided) -> StageDecided:
        await self.service.publish(message, tenant=self.tenant, sequence=message.decision_no)
        return message

    async def publish_pipelines(self, *pipelines: PipelinePublished) -> None:
        """Publish these versions, and wait until the connector reads by them."""
        await publish_pipelines(self.service, self.tenant, *pipelines)

    def record(self, opportunity_id: str) -> dict[str, Any]:
        found = self.org.sim(f"opportunities?id={opportunity_id}", method="GET")
        return found["opportunities"][0]

    async def created(self, **fields: Any) -> str:
        """An opportunity that a person made in the org, once the connector knows it."""
        body = {"Name": f"Deal {next(self._names)}", "StageName": "Prospecting", "CloseDate": "2027-03-31"}
        async with self.org.session() as client:
            reply = await client.post("/services/data/v67.0/sobjects/Opportunity", json=body | fields)
        assert reply.status_code == 201, reply.text
        opportunity_id = reply.json()["id"]
        await self.shows(opportunity_id, crm_stage=(body | fields)["StageName"])
        return opportunity_id

    async def shows(self, opportunity_id: str, **expected: Any) -> dict[str, Any]:
        """What the connector knows of the opportunity, once it knows that."""

        async def known() -> dict[str, Any]:
            path = f"/v1/opportunities/{opportunity_id}"
            reply = await self.service.client.get(path, headers=self.headers)
            assert reply.status_code == 200
            found = reply.json()
            assert {name: found[name] for name in expected} == expected
            return found

        return await eventually(known)

    async def observed(self, opportunity_id: str, count: int) -> list[RecordObserved]:
        """Everything that was published as observed of the opportunity, once it is that much."""
        events = await self.service.events(
            RecordObserved, tenant=self.tenant, count=count, where=lambda each: each.record_id == opportunity_id
        )
        sequences = [event.sequence for event in events]
        assert sequences == sorted(set(sequences))
        return [event.message for event in events]

    async def state_of(self, opportunity_id: str, *states: str) -> list[dict[str, Any]]:
        """The opportunity's intents, the oldest first, once they are in these states."""

        async def settled() -> list[dict[str, Any]]:
            items = (await self.get(f"write-intents?opportunity_id={opportunity_id}"))["items"][::-1]
            assert [item["state"] for item in items] == list(states)
            return items

        return await eventually(settled)


@pytest.fixture
def freshness_shown() -> Callable[[], Awaitable[None]]:
    """Waits until the metrics count one more stage, with the time since its submission, than before the test."""

    def confirmed() -> float:
        return REGISTRY.get_sample_value("crm_freshness_seconds_count") or 0

    before = confirmed()

    async def counted() -> None:
        assert confirmed() > before

    return lambda: eventually(counted)


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """Makes the events that other services send."""
    return SimpleNamespace(
        pipeline=pipeline, assessment=assessment, scored=scored, decision=decision, settings=settings_of
    )


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningOrg]:
    with running_org(tmp_path_factory.mktemp("org"), keepalive_seconds=3) as running:
        yield running


def settings_of(org: RunningOrg, tenant: str) -> dict[str, Any]:
    return {
        "crm_adapter": "salesforce",
        "salesforce_tenant": tenant,
        "salesforce_login_url": org.url,
        "salesforce_client_id": org.client["client_id"],
        "salesforce_username": org.client["username"],
        "salesforce_private_key_file": org.credentials_dir / "connector.key.pem",
        "salesforce_pubsub_endpoint": f"http://{org.pubsub_target}",
        "salesforce_account_stage_field": "Type",
        "crm_poll_seconds": 0.2,
    }


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def linked(org: RunningOrg, start_service: StartService) -> AsyncIterator[Linked]:
    tenant = f"tenant-{uuid4().hex[:8]}"
    service = await start_service("crm_connector", **settings_of(org, tenant))
    found = Linked(org, service, tenant)
    await service.publish(assessment(), tenant=tenant)
    await found.publish_pipelines(pipeline())

    async def live() -> None:
        assert (await found.get("connection"))["state"] == "LIVE"

    await eventually(live)
    # The first change of the stream closes the gap since the connector connected, by reading.
    await found.created()
    yield found


class ScriptedOrg:
    """An org that replies as a test says, and counts what it is asked. It gives a new token to each request for one,
    unless the test replies to that too."""

    def __init__(
        self,
        reply: Callable[[httpx.Request], httpx.Response],
        secret: Path,
        token_reply: Callable[[httpx.Request], httpx.Response] | None,
        clock: Callable[[], float],
    ) -> None:
        self._reply = reply
        self._token_reply = token_reply
        self.asked_for_tokens = 0
        self.tokens: list[str] = []
        self.http = httpx.AsyncClient(transport=httpx.MockTransport(self._serve))
        self.sessions = Sessions(self.http, "http://org", ClientCredentials("key", secret), clock)
        self.rest = Rest(self.http, self.sessions, "67.0")

    def _serve(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/oauth2/token"):
            self.tokens.append(request.headers["authorization"])
            return self._reply(request)
        self.asked_for_tokens += 1
        if self._token_reply:
            return self._token_reply(request)
        token = f"t{self.asked_for_tokens}"
        body = {"access_token": token, "instance_url": "http://org", "id": "http://org/id/00D/005"}
        return httpx.Response(200, json=body)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("s3cret\n")
    return path


@pytest.fixture
async def scripted(secret: Path) -> AsyncIterator[Callable[..., ScriptedOrg]]:
    """Makes orgs that reply as a test says."""
    made: list[ScriptedOrg] = []

    def make(
        reply: Callable[[httpx.Request], httpx.Response] = lambda _: httpx.Response(200, json={}),
        token_reply: Callable[[httpx.Request], httpx.Response] | None = None,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> ScriptedOrg:
        made.append(ScriptedOrg(reply, secret, token_reply, clock))
        return made[-1]

    yield make
    for org in made:
        await org.http.aclose()
