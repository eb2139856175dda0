"""A column of a table in use is renamed: expand, the new release beside the old one, contract one release later. No
request fails, no event is lost or doubled, and every row holds what was sent, whichever release wrote it."""

import asyncio
import random
import secrets
from collections import Counter
from contextlib import ExitStack

import httpx
import psycopg
import pytest
from kit.ids import uuid7
from stagecraft.assessment.v1.assessment_submitted_pb2 import AssessmentSubmitted
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored
from testing.service import eventually

from tests.kit.processes import Process, migrate, release

pytestmark = pytest.mark.stack

# So much of everything passes before the next step, so that each is taken under load.
WORK = 30
PAUSE_SECONDS = 0.02
OPPORTUNITIES = 9


class Load:
    """Events and requests without a pause; each request is sent once, to any of the instances."""

    def __init__(self, outside, tenant):
        self.faults = []
        self.texts = {}
        self.events = 0
        self.requests = 0
        self.instances = []
        self._outside = outside
        self._tenant = tenant
        self._headers = outside.headers(tenant)
        self._busy = Counter()
        self.ended = False

    async def publish(self):
        while not self.ended:
            key, text = str(uuid7()), secrets.token_hex(8)
            opportunity = f"o{self.events % OPPORTUNITIES}"
            message = AssessmentSubmitted(submission_id=key, opportunity_id=opportunity, assessment_key=text)
            self.texts[key] = text
            self.events += 1
            await self._outside.publish(message, tenant=self._tenant, sequence=1000 + self.events)
            await asyncio.sleep(PAUSE_SECONDS)

    async def request(self):
        while not self.ended:
            instance = random.choice(self.instances)
            self._busy[instance] += 1
            await self._note(instance)
            self._busy[instance] -= 1
            await asyncio.sleep(PAUSE_SECONDS)

    async def _note(self, instance):
        """Made, changed and listed."""
        text = secrets.token_hex(8)
        made = await self._send("POST", instance, "/v1/notes", json={"text": secrets.token_hex(8)})
        if made is None:
            return
        key = made.json()["note_id"]
        headers = {"If-Match": made.headers["etag"]}
        await self._send("PUT", instance, f"/v1/notes/{key}", json={"text": text}, headers=headers)
        self.texts[key] = text
        await self._send("GET", instance, "/v1/notes")

    async def _send(self, method, instance, path, headers=(), **given):
        self.requests += 1
        headers = {**self._headers, **dict(headers)}
        try:
            answer = await self._outside.client.request(method, instance.url + path, headers=headers, **given)
        except httpx.TransportError as problem:
            self.faults.append(f"{method} {path}: {problem!r}")
            return None
        if not answer.is_success:
            self.faults.append(f"{method} {path}: {answer.status_code} {answer.text}")
            return None
        return answer

    async def goes_on(self):
        """Wait until more of everything was done."""
        events, requests = self.events + WORK, self.requests + WORK

        async def done():
            assert self.events >= events and self.requests >= requests

        await eventually(done, 90)

    async def leave(self, instance):
        """Send nothing more there, and wait for what was sent."""
        self.instances.remove(instance)

        async def idle():
            assert self._busy[instance] == 0

        await eventually(idle)


async def test_two_releases_run_side_by_side_on_a_schema_in_change(outside, tenant, tmp_path):
    first, second, third = (release(number, tmp_path) for number in (1, 2, 3))
    http, owner_url = outside.client, outside.owner_url
    load = Load(outside, tenant)
    with ExitStack() as stack:

        async def start(tree):
            process = Process(tree, outside.settings)
            stack.callback(process.kill)
            await process.until_ready(http)
            load.instances.append(process)
            return process

        async def retire(process):
            await load.leave(process)
            await asyncio.to_thread(process.stop)

        await asyncio.to_thread(migrate, first, owner_url)
        await waits(stack, second, outside, "run `python -m kit migrate sample`")
        old = await start(first)
        tasks = [asyncio.create_task(work()) for work in (load.publish, load.request, load.request)]
        stack.callback(lambda: [task.cancel() for task in tasks])
        await load.goes_on()

        await asyncio.to_thread(migrate, second, owner_url)
        await load.goes_on()
        again = await start(first)
        await retire(old)
        new = await start(second)
        await both_consume(load, http, again, new)
        await retire(again)
        await load.goes_on()

        await asyncio.to_thread(migrate, third, owner_url)
        await load.goes_on()
        await start(third)
        await retire(new)
        await load.goes_on()
        await waits(stack, first, outside, "waiting for a newer release of sample")

        load.ended = True
        await asyncio.gather(*tasks)
        assert load.faults == []
        await everything_arrived(outside, tenant, load)


async def waits(stack, tree, outside, reason):
    """That release does not serve on this schema, and says what it waits for."""
    process = Process(tree, outside.settings)
    stack.callback(process.kill)

    async def says_so():
        answer = await process.answer(outside.client, "/readyz")
        assert answer.status_code == 503
        assert reason in answer.json()["reasons"][0]

    # A first look at the database may take longer than it is given.
    await eventually(says_so)
    assert await asyncio.to_thread(process.stop) == 0


async def both_consume(load, http, *processes):
    before = [await process.metric(http, "events_consumed_total") for process in processes]

    async def more():
        now = [await process.metric(http, "events_consumed_total") for process in processes]
        assert all(later > earlier + WORK / 4 for earlier, later in zip(before, now, strict=True)), (before, now)

    await eventually(more, 90)
    await load.goes_on()


async def everything_arrived(outside, tenant, load):
    requests = len(load.texts) - load.events

    async def all_scored():
        found = {event.id: event for event in await outside.events(SubmissionScored, tenant=tenant, count=load.events)}
        assert len(found) == load.events + requests
        return found.values()

    scored = await eventually(all_scored, 90)
    assert {event.message.submission_id for event in scored} == set(load.texts)
    for opportunity in range(OPPORTUNITIES):
        mine = [e.sequence for e in scored if e.message.opportunity_id == f"o{opportunity}" and e.sequence > 1]
        assert mine == sorted(mine)
    with psycopg.connect(outside.owner_url) as connection:
        connection.execute("SELECT set_config('app.tenant_id', %s, false)", (tenant,))
        rows = connection.execute("SELECT note_id::text, body, seen FROM note").fetchall()
        assert {key: text for key, text, _ in rows} == load.texts
        # Once by its event, or once by being made and once by being changed.
        assert sorted(seen for *_, seen in rows) == [1] * load.events + [2] * requests
        left = "SELECT (SELECT count(*) FROM dead_letter) + (SELECT count(*) FROM outbox)"
        assert connection.execute(left).fetchone() == (0,)


async def test_a_migration_that_waits_for_a_lock_makes_nobody_else_wait(outside, tenant, tmp_path):
    """While somebody holds the table in a long transaction, requests are answered although a migration wants it."""
    first, second = (release(number, tmp_path) for number in (1, 2))
    await asyncio.to_thread(migrate, first, outside.owner_url)
    process = Process(first, outside.settings)
    try:
        await process.until_ready(outside.client)
        with psycopg.connect(outside.owner_url) as holder:
            holder.execute("LOCK TABLE note IN ROW EXCLUSIVE MODE")
            migration = asyncio.create_task(asyncio.to_thread(migrate, second, outside.owner_url))
            await eventually(lambda: waits_for_lock(outside.owner_url))
            for _ in range(3):
                headers = outside.headers(tenant)
                answer = await outside.client.post(f"{process.url}/v1/notes", json={"text": "a"}, headers=headers)
                assert answer.status_code == 201
            assert not migration.done()
        assert "attempt 1 of" in (await migration).stderr
    finally:
        process.kill()


async def waits_for_lock(owner_url):
    with psycopg.connect(owner_url) as connection:
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        assert connection.execute(waiting).fetchone() != (0,)
