"""Plays shipped processes: assessment, scoring and the stage engine between them a broker, and what people do."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
import pytest_asyncio
from kit.contracts.facts import fact_of
from kit.ids import utc_now, uuid7
from stage_engine.endpoints import processes
from stagecraft.crm.v1 import activity_observed_pb2 as activities
from stagecraft.crm.v1 import record_observed_pb2 as crm
from testing.service import WAIT_SECONDS, ServiceUnderTest, StartService, eventually

from tests.builders import person_observed
from tests.stage_engine import Client, Tenant, stamp

_KINDS = {"call": activities.ACTIVITY_KIND_CALL, "meeting": activities.ACTIVITY_KIND_MEETING}
_PLURALS = {"opportunity": "opportunities", "lead": "leads", "account": "accounts"}


class Assigned(NamedTuple):
    person_id: str
    rule_id: str


class Company:
    """A tenant that installs processes and works by them. Its administrator is `admin`."""

    def __init__(self, services: dict[str, ServiceUnderTest], tenant: str) -> None:
        self.services = services
        self.tenant = tenant
        self.engine = services["stage_engine"]
        self.admin = Client(self.engine, tenant)
        self._told = Tenant(self.engine, tenant)

    async def install(self, key: str, expect: int = 201, prefix: str = "", **body: Any) -> Any:
        body |= {"as": prefix} if prefix else {}
        installed = await self.admin.post(f"/v1/process-templates/{key}/install", body, expect=expect)
        if expect < 300:
            self._told.pipelines = sorted({*self._told.pipelines, *installed["pipelines"]})
        return installed

    async def staff(self, *people: str) -> None:
        for each in people:
            await self.engine.publish(person_observed(each, self.tenant, manager_id=""), tenant=self.tenant)

        async def known() -> None:
            assert await self._told.rows("SELECT count(*) FROM person") == [(len(people),)]

        await eventually(known)

    async def seen(self, id_: str, stage: str, of: str = "opportunity", **given: Any) -> None:
        """A record that was created in this stage, with these facts: `industry` is the record's own."""
        await self.observe(id_, stage, of, kind=crm.OBSERVATION_KIND_CREATED, **given)

    async def observe(
        self,
        id_: str,
        stage: str,
        of: str = "opportunity",
        *,
        kind: Any = crm.OBSERVATION_KIND_UPDATED,
        at: datetime | None = None,
        owner: str = "rita",
        pipelines: Sequence[str] | None = None,
        **facts: Any,
    ) -> None:
        """What the CRM shows of a record: its stage in these pipelines, or in all that are installed."""
        before = len(await self.decisions(id_, of, missing=True))
        named = [fact_of(f"{of}.{name}", value) for name, value in facts.items()]
        given: dict[str, Any] = {"object_type": of, "kind": kind, "facts": named, "owner_id": owner}
        if pipelines is not None:
            given["pipelines"] = pipelines
        await self._told.observe(id_, stage, committed_at=stamp(at or utc_now()), **given)
        await self._decided(id_, of, before)

    async def touch(self, id_: str, kind: str = "call", of: str = "opportunity", ago: timedelta = timedelta()) -> None:
        """Someone calls or meets them, which the process reads."""
        before = len(await self.decisions(id_, of))
        message = activities.ActivityObserved(
            activity_id=f"a-{uuid4().hex[:8]}", object_type=of, record_id=id_, kind=_KINDS[kind], person_id="rita",
            done=True, change_id=str(uuid7()),
        )  # fmt: skip
        message.occurred_at.CopyFrom(stamp(utc_now() - ago))
        message.committed_at.CopyFrom(stamp(utc_now()))
        await self.engine.publish(message, tenant=self.tenant)
        await self._decided(id_, of, before)

    async def _decided(self, id_: str, of: str, before: int) -> None:
        async def more() -> None:
            assert len(await self.decisions(id_, of, missing=True)) > before

        await eventually(more)

    async def report(self, id_: str, source: str, of: str = "opportunity", **facts: Any) -> None:
        """A program reports facts; `survey__wants` is `survey.wants`."""
        items = [
            {
                "object_type": of,
                "subject_id": id_,
                "name": name.replace("__", "."),
                "value": value,
                "source": source,
                "observed_at": utc_now().isoformat(),
                "idempotency_key": uuid4().hex,
            }
            for name, value in facts.items()
        ]
        answers = (await self.admin.post("/v1/facts", {"items": items}, expect=200))["items"]
        assert [each["outcome"] for each in answers] == ["decided"] * len(items), answers

    async def submit(
        self, id_: str, assessment: str, answers: dict[str, Any], of: str = "opportunity", *, refused: bool = False
    ) -> None:
        """Their owner answers an assessment, in the stage where the record is now."""
        shown = await self.shown(id_, of)
        service = self.services["assessment"]
        headers = service.headers(self.tenant, "rep", shown["owner_id"])

        async def known() -> None:
            # Whose it is, assessment hears on its own: an answer by somebody else would be held.
            path = f"/v1/opportunities/{id_}/next-assessment"
            assert (await service.client.get(path, headers=headers)).status_code == 200

        await eventually(known)
        body = {
            "opportunity_id": id_, "assessment_key": assessment, "assessment_version": 1, "answers": answers,
            "captured_at": utc_now().isoformat(),
            "visit": {"stage_key": shown["claimed_stage"], "visit_no": shown["visit_no"]},
        }  # fmt: skip
        reply = await service.client.put(f"/v1/submissions/{uuid7()}", json=body, headers=headers)
        assert reply.status_code == 422 if refused else reply.is_success, reply.text

    async def due(self, id_: str, timer: str) -> None:
        """Turn the clock: this timer was due a minute ago, and fires."""
        due = f"{{timers,{timer},due}}"

        async def running() -> None:
            [(at,)] = await self.rows(
                f"SELECT state::jsonb #>> '{due}' FROM opportunity WHERE opportunity_id = '{id_}'"
            )
            assert at

        await eventually(running)
        made = f"SELECT count(*) FROM decision WHERE opportunity_id = '{id_}'"
        [(before,)] = await self.rows(made)
        past = "to_char(now() AT TIME ZONE 'UTC' - interval '1 minute', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
        await self.rows(
            "UPDATE opportunity SET due_at = now() - interval '1 minute',"
            f" state = jsonb_set(state::jsonb, '{due}', to_jsonb({past}))::text WHERE opportunity_id = '{id_}'"
        )

        async def fired() -> None:
            [(now,)] = await self.rows(made)
            assert now > before

        await eventually(fired)

    @staticmethod
    def now() -> datetime:
        return utc_now()

    @staticmethod
    async def until(check: Callable[[], Awaitable[None]]) -> None:
        """Wait until the check holds."""
        await eventually(check)

    async def assigned(self, id_: str, role: str = "owner", besides: str = "") -> Assigned:
        """Who got the role last, once somebody has, but for one person."""

        async def found() -> Assigned:
            where = f"WHERE opportunity_id = '{id_}' AND role = '{role}' ORDER BY assigned_at DESC LIMIT 1"
            rows = await self.rows(f"SELECT person_id, rule_id FROM assignment {where}")
            assert rows and rows[0][0] != besides, rows
            return Assigned(*rows[0])

        return await eventually(found)

    async def shown(self, id_: str, of: str = "opportunity") -> Any:
        return await self.admin.get(f"/v1/{_PLURALS[of]}/{id_}")

    async def at(self, id_: str, stage: str, of: str = "opportunity", **expected: Any) -> Any:
        """The record, once it is in this stage."""

        async def there() -> Any:
            shown = await self.shown(id_, of)
            assert {"claimed_stage": stage, **expected}.items() <= shown.items(), shown
            return shown

        return await eventually(there)

    async def move(self, id_: str, stage: str, of: str = "opportunity", **given: Any) -> Any:
        """A person moves it."""
        shown = await self.shown(id_, of)
        path = f"/v1/{_PLURALS[of]}/{id_}/transitions"
        decision = await self.admin.call("POST", path, 201, {"to_stage": stage, **given}, match=shown["revision"])
        assert decision["outcome"] == "accepted", decision["reasons"]
        return decision

    async def actions(self, id_: str, of: str = "opportunity") -> dict[str, Any]:
        """What was asked for about it, by key."""
        items = (await self.admin.get(f"/v1/{_PLURALS[of]}/{id_}/actions?limit=100"))["items"]
        return {each["action_key"]: each for each in items}

    async def judged(self, id_: str, of: str = "opportunity") -> list[Any]:
        """What its first submission lacked, once it was decided on."""

        async def found() -> list[Any]:
            made = await self.decisions(id_, of)
            first, *_ = [each["reasons"] for each in made if each["input"]["kind"] == "submission"]
            return first

        return await eventually(found)

    async def to_confirm(self, id_: str, of: str = "opportunity") -> None:
        """Wait until rules propose something that a person has to confirm."""

        async def proposed() -> None:
            found = (await self.admin.get(f"/v1/{_PLURALS[of]}?to_confirm=true"))["items"]
            assert [each["opportunity_id"] for each in found] == [id_]

        await eventually(proposed)

    async def decisions(self, id_: str, of: str = "opportunity", *, missing: bool = False) -> list[Any]:
        if missing and not await self._told.rows(f"SELECT 1 FROM opportunity WHERE opportunity_id = '{id_}'"):
            return []
        return (await self.admin.get(f"/v1/{_PLURALS[of]}/{id_}/decisions?limit=100"))["items"]

    async def path(self, id_: str) -> list[str]:
        """The stages that it went through."""
        moves = (await self.admin.get("/v1/changes?limit=200"))["items"]
        return [each["to_stage"] for each in moves if each["opportunity_id"] == id_]

    async def replays(self, id_: str, of: str = "opportunity") -> None:
        """Every decision about it comes out the same again."""
        for each in await self.decisions(id_, of):
            replayed = await self.admin.post(f"/v1/decisions/{each['decision_id']}/replay", expect=200)
            assert replayed["identical"] is True, each

    async def rows(self, statement: str) -> list[Any]:
        return await self._told.rows(statement)


@pytest.fixture(scope="module", autouse=True)
def patient() -> Iterator[None]:
    """What is installed waits for assessments and points, however slow the services are that publish them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "PATIENCE_SECONDS", WAIT_SECONDS)
        yield


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def services(start_shared_service: StartService) -> dict[str, ServiceUnderTest]:
    """Assessment, scoring and the stage engine on the same topics."""
    prefix = f"t{uuid4().hex[:8]}."
    return {
        package: await start_shared_service(package, topic_prefix=prefix)
        for package in ("assessment", "scoring", "stage_engine")
    }


@pytest_asyncio.fixture(loop_scope="session")
async def company(services: dict[str, ServiceUnderTest], tenant: str) -> Company:
    return Company(services, tenant)
