"""What tests of the stage engine share: other services, and people, as they use it."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import asyncpg
from google.protobuf.timestamp_pb2 import Timestamp
from kit.ids import utc_now, uuid7
from stage_engine.templates import templates
from stagecraft.crm.v1 import record_observed_pb2 as crm
from stagecraft.scoring.v1.scoring_profile_published_pb2 import SCALE_RAW
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored
from stagecraft.stage.v1.stage_changed_pb2 import StageChanged
from stagecraft.stage.v1.stage_decided_pb2 import StageDecided
from testing.service import ServiceUnderTest

from tests.builders import record_observed


def stamp(moment: datetime) -> Timestamp:
    value = Timestamp()
    value.FromDatetime(moment.astimezone(UTC).replace(tzinfo=None))
    return value


class Tenant:
    """What other services tell the engine about one tenant, and what it answers."""

    def __init__(self, service: ServiceUnderTest, tenant: str) -> None:
        self.service = service
        self.tenant = tenant
        self.headers = service.headers(tenant)
        self.pipelines = ["field_example"]
        # How often each record was observed: who keeps owners takes what comes later for what is newer.
        self._observed: Counter[str] = Counter()

    async def get(self, path: str) -> Any:
        response = await self.service.client.get(path, headers=self.headers)
        assert response.status_code == 200, response.text
        return response.json()

    async def publish_pipeline(self, **changes: Any) -> None:
        document = {**templates()["field_example"], **changes}
        self.pipelines.append(document["key"])
        made = await self.service.client.post("/v1/pipelines", json=document, headers=self.headers)
        assert made.status_code == 201, made.text
        done = await self.service.client.post(f"/v1/pipelines/{document['key']}/publish", headers=self.headers)
        assert done.status_code == 201, done.text

    async def observe(self, opportunity_id: str, stage: str, **given: Any) -> crm.RecordObserved:
        fields: dict[str, Any] = {
            "kind": crm.OBSERVATION_KIND_UPDATED,
            "stage_key": stage,
            "pipelines": sorted(set(self.pipelines)),
            "crm_stage": stage.title(),
            "amount": "1000",
            "owner_id": "rita",
            "changed_by": "carl",
            "change_id": str(uuid7()),
            "committed_at": stamp(utc_now()),
        }
        message = record_observed(opportunity_id=opportunity_id, **{"close_date": "", **fields, **given})
        self._observed[opportunity_id] += 1
        await self.service.publish(message, tenant=self.tenant, sequence=self._observed[opportunity_id])
        return message

    async def score(
        self, opportunity_id: str, assessment: str, score: str, visit: tuple[str, int], **given: Any
    ) -> SubmissionScored:
        message = SubmissionScored(
            score_id=str(uuid7()),
            submission_id=given.pop("submission_id", str(uuid7())),
            opportunity_id=opportunity_id,
            assessment_key=assessment,
            assessment_version=1,
            profile_id="p1",
            profile_version=1,
            scale=SCALE_RAW,
            score=score,
            raw_points=score,
            percent="50",
            complete=True,
            submitted_by="rita",
            entitled=given.pop("entitled", True),
            attempt_no=given.pop("attempt_no", 1),
        )
        message.visit.stage_key, message.visit.visit_no = visit
        for name in ("captured_at", "received_at", "scored_at"):
            getattr(message, name).CopyFrom(stamp(given.get(name, utc_now())))
        for question, points, most in (("compliance", "0", "30"), ("hours", score, "40")):
            message.contributions.add(question_key=question, points=points, max_points=most)
        await self.service.publish(message, tenant=self.tenant, event_id=given.get("event_id"))
        return message

    async def decisions(self, count: int) -> list[StageDecided]:
        return [e.message for e in await self.service.events(StageDecided, tenant=self.tenant, count=count)]

    async def changes(self, count: int) -> list[StageChanged]:
        return [e.message for e in await self.service.events(StageChanged, tenant=self.tenant, count=count)]

    async def rows(self, statement: str) -> list[Any]:
        """What the tenant's tables hold, asked as their owner."""
        connection = await asyncpg.connect(self.service.owner_url)
        try:
            await connection.execute("SELECT set_config('app.tenant_id', $1, false)", self.tenant)
            return [tuple(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    async def parked(self) -> int:
        [(count,)] = await self.rows("SELECT count(*) FROM parked")
        return count


def codes(decision: StageDecided) -> list[str]:
    return [reason.code for reason in decision.reasons]


async def metric(service: ServiceUnderTest, name: str) -> float:
    """The value of a metric, given as a line of /metrics begins with it."""
    lines = (await service.client.get("/metrics")).text.splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)


def draft(**changes: Any) -> dict[str, Any]:
    return {**templates()["field_example"], **changes}


class Client:
    """The API as one person of one tenant uses it."""

    def __init__(self, service: ServiceUnderTest, tenant: str, role: str = "admin", subject: str = "") -> None:
        self._service = service
        self.tenant = tenant
        self._headers = service.headers(tenant, role, subject)

    async def call(
        self,
        method: str,
        path: str,
        expect: int,
        body: Any = None,
        match: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        given = {**self._headers, **(headers or {})}
        if match is not None:
            given["If-Match"] = f'"{match}"'
        options = {"json": body} if body is not None else {}
        response = await self._service.client.request(method, path, headers=given, **options)
        assert response.status_code == expect, response.text
        return response.json() if response.content else None

    async def get(self, path: str, expect: int = 200) -> Any:
        return await self.call("GET", path, expect)

    async def delete(self, path: str, expect: int = 204) -> Any:
        return await self.call("DELETE", path, expect)

    async def post(
        self,
        path: str,
        body: Any = None,
        expect: int = 201,
        match: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        return await self.call("POST", path, expect, body, match, headers)


async def publish(admin: Client, **changes: Any) -> Any:
    await admin.post("/v1/pipelines", draft(**changes))
    return await admin.post(f"/v1/pipelines/{changes.get('key', 'field_example')}/publish")


async def first_observed(engine: ServiceUnderTest, tenant: str, admin: Client, stage: str = "prospecting") -> str:
    """The id of an opportunity of a published pipeline, first observed in this stage."""
    await publish(admin)
    message = record_observed(
        opportunity_id=f"o-{uuid7()}",
        kind=crm.OBSERVATION_KIND_IMPORTED,
        stage_key=stage,
        crm_stage=stage,
        amount="1000",
        owner_id="rita",
        change_id=str(uuid7()),
    )
    message.committed_at.GetCurrentTime()
    await engine.publish(message, tenant=tenant)
    await engine.events(StageChanged, tenant=tenant, count=1)
    return message.record_id
