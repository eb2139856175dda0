"""A database whose disk is full: requests are told to come again, events wait in order, and when there is room again
nothing is missing, doubled or half done."""

import asyncio
import secrets
import subprocess
import sys

import pytest
import pytest_asyncio
from kit.ids import uuid7
from kit.schema.migrate import migrate
from sandbox.provision import provision_database
from sandbox.stack.ports import free_ports
from sandbox.stack.topics import lent_topics
from sqlalchemy import text
from stagecraft.assessment.v1.assessment_submitted_pb2 import AssessmentSubmitted
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored
from testing.service import running_service

from tests.kit.topics import topics_of_the_sample
from tools.chaos.disk import FULL, NotPermitted, own_mounts

pytestmark = pytest.mark.stack

# More than the segments that PostgreSQL keeps at hand.
MOST_LOG_MIB = 400


class Cluster:
    """PostgreSQL in a process of its own, which obeys words."""

    def __init__(self, folder):
        self._log = folder / "logs" / "postgres.log"
        (port,) = free_ports(1)
        command = [*own_mounts(), sys.executable, "-m", "tests.kit.small_cluster", str(folder), str(port)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.admin_url = self._read()
        assert self.admin_url

    def tell(self, word):
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        assert self._read() == word

    def log(self):
        return self._log.read_text()

    def stop(self):
        self._process.stdin.close()
        assert self._process.wait(60) == 0
        self._process.stdout.close()

    def _read(self):
        return self._process.stdout.readline().strip()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    try:
        made = Cluster(tmp_path_factory.mktemp("small"))
    except NotPermitted as problem:
        pytest.skip(str(problem))
    yield made
    made.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def service(cluster, infrastructure, issuer):
    prefix, name = f"d{secrets.token_hex(4)}.", f"sample_{secrets.token_hex(4)}"
    topics = topics_of_the_sample(partitions=2)
    made = provision_database(cluster.admin_url, "sample", app_password="test", owner_password="test", database=name)
    migrate("sample", made.migration_url)
    running = running_service("sample", infrastructure, issuer, made.database_url, made.migration_url, prefix)
    async with lent_topics(infrastructure.bootstrap_servers, topics, prefix), running as started:
        yield started


async def post(service, tenant, key):
    """A note too long for the room that old pages have."""
    headers = service.headers(tenant) | {"Idempotency-Key": key}
    return await service.client.post("/v1/notes", json={"text": secrets.token_hex(40_000)}, headers=headers)


async def numbers(service, tenant):
    async with service.database.unit_of_work(tenant) as uow:
        counted = text(
            "SELECT (SELECT count(*) FROM note), (SELECT max(seen) FROM note), (SELECT count(*) FROM outbox),"
            " (SELECT count(*) FROM dead_letter), (SELECT count(*) FROM idempotency WHERE status IS NULL)"
        )
        return tuple((await uow.session.execute(counted)).one())


async def publish(service, tenant, sequences):
    for sequence in sequences:
        message = AssessmentSubmitted(
            submission_id=str(uuid7()), opportunity_id=f"o{sequence % 3}", assessment_key=secrets.token_hex(4_000)
        )
        await service.publish(message, tenant=tenant, sequence=sequence)


async def whole(service, tenant, eventually, sequences, accepted):
    """Everything that was sent took effect once, in order, and left nothing half done."""

    async def all_there():
        # The relay may send an event twice, under one id.
        found = {event.id: event for event in await service.events(SubmissionScored, tenant=tenant, count=1)}
        assert len(found) == len(sequences) + len(accepted)
        return found.values()

    events = await eventually(all_there)
    # Requests publish events of o1 too.
    for opportunity in ("o0", "o2"):
        mine = [event.sequence for event in events if event.message.opportunity_id == opportunity]
        assert mine == [sequence for sequence in sequences if f"o{sequence % 3}" == opportunity]

    async def settled():
        assert await numbers(service, tenant) == (len(sequences) + len(accepted), 1, 0, 0, 0)

    await eventually(settled)


async def refused(service, tenant):
    """Ask until the answer is that there is no room; the keys that were accepted before, and the one that was not."""
    accepted = []
    while True:
        key = str(uuid7())
        answer = await post(service, tenant, key)
        if answer.status_code == 503:
            assert answer.json()["code"] == "unavailable"
            assert answer.headers["Retry-After"]
            return accepted, key
        assert answer.status_code == 201
        accepted.append(key)


async def accepted_at_last(service, tenant, keys, eventually):
    async def all_accepted():
        answers = [await post_again(service, tenant, key) for key in keys]
        assert {answer.status_code for answer in answers} == {201}

    await eventually(all_accepted)


async def post_again(service, tenant, key):
    headers = service.headers(tenant) | {"Idempotency-Key": key}
    return await service.client.post("/v1/notes", json={"text": key}, headers=headers)


async def test_requests_are_told_to_come_again_and_events_wait_in_order(service, cluster, tenant, eventually):
    await publish(service, tenant, range(30))
    await service.events(SubmissionScored, tenant=tenant, count=30)
    cluster.tell("fill")
    try:
        accepted, _ = await refused(service, tenant)
        await publish(service, tenant, range(30, 90))

        async def waiting():
            assert FULL in service.runtime.consumer.last_error
            # What a statement was given is a payload, and no log's business.
            assert tenant not in service.runtime.consumer.last_error

        await eventually(waiting)
        assert (await service.client.get("/livez")).status_code == 200
        turned_away = [str(uuid7()) for _ in range(5)]
        answers = [await post(service, tenant, key) for key in turned_away]
        assert {answer.status_code for answer in answers} == {503}
    finally:
        cluster.tell("free")
    await accepted_at_last(service, tenant, turned_away, eventually)
    await whole(service, tenant, eventually, range(90), [*accepted, *turned_away])


async def test_a_server_that_went_down_for_want_of_a_log_segment_comes_back_with_everything(
    service, cluster, tenant, eventually
):
    """Data pages may be refused for a while; without room for its log PostgreSQL ends itself (PANIC)."""
    import psycopg

    await publish(service, tenant, range(30))
    await service.events(SubmissionScored, tenant=tenant, count=30)
    accepted, down = [], []
    cluster.tell("fill")
    try:
        await publish(service, tenant, range(30, 60))
        with pytest.raises(psycopg.OperationalError):
            await asyncio.to_thread(fill_the_log, cluster.admin_url)

        assert "PANIC" in cluster.log()

        async def away():
            key = str(uuid7())
            answer = await post(service, tenant, key)
            down.append(key)
            assert answer.status_code == 503

        await eventually(away)
        assert (await service.client.get("/livez")).status_code == 200
    finally:
        cluster.tell("free")
    await accepted_at_last(service, tenant, down, eventually)
    await whole(service, tenant, eventually, range(60), [*accepted, *down])


def fill_the_log(admin_url):
    """Write what goes into PostgreSQL's log and nowhere else, until it has no segment left."""
    import psycopg

    with psycopg.connect(admin_url, autocommit=True) as connection:
        for _ in range(MOST_LOG_MIB):
            connection.execute("SELECT pg_logical_emit_message(true, 'filler', repeat('x', 1024 * 1024))")
