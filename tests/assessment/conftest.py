"""A running assessment service and a tenant's world inside it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from google.protobuf.timestamp_pb2 import Timestamp
from kit.ids import uuid7
from stagecraft.crm.v1.record_observed_pb2 import OBSERVATION_KIND_UPDATED
from stagecraft.scoring.v1.scoring_profile_published_pb2 import SCALE_RAW, ScoringProfilePublished
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored
from stagecraft.stage.v1.pipeline_published_pb2 import CATEGORY_OPEN, CATEGORY_WON, PipelinePublished, Stage
from stagecraft.stage.v1.stage_changed_pb2 import CAUSE_RULE, TRANSITION_KIND_ADVANCE, StageChanged
from stagecraft.stage.v1.stage_decided_pb2 import (
    INPUT_KIND_SUBMISSION,
    OUTCOME_ACCEPTED,
    OUTCOME_PROPOSED,
    OUTCOME_REJECTED,
    Outcome,
    Reason,
    StageDecided,
)
from testing.service import ServiceUnderTest

from tests.builders import record_observed

CAPTURED_AT = "2026-03-02T09:30:00Z"

QUESTIONS: list[dict[str, Any]] = [
    {
        "key": "hours",
        "text": "Hours a week lost?",
        "type": "single_choice",
        "required": True,
        "choices": [
            {"key": "few", "text": "1-2 hours"},
            {"key": "some", "text": "2-4 hours"},
            {"key": "many", "text": "> 5 hours"},
        ],
    },
    {
        "key": "pains",
        "text": "Pains",
        "type": "multiple_choice",
        "choices": [
            {"key": "cost", "text": "Cost"},
            {"key": "time", "text": "Time"},
            {"key": "none", "text": "None", "exclusive": True},
        ],
    },
    {
        "key": "budget",
        "text": "Budget",
        "type": "number",
        "minimum": "0",
        "maximum": "1000000",
        "visible_if": "{hours} = 'many'",
    },
    {"key": "note", "text": "Note", "type": "text", "max_length": 200},
    {"key": "compliance", "text": "Compliance?", "type": "boolean", "required": True},
]
ANSWERS: dict[str, Any] = {"hours": "many", "pains": ["cost", "time"], "budget": "12.50", "compliance": True}


def stamp(text: str = CAPTURED_AT) -> Timestamp:
    """A protobuf timestamp."""
    moment = Timestamp()
    moment.FromDatetime(datetime.fromisoformat(text).astimezone(UTC))
    return moment


@dataclass
class World:
    """One tenant of the running service, with shortcuts for what tests do over and over."""

    service: ServiceUnderTest
    tenant: str
    eventually: Callable[..., Awaitable[Any]]

    def headers(self, role: str = "rep", subject: str = "") -> dict[str, str]:
        return self.service.headers(self.tenant, role, subject or role)

    async def call(
        self, method: str, path: str, body: Any = None, *, role: str = "rep", subject: str = "", **headers: str
    ) -> httpx.Response:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.service.client.request(
            method, f"/v1{path}", json=body, headers={**self.headers(role, subject), **given}
        )

    async def publish_form(
        self, key: str = "prospecting", questions: list[dict[str, Any]] | None = None, *, points: bool = True
    ) -> dict[str, Any]:
        """A published version of an assessment, made on first use."""
        draft = {"title": key.title(), "questions": questions or QUESTIONS}
        created = await self.call("POST", "/assessments", {"key": key, **draft}, role="admin")
        assert created.status_code in {201, 409}, created.text
        published = await self.call("POST", f"/assessments/{key}/publish", role="admin")
        assert published.status_code == 201, published.text
        version = published.json()
        if points:
            await self.points(key, version["version"])
        return version

    async def points(self, key: str = "prospecting", version: int = 1) -> None:
        """Scoring's word that a version has points."""
        event = ScoringProfilePublished(
            profile_id=str(uuid7()), assessment_key=key, assessment_version=version, version=1, scale=SCALE_RAW
        )
        await self.service.publish(event, tenant=self.tenant, sequence=version)

    def body(self, opportunity_id: str = "006A", **changes: Any) -> dict[str, Any]:
        """A valid submission."""
        return {
            "opportunity_id": opportunity_id,
            "assessment_key": "prospecting",
            "assessment_version": 1,
            "answers": ANSWERS,
            "captured_at": CAPTURED_AT,
            **changes,
        }

    async def submit(
        self, submission_id: str | None = None, *, role: str = "rep", subject: str = "", **changes: Any
    ) -> httpx.Response:
        path = f"/submissions/{submission_id or uuid7()}"
        return await self.call("PUT", path, self.body(**changes), role=role, subject=subject)

    async def observe(self, opportunity_id: str = "006A", *, sequence: int = 1, **changes: Any) -> None:
        """The CRM's word about an opportunity."""
        fields = {"kind": OBSERVATION_KIND_UPDATED, "owner_id": "rep", "amount": "1200.50", **changes}
        event = record_observed(opportunity_id=opportunity_id, committed_at=stamp(), **fields)
        await self.service.publish(event, tenant=self.tenant, sequence=sequence)

    async def place(
        self, opportunity_id: str = "006A", stage: str = "prospecting", *, revision: int = 1, **changes: Any
    ) -> None:
        """The stage engine's word about an opportunity."""
        fields = {
            "transition_id": str(uuid4()),
            "pipeline_key": "sales",
            "pipeline_version": 1,
            "kind": TRANSITION_KIND_ADVANCE,
            "cause": CAUSE_RULE,
            "to_category": CATEGORY_WON if stage == "closed_won" else CATEGORY_OPEN,
            "visit_no": revision,
            "cycle_no": 1,
            **changes,
        }
        event = StageChanged(
            opportunity_id=opportunity_id, to_stage=stage, revision=revision, changed_at=stamp(), **fields
        )
        await self.service.publish(event, tenant=self.tenant, sequence=revision)

    async def pipeline(self, version: int = 1, **assessments: list[str]) -> None:
        """A published pipeline; stages by key with the assessments that count in them."""
        given = assessments or {"prospecting": ["prospecting"], "discovery": ["discovery"], "demo": []}
        stages = [
            Stage(key=key, name=key.title(), category=CATEGORY_OPEN, assessment_keys=keys)
            for key, keys in given.items()
        ]
        stages.append(Stage(key="closed_won", name="Closed Won", category=CATEGORY_WON))
        event = PipelinePublished(
            pipeline_key="sales", version=version, name="Sales", stages=stages, published_at=stamp()
        )
        await self.service.publish(event, tenant=self.tenant, sequence=version)

    async def scored(self, submission_id: str, score: str = "56", opportunity_id: str = "006A", **changes: Any) -> None:
        """Scoring's word about a submission."""
        fields = {
            "score_id": str(uuid7()),
            "assessment_key": "prospecting",
            "scale": SCALE_RAW,
            "raw_points": score or "0",
            "reachable_max": "70",
            "percent": "80",
            "complete": bool(score),
            "scored_at": stamp(),
            **changes,
        }
        event = SubmissionScored(submission_id=submission_id, opportunity_id=opportunity_id, score=score, **fields)
        await self.service.publish(event, tenant=self.tenant)

    async def decided(
        self,
        submission_id: str,
        outcome: "Outcome" = OUTCOME_REJECTED,
        *,
        decision_no: int = 1,
        opportunity_id: str = "006A",
        reasons: tuple[tuple[str, str, str], ...] = (("FAILED", "prospecting.score", "-4"),),
        why: Reason | None = None,
        **changes: Any,
    ) -> None:
        """The stage engine's decision on a submission; reasons are (code, fact, margin)."""
        accepted = outcome in (OUTCOME_ACCEPTED, OUTCOME_PROPOSED)
        fields = {
            "decision_id": str(uuid7()),
            "pipeline_key": "sales",
            "pipeline_version": 1,
            "input_kind": INPUT_KIND_SUBMISSION,
            "from_stage": "prospecting",
            "to_stage": "discovery" if outcome == OUTCOME_ACCEPTED else "prospecting",
            "reasons": [] if accepted else [Reason(code=c, fact=f, margin=m) for c, f, m in reasons],
            "decided_at": stamp(),
            **changes,
        }
        if why is not None:
            fields["reasons"] = [why]
        event = StageDecided(
            input_id=submission_id,
            opportunity_id=opportunity_id,
            outcome=outcome,
            decision_no=decision_no,
            **fields,
        )
        await self.service.publish(event, tenant=self.tenant, sequence=decision_no)

    async def next(self, opportunity_id: str = "006A", **options: Any) -> dict[str, Any]:
        answer = await self.call("GET", f"/opportunities/{opportunity_id}/next-assessment", **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def settled(self, opportunity_id: str = "006A", *, role: str = "admin", **expected: Any) -> dict[str, Any]:
        """The next-assessment answer once it holds what is expected of its top-level fields. A rep has one only once
        the owner is known too."""

        async def check() -> dict[str, Any]:
            answer = await self.next(opportunity_id, role=role)
            assert {name: answer[name] for name in expected} == expected
            return answer

        return await self.eventually(check)

    async def at_prospecting(self, opportunity_id: str = "006A", **observed: Any) -> dict[str, Any]:
        """An opportunity of the rep's, in its first stage, with the form published."""
        published = await self.publish_form()
        await self.pipeline()
        await self.observe(opportunity_id, **observed)
        await self.place(opportunity_id)

        async def placed() -> None:
            answer = await self.call("GET", f"/opportunities/{opportunity_id}/next-assessment")
            assert answer.status_code == 200
            assert answer.json()["reason"] == "not_started"

        await self.eventually(placed)
        return published


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def assessment_service(start_service: Callable[..., Awaitable[ServiceUnderTest]]) -> ServiceUnderTest:
    """The service, shared by the tests of a module."""
    return await start_service("assessment")


@pytest.fixture
def world(assessment_service: ServiceUnderTest, tenant: str, eventually: Callable[..., Awaitable[Any]]) -> World:
    """A fresh tenant of the running service."""
    return World(assessment_service, tenant, eventually)
