"""Sender and receiver against a CRM that does exactly what a test asks of it, on a real database."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from crm_connector.crm import Adopted, ChangeBatch, CrmUnavailable, Lack, Related, Usage
from crm_connector.domain.fields import CrmField, FieldMapping
from crm_connector.domain.intents import IN_LINE, Reply, Verdict
from crm_connector.domain.observation import CrmRecord, Facts, ObservationKind, StageClock
from crm_connector.domain.stages import CrmStage
from crm_connector.domain.writes import CrmWrite
from crm_connector.link import LinkState
from crm_connector.receiver import Receiver
from crm_connector.repository.intents import IntentRepository
from crm_connector.repository.listing import IntentList
from crm_connector.repository.settled import SettledRepository
from crm_connector.sender import Sender
from crm_connector.service import inbound
from crm_connector.signals import Signals
from kit.ids import utc_now
from sqlalchemy import text
from stagecraft.crm.v1.crm_write_confirmed_pb2 import CrmWriteConfirmed
from stagecraft.crm.v1.record_observed_pb2 import OBSERVATION_KIND_DELETED, RecordObserved

from tests.builders import mapped
from tests.published import publish_pipelines
from tests.senders import sending

pytestmark = pytest.mark.stack
Eventually = Callable[..., Awaitable[Any]]
NOW = datetime(2026, 11, 22, 19, 0, 5, tzinfo=UTC)


class ScriptedCrm:
    """Opportunities in memory, with the compare-and-set of a real org. `script` says how the next calls go: `lose`
    the reply, `skip` the work and lose the reply, `hang` after the work, `hang before` it; otherwise all is well."""

    name = "scripted"
    default_fields = FieldMapping()
    writes_at_once = 25
    subject_objects: Mapping[str, str] = {"opportunity": "Opportunity", "lead": "Lead"}
    evidence_objects: Sequence[str] = ("Assessment",)

    def __init__(self, *script: str) -> None:
        self.script = list(script)
        self.stage: dict[str, str] = {}
        self.write_id: dict[str, str] = {}
        self.applied: list[CrmWrite] = []
        self.calls: list[list[CrmWrite]] = []
        self.busy: set[str] = set()
        self.most_busy = 0
        self.seconds = 0.01
        self.page_faults = 0
        self.pages_read_after: list[str] = []
        self.swept: list[tuple[str, datetime]] = []
        self.lacking: list[Lack] = []
        self.retried = 0
        self.gone: list[str] = []

    async def connect(self) -> str:
        return "00D"

    async def close(self) -> None:
        return None

    async def lacks(self) -> list[Lack]:
        return self.lacking

    async def events_used(self) -> Usage | None:
        return Usage(5, 100)

    def retry(self) -> None:
        self.retried += 1

    async def deleted(self, since: datetime, until: datetime) -> list[str]:
        return self.gone

    async def in_stage_since(self, records: Sequence[CrmRecord]) -> dict[str, StageClock]:
        return {}

    async def stages(self) -> list[CrmStage]:
        return []

    async def fields(self, object_type: str) -> list[CrmField]:
        return []

    async def adopt(self, mapping: FieldMapping, object_types: Sequence[str]) -> Adopted:
        return Adopted("all", tuple(object_types))

    async def activities(self, related: Sequence[Related]) -> list[Any]:
        return []

    async def concerned(self, related: Sequence[Related]) -> AsyncGenerator[list[CrmRecord], None]:
        for page in ():
            yield page

    async def records(
        self, after: str = "", since: datetime | None = None, object_types: Sequence[str] | None = None
    ) -> AsyncGenerator[list[CrmRecord], None]:
        ids = sorted(key for key in self.stage if key > after)
        self.pages_read_after.append(after)
        if since is not None:
            self.swept.append((after, since))
        for start in range(0, len(ids), 2):
            if start and self.page_faults:
                self.page_faults -= 1
                raise CrmUnavailable("the page was lost")
            yield await self.read(ids[start : start + 2])

    async def read(self, record_ids: Sequence[str]) -> list[CrmRecord]:
        return [
            CrmRecord(key, Facts(self.stage[key]), NOW, "005", self.write_id.get(key, ""))
            for key in record_ids
            if key in self.stage
        ]

    def sent_fields(self, write: CrmWrite) -> Mapping[str, Any]:
        return {"StageName": write.stage.target} if write.stage else {}

    async def write(self, writes: Sequence[CrmWrite]) -> list[Reply]:
        self.calls.append(list(writes))
        step = self.script.pop(0) if self.script else ""
        ids = {write.opportunity_id for write in writes}
        assert not ids & self.busy
        self.busy |= ids
        self.most_busy = max(self.most_busy, len(self.busy))
        try:
            if step == "hang before":
                await asyncio.Event().wait()
            await asyncio.sleep(self.seconds)
            if step == "skip":
                return [Reply(write.write_id, Verdict.UNKNOWN, came=False) for write in writes]
            results = [self.apply(write) for write in writes]
            if step == "hang":
                await asyncio.Event().wait()
            if step == "lose":
                return [Reply(write.write_id, Verdict.UNKNOWN, came=False) for write in writes]
            return results
        finally:
            self.busy -= ids

    def apply(self, write: CrmWrite) -> Reply:
        """Carry the write out as the org would, also long after the caller gave up on it."""
        if write.stage:
            held = self.stage.get(write.opportunity_id, write.stage.expected)
            if write.stage.expected and held != write.stage.expected:
                return Reply(write.write_id, Verdict.CONFLICT)
            self.stage[write.opportunity_id] = write.stage.target
        self.write_id[write.opportunity_id] = write.write_id
        self.applied.append(write)
        return Reply(write.write_id, Verdict.CONFIRMED)

    async def changes(self, position: bytes | None) -> AsyncGenerator[ChangeBatch, None]:
        await asyncio.Event().wait()
        yield ChangeBatch((), b"")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(start_service: Any) -> AsyncIterator[Any]:
    yield await start_service("crm_connector", salesforce_tenant="none", crm_poll_seconds=0.2)


@pytest.fixture
async def queue(service: Any, tenant: str, make: SimpleNamespace, eventually: Eventually) -> Any:
    """Publishes decisions and gives the intents, opportunity by opportunity: events of two may come in any order."""
    await publish_pipelines(service, tenant, make.pipeline())
    await service.publish(make.assessment(), tenant=tenant)

    async def intents() -> list[dict[str, Any]]:
        reply = await service.client.get("/v1/write-intents?limit=200", headers=service.headers(tenant))
        return sorted(reply.json()["items"][::-1], key=lambda intent: intent["opportunity_id"])

    async def mapped() -> None:
        reply = await service.client.get("/v1/stage-mappings/sales", headers=service.headers(tenant))
        assert reply.status_code == 200

    async def decide(*messages: Any) -> None:
        expected = len(await intents()) + len(messages)
        for message in messages:
            await service.publish(message, tenant=tenant, sequence=message.decision_no)

        async def stored() -> None:
            assert len(await intents()) == expected

        await eventually(stored)

    async def states(*expected: str) -> list[dict[str, Any]]:
        async def check() -> list[dict[str, Any]]:
            found = await intents()
            assert [item["state"] for item in found] == list(expected)
            return found

        return await eventually(check)

    async def settled(opportunity_id: str) -> None:
        """Confirmed; a sweep may meanwhile have seen its echo."""

        async def check() -> None:
            (state,) = [item["state"] for item in await intents() if item["opportunity_id"] == opportunity_id]
            assert state in ("CONFIRMED", "ECHOED")

        await eventually(check)

    await eventually(mapped)
    return SimpleNamespace(decide=decide, states=states, settled=settled, intents=intents)


async def killed_when(service: Any, tenant: str, crm: ScriptedCrm, check: Callable[[], Awaitable[Any]]) -> None:
    """Run a sender until the check passes, then end it with its calls, as a killed process ends."""
    sender = Sender(service.database, tenant, crm, Signals(), 0.05)
    task = asyncio.create_task(sender.run(asyncio.Event()))
    try:
        await check()
    finally:
        for call in sender.calls:
            call.cancel()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class TestUnknownOutcome:
    async def test_killed_after_the_org_did_it(
        self, service: Any, tenant: str, queue: Any, make: Any, eventually: Eventually
    ) -> None:
        crm = ScriptedCrm("hang")
        crm.stage["d1"] = "Prospecting"
        await queue.decide(make.decision("d1", target="discovery", expected="prospecting"))

        async def done() -> None:
            assert crm.applied

        await killed_when(service, tenant, crm, lambda: eventually(done))
        await queue.states("SENT")
        async with sending(service, tenant, crm):
            (intent,) = await queue.states("CONFIRMED")
        assert len(crm.calls) == 1
        assert intent["write_id"] == crm.applied[0].write_id
        (event,) = await service.events(CrmWriteConfirmed, tenant=tenant, count=1)
        assert event.message.write_id == intent["write_id"]

    async def test_killed_before_the_org_did_it(
        self, service: Any, tenant: str, queue: Any, make: Any, eventually: Eventually
    ) -> None:
        crm = ScriptedCrm("hang before")
        crm.stage["d1"] = "Prospecting"
        await queue.decide(make.decision("d1", target="discovery", expected="prospecting"))

        async def called() -> None:
            assert crm.calls

        await killed_when(service, tenant, crm, lambda: eventually(called))
        async with sending(service, tenant, crm):
            (intent,) = await queue.states("CONFIRMED")
        assert intent["attempts"] == 2
        assert len({call[0].write_id for call in crm.calls}) == 2
        assert len(crm.applied) == 1

    async def test_a_first_attempt_that_comes_late_is_recognised(
        self, service: Any, tenant: str, queue: Any, make: Any, eventually: Eventually
    ) -> None:
        crm = ScriptedCrm("skip", "hang before")
        crm.stage["d1"] = "Prospecting"
        await queue.decide(make.decision("d1", target="discovery", expected="prospecting"))

        async def tried_twice() -> None:
            assert len(crm.calls) == 2

        await killed_when(service, tenant, crm, lambda: eventually(tried_twice))
        # The org comes to the first attempt only now, between reading and the third.
        late = crm.calls[0][0]
        reading = crm.read

        async def read(opportunity_ids: Sequence[str]) -> list[CrmRecord]:
            found = await reading(opportunity_ids)
            if not crm.applied:
                crm.apply(late)
            return found

        crm.read = read
        async with sending(service, tenant, crm):
            (intent,) = await queue.states("CONFIRMED")
        assert intent["write_id"] == late.write_id
        assert [write.write_id for write in crm.applied] == [late.write_id]
        assert len(crm.calls) == 3

    async def test_storm_of_lost_replies(self, service: Any, tenant: str, queue: Any, make: Any) -> None:
        crm = ScriptedCrm(*["lose", "skip"] * 2)
        opportunities = [f"d{n:02}" for n in range(30)]
        crm.stage |= dict.fromkeys(opportunities, "Prospecting")
        await queue.decide(*(make.decision(d, target="discovery", expected="prospecting") for d in opportunities))
        async with sending(service, tenant, crm):
            await queue.states(*["CONFIRMED"] * 30)
        assert sorted(write.opportunity_id for write in crm.applied) == opportunities


class TestOrder:
    async def test_one_at_a_time_per_opportunity_and_many_at_once(
        self, service: Any, tenant: str, queue: Any, make: Any
    ) -> None:
        crm = ScriptedCrm()
        crm.seconds = 1.5
        opportunities = [f"d{n:02}" for n in range(60)]
        path = ["prospecting", "discovery", "demo"]
        crm.stage |= dict.fromkeys(opportunities, "Prospecting")
        await queue.decide(
            *(
                make.decision(opportunity, number, target=path[number], expected=path[number - 1])
                for opportunity in opportunities
                for number in (1, 2)
            )
        )
        async with sending(service, tenant, crm):
            await queue.states(*["CONFIRMED"] * 120)
        assert set(crm.stage.values()) == {"Demo"}
        assert crm.most_busy > 25
        for opportunity in opportunities:
            stages = [w.stage.target for w in crm.applied if w.opportunity_id == opportunity and w.stage]
            assert stages == ["Discovery", "Demo"]

    async def test_stages_go_before_answers(self, service: Any, tenant: str, queue: Any, make: Any) -> None:
        crm = ScriptedCrm()
        answers = [make.decision(f"a{n:02}", submission=make.scored(f"a{n:02}")) for n in range(40)]
        behind = make.decision("a39", 2, target="discovery")
        await queue.decide(*answers, make.decision("s1", target="discovery"), behind)
        async with sending(service, tenant, crm):
            await queue.states(*["CONFIRMED"] * 42)
        first = [write.opportunity_id for write in crm.calls[0]]
        assert {"s1", "a39"} <= set(first[:2])

    async def test_answers_wait_for_the_texts_of_their_questions(
        self, service: Any, tenant: str, queue: Any, make: Any, eventually: Eventually
    ) -> None:
        crm = ScriptedCrm()
        unknown = make.scored("d1")
        unknown.assessment_version = 2
        await queue.decide(make.decision("d1", submission=unknown), make.decision("d2", submission=make.scored("d2")))
        async with sending(service, tenant, crm):
            await queue.states("NEW", "CONFIRMED")
            later = make.assessment()
            later.version = 2
            await service.publish(later, tenant=tenant, sequence=2)
            await queue.states("CONFIRMED", "CONFIRMED")
        (written,) = [write for write in crm.applied if write.opportunity_id == "d1"]
        assert written.questions["hours"].text == "Hours a week?"

    async def test_a_stage_waits_for_its_pipeline(self, service: Any, tenant: str, queue: Any, make: Any) -> None:
        crm = ScriptedCrm()
        message = make.decision("d1", target="discovery")
        message.pipeline_key = "partners"
        await queue.decide(message, make.decision("d2", target="discovery"))
        async with sending(service, tenant, crm):
            await queue.states("NEW", "CONFIRMED")
            await service.publish(make.pipeline(key="partners", default=False), tenant=tenant)
            await queue.states("CONFIRMED", "CONFIRMED")


class TestCrossing:
    """A person's edit and our write meet on their way."""

    @staticmethod
    async def read(service: Any, tenant: str, crm: ScriptedCrm) -> None:
        """Read the opportunity as a sweep does."""
        page = await crm.read(["d1"])
        async with service.database.unit_of_work(tenant) as uow:
            await inbound.apply_records(uow, page, ObservationKind.UPDATED, utc_now())

    async def test_what_the_crm_holds_after_a_write_is_published_after_it(
        self, service: Any, tenant: str, queue: Any, make: Any, eventually: Eventually
    ) -> None:
        crm = ScriptedCrm("hang")
        crm.stage["d1"] = "Prospecting"
        await self.read(service, tenant, crm)
        await queue.decide(make.decision("d1", target="discovery", expected="prospecting"))

        async def done() -> None:
            assert crm.applied

        await killed_when(service, tenant, crm, lambda: eventually(done))
        # Back to what we know of, before we hear of either.
        crm.stage["d1"] = "Prospecting"
        await self.read(service, tenant, crm)
        (confirmed,) = await service.events(CrmWriteConfirmed, tenant=tenant, count=1)
        *_, observed = await service.events(RecordObserved, tenant=tenant, count=2)
        assert (confirmed.message.stage_key, mapped(observed.message)) == ("discovery", "prospecting")
        assert confirmed.sequence < observed.sequence
        assert list(observed.message.changed_facts) == ["opportunity.stage"]

    async def test_a_conflict_seen_late_undoes_no_newer_write(
        self, service: Any, tenant: str, queue: Any, make: Any
    ) -> None:
        crm = ScriptedCrm()
        crm.stage["d1"] = "Prospecting"
        await self.read(service, tenant, crm)
        crm.stage["d1"] = "Negotiation"
        await queue.decide(make.decision("d1", target="discovery", expected="prospecting"))
        async with sending(service, tenant, crm):
            await queue.states("CONFLICT")
            async with service.database.unit_of_work(tenant) as uow:
                conflicts = await SettledRepository(uow.session, tenant).conflicts(1)
            records = {record.record_id: record for record in await crm.read(["d1"])}
            await queue.decide(make.decision("d1", 2, target="closed_won", expected="negotiation"))
            await queue.states("CONFLICT", "CONFIRMED")
        async with service.database.unit_of_work(tenant) as uow:
            await inbound.observe_conflicts(uow, conflicts, records, utc_now())
        async with service.database.unit_of_work(tenant) as uow:
            assert await SettledRepository(uow.session, tenant).conflicts(1) == []
        found = (await service.client.get("/v1/opportunities/d1", headers=service.headers(tenant))).json()
        assert (found["stage_key"], found["crm_stage"]) == ("closed_won", "Closed Won")


async def test_of_the_queue_only_what_is_due_is_read(service: Any, tenant: str, queue: Any, make: Any) -> None:
    await queue.decide(*[make.decision(f"d{n}", target="discovery") for n in range(60)])
    async with service.database.unit_of_work(tenant) as uow:
        intents = IntentRepository(uow.session, tenant)
        assert [write.opportunity_id for write in await intents.due(utc_now(), 60)] != []
        assert await intents.due(utc_now() - timedelta(hours=1), 60) == []
        backlog = await IntentList(uow.session, tenant).backlog(*IN_LINE)
    assert backlog.count == 60
    assert backlog.since is not None


async def test_what_is_settled_leaves_the_queue(service: Any, tenant: str, queue: Any, make: Any) -> None:
    crm = ScriptedCrm()
    crm.stage |= {"d1": "Prospecting", "d2": "Negotiation"}
    lost = make.decision("d2", target="discovery", expected="prospecting")
    unmapped = make.decision("d3", target="nowhere")
    await queue.decide(make.decision("d1", target="discovery", expected="prospecting"), lost, unmapped)
    async with sending(service, tenant, crm):
        await queue.states("CONFIRMED", "CONFLICT", "PARKED")
    async with service.database.unit_of_work(tenant) as uow:
        left = (await uow.session.execute(text("SELECT opportunity_id, state FROM write_queue"))).all()
    assert [tuple(row) for row in left] == [("d3", "PARKED")]


async def test_an_older_decision_waits_for_the_write_that_is_on_its_way(
    service: Any, tenant: str, queue: Any, make: Any, eventually: Eventually
) -> None:
    crm = ScriptedCrm("hang before")
    await queue.decide(make.decision("d1", 2, target="demo"))

    async def called() -> None:
        assert crm.calls

    async def late() -> None:
        await eventually(called)
        await queue.decide(make.decision("d1", 1, submission=make.scored("d1")))
        async with service.database.unit_of_work(tenant) as uow:
            assert await IntentRepository(uow.session, tenant).due(utc_now(), 10) == []

    await killed_when(service, tenant, crm, late)
    async with sending(service, tenant, crm):
        await queue.states("CONFIRMED", "CONFIRMED")


async def test_an_import_goes_on_where_it_was(service: Any, tenant: str, queue: Any, eventually: Eventually) -> None:
    crm = ScriptedCrm()
    crm.page_faults = 2
    crm.stage |= {f"d{n}": "Demo" for n in range(6)}
    stop = asyncio.Event()
    receiver = Receiver(service.database, tenant, crm, Signals(), 0.05)
    task = asyncio.create_task(receiver.run(stop))
    try:
        events = await service.events(RecordObserved, tenant=tenant, count=6)
    finally:
        stop.set()
        await task
    assert sorted(e.message.record_id for e in events) == sorted(crm.stage)
    assert crm.pages_read_after[0] == ""
    assert crm.pages_read_after[-1] > ""
    async with service.database.unit_of_work(tenant) as uow:
        row = (await uow.session.execute(text("SELECT state, read_count, last_id FROM import_run"))).one()
    assert tuple(row) == ("COMPLETED", 6, "d5")


async def test_what_was_left_longer_than_the_lease_is_found_out(
    service: Any, tenant: str, queue: Any, make: Any, eventually: Eventually
) -> None:
    crm = ScriptedCrm("lose")
    crm.stage["d1"] = "Prospecting"
    await queue.decide(make.decision("d1", target="discovery", expected="prospecting"))
    async with sending(service, tenant, crm):
        (intent,) = await queue.states("CONFIRMED")
    assert datetime.fromisoformat(intent["due_at"]) - datetime.now(UTC) < timedelta(seconds=10)
    assert len(crm.calls) == 1


async def test_an_echo_that_never_came_is_looked_for(
    service: Any, tenant: str, queue: Any, make: Any, eventually: Eventually
) -> None:
    crm = ScriptedCrm()
    crm.stage["d1"] = "Prospecting"
    await queue.decide(make.decision("d1", target="discovery", expected="prospecting"))
    async with sending(service, tenant, crm):
        await queue.states("CONFIRMED")
    async with service.database.unit_of_work(tenant) as uow:
        ago = text("UPDATE write_intent SET settled_at = settled_at - interval '11 minutes'")
        await uow.session.execute(ago)
    stop = asyncio.Event()
    task = asyncio.create_task(Receiver(service.database, tenant, crm, Signals(), 0.05).run(stop))
    try:
        await queue.states("ECHOED")
    finally:
        stop.set()
        await task


@asynccontextmanager
async def receiving(service: Any, tenant: str, crm: ScriptedCrm, signals: Signals | None = None) -> AsyncIterator[None]:
    """A receiver until the end of the block."""
    stop = asyncio.Event()
    receiver = Receiver(service.database, tenant, crm, signals or Signals(), 0.05)
    task = asyncio.create_task(receiver.run(stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def test_a_sweep_goes_on_where_it_was(
    service: Any, tenant: str, queue: Any, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    crm, alive = ScriptedCrm(), asyncio.Event()
    crm.stage |= {f"d{n}": "Demo" for n in range(6)}

    async def changes(position: bytes | None) -> AsyncGenerator[ChangeBatch, None]:
        await alive.wait()
        while True:
            yield ChangeBatch([], b"there")
            await asyncio.sleep(0.05)

    monkeypatch.setattr(crm, "changes", changes)
    async with receiving(service, tenant, crm):
        await service.events(RecordObserved, tenant=tenant, count=6)
        crm.page_faults = 2
        alive.set()

        async def swept() -> None:
            path = "/v1/connection"
            found = (await service.client.get(path, headers=service.headers(tenant))).json()
            assert len(crm.swept) >= 3
            assert (found["sweeping_since"], found["state"]) == (None, "LIVE")

        await eventually(swept)
    assert [after for after, _ in crm.swept[:3]] == ["", "d1", "d3"]
    assert len({since for _, since in crm.swept[:3]}) == 1


async def test_what_the_crm_no_longer_has_is_noticed(
    service: Any, tenant: str, queue: Any, eventually: Eventually
) -> None:
    crm = ScriptedCrm()
    crm.stage |= {"d1": "Demo", "d2": "Demo"}
    async with receiving(service, tenant, crm):
        await service.events(RecordObserved, tenant=tenant, count=2)
    del crm.stage["d2"]
    # The CRM may call deleted what was restored since, and what we never knew.
    crm.gone = ["d1", "d2", "d3"]
    async with receiving(service, tenant, crm):
        *_, last = await service.events(RecordObserved, tenant=tenant, count=3)
        assert (last.message.record_id, last.message.kind) == ("d2", OBSERVATION_KIND_DELETED)
    assert len(await service.events(RecordObserved, tenant=tenant, count=3)) == 3


async def test_a_loop_that_fails_waits_longer_each_time_and_says_so(
    service: Any, tenant: str, queue: Any, make: Any, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    crm, rested, written, rest = ScriptedCrm(), [], [], LinkState.rest

    async def broken(*_: Any) -> Any:
        raise ZeroDivisionError("a defect")

    async def noted(link: LinkState, stop: asyncio.Event, seconds: float) -> bool:
        rested.append(seconds)
        return await rest(link, stop, seconds)

    async def unwritten(writes: Sequence[CrmWrite]) -> list[Reply]:
        written.append(len(writes))
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(crm, "connect", broken)
    monkeypatch.setattr(crm, "write", unwritten)
    monkeypatch.setattr(LinkState, "rest", noted)
    await queue.decide(make.decision("d1", target="discovery", expected="prospecting"))
    async with receiving(service, tenant, crm), sending(service, tenant, crm):

        async def failed() -> dict[str, Any]:
            found = (await service.client.get("/v1/connection", headers=service.headers(tenant))).json()
            assert len(rested) >= 3
            assert written
            assert found["state"] == "FAILED"
            return found

        found = await eventually(failed)
        assert found["last_error"] == "The connector failed: ZeroDivisionError: a defect"
        assert datetime.fromisoformat(found["since"]) < datetime.fromisoformat(found["last_error_at"])
        # What a call left behind is found out by reading once its lease is over, not sent again.
        await queue.states("SENT")
    assert rested[2] > rested[0]


async def imported(crm: ScriptedCrm) -> None:
    assert crm.pages_read_after


async def test_what_an_object_lacks_stops_only_what_touches_it(
    service: Any, tenant: str, queue: Any, make: Any, eventually: Eventually
) -> None:
    crm, signals = ScriptedCrm(), Signals()
    crm.lacking = [Lack("Assessment", "The object Assessment is missing.")]
    await queue.decide(
        make.decision("d1", target="discovery", submission=make.scored("d1")), make.decision("d2", target="discovery")
    )
    async with receiving(service, tenant, crm, signals):
        await eventually(lambda: holds(signals))
        # What an import reads after the write is confirmed would be its echo.
        await eventually(lambda: imported(crm))
        stop = asyncio.Event()
        task = asyncio.create_task(Sender(service.database, tenant, crm, signals, 0.05).run(stop))
        await queue.settled("d2")
        assert (await queue.intents())[0]["state"] == "NEW"
        found = (await service.client.get("/v1/connection", headers=service.headers(tenant))).json()
        assert (found["missing"], found["writes"]) == (["The object Assessment is missing."], "HELD")
        crm.lacking = []
        reply = await service.client.post("/v1/connection/retry", headers=service.headers(tenant))
        # This deployment serves another tenant.
        assert (reply.status_code, reply.json()["code"]) == (409, "tenant_not_connected")
        signals.unfit = frozenset()
        await queue.settled("d1")
        stop.set()
        await task


async def holds(signals: Signals) -> None:
    assert signals.unfit == {"Assessment"}
