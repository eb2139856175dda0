"""What the system does all day, done for real: events in full batches, submissions one at a time and in batches,
commands, changes of the CRM, and everything a person looks at."""

import psycopg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from crm_connector.domain.observation import ChangeKind, CrmChange
from google.protobuf.message import Message
from kit.events import Event
from kit.ids import utc_now, uuid7
from psycopg.conninfo import make_conninfo
from stagecraft.assessment.v1.assessment_submitted_pb2 import AssessmentSubmitted
from stagecraft.crm.v1 import opportunity_observed_pb2 as observed
from testing.service import eventually

from tests.plans.platform import SERVICES, TENANT, Databases, Platform
from tests.plans.specimen import DEAL, FACTS, FAILING, FIELDS, PASSING, PREVIEW, REP, answers
from tests.plans.specimen import change_in_crm as bring_changes
from tools.bench.fill import OWNERS
from tools.bench.system import sight

BATCH = 500
# More than any statement of the sender may read, who takes 500 at once from the recording adapter.
UNSENT = 2500
# PostgreSQL considers a plan for all parameters from the sixth execution on.
REPETITIONS = 12
PATIENCE = 300


def copy_of(number: int) -> str:
    """The id of a deal that `fill` made."""
    return "006F" + str(number).zfill(len(DEAL) - 4)


def owner_of(number: int) -> str:
    """The id of its owner."""
    return "005" + str(number % OWNERS).zfill(len(REP) - 3)


async def queue_events(places: Databases, submitted: AssessmentSubmitted) -> None:
    """While the services are down, put full batches on their topics: submissions and sights of deals they know, and
    some of deals they have never heard of."""
    unknown = [f"006U{n:0{len(DEAL) - 4}}" for n in range(50)]
    events: list[Message] = []
    for deal in [*map(copy_of, range(1, BATCH + 1)), *unknown]:
        copied = AssessmentSubmitted()
        copied.CopyFrom(submitted)
        copied.opportunity_id, copied.submission_id = deal, str(uuid7())
        events.append(copied)
    events += [sight(deal, REP) for deal in unknown]
    for n in range(BATCH + 1, 2 * BATCH + 1):
        seen = sight(copy_of(n), owner_of(n))
        seen.kind, seen.amount = observed.OBSERVATION_KIND_UPDATED, "2000"
        events.append(seen)
    producer = AIOKafkaProducer(bootstrap_servers=places.infrastructure.bootstrap_servers)
    await producer.start()
    try:
        for message in events:
            record = Event(TENANT, message, 2).record("test", places.prefix)
            headers = [(name, value.encode()) for name, value in record.headers.items()]
            await producer.send(record.topic, record.value, key=record.key.encode(), headers=headers)
    finally:
        await producer.stop()


async def at_rest(places: Databases) -> None:
    """AssertionError while anything is on its way between the services or to the CRM."""
    for service in SERVICES:
        with psycopg.connect(_login(places, service)) as connection:
            assert connection.execute("SELECT count(*) FROM outbox").fetchone() == (0,), f"{service} has events to send"
            assert connection.execute("SELECT count(*) FROM dead_letter").fetchone() == (0,), (
                f"{service} put some aside"
            )
            if service == "crm-connector":
                waiting = "SELECT count(*) FROM write_queue WHERE state IN ('NEW', 'SENT')"
                assert connection.execute(waiting).fetchone() == (0,), "the CRM has not got everything"
    assert not await _lag(places)


async def _lag(places: Databases) -> dict[str, int]:
    servers = places.infrastructure.bootstrap_servers
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    consumer = AIOKafkaConsumer(bootstrap_servers=servers)
    await admin.start()
    await consumer.start()
    try:
        behind: dict[str, int] = {}
        for service in SERVICES:
            done = await admin.list_consumer_group_offsets(places.prefix + service)
            ends = await consumer.end_offsets(list(done))
            lag = sum(ends[place] - offset.offset for place, offset in done.items())
            behind |= {service: lag} if lag else {}
        return behind
    finally:
        await consumer.stop()
        await admin.close()


def _login(places: Databases, service: str) -> str:
    return make_conninfo(places.infrastructure.admin_url, dbname=places.names[service])


async def catch_up(platform: Platform, places: Databases) -> None:
    """The queued events, in batches as large as consumers take them."""
    await eventually(lambda: at_rest(places), PATIENCE)
    with psycopg.connect(_login(places, "stage-engine")) as connection:
        decided = "SELECT count(*) FROM decision WHERE decided_at > now() - interval '1 hour' AND tenant_id = %s"
        (count,) = connection.execute(decided, (TENANT,)).fetchone() or (0,)
    assert count >= 2 * BATCH


async def send_what_is_due(platform: Platform, places: Databases) -> None:
    """The sender finds a queue of which the statistics know nothing: they were taken while it was empty."""
    with psycopg.connect(_login(places, "crm-connector")) as connection:
        queue = """
            INSERT INTO write_queue (tenant_id, intent_id, opportunity_id, decision_id, decision_no, revision,
                submission_id, pipeline_key, target_stage, expected_stage, assessment_key, assessment_version,
                traceparent, priority, state, attempts, write_id, code, reason, due_at, created_at)
            SELECT tenant_id, intent_id, opportunity_id, decision_id, decision_no, 1, submission_id, pipeline_key,
                target_stage, expected_stage, '', 0, '', 1, 'NEW', 0, '', '', '', now(), now()
            FROM write_intent WHERE tenant_id = %s AND position %% %s = 0"""
        connection.execute(queue, (TENANT, max(places.deals // UNSENT, 1)))
    await eventually(lambda: at_rest(places), PATIENCE)


async def submit_batches(platform: Platform, places: Databases) -> None:
    """Five devices come online with a hundred submissions each."""
    rep = platform.caller("rep", owner_of(1))
    for start in range(2 * BATCH, 3 * BATCH, 100):
        deals = map(copy_of, range(start + 1, start + 101))
        items = [{"submission_id": str(uuid7()), **answers(deal, PASSING)} for deal in deals]
        taken = await rep.post("assessment", "/v1/submission-batches", {"items": items})
        assert {item["status"] for item in taken["items"]} == {"accepted"}, taken["items"][0]
    await eventually(lambda: at_rest(places), PATIENCE)


async def submit_one_by_one(platform: Platform, places: Databases) -> None:
    """A rep's submissions, each of them sent twice, and a manager's commands."""
    rep, manager = platform.caller("rep", owner_of(1)), platform.caller("manager")
    for n in range(3 * BATCH + 1, 3 * BATCH + 1 + REPETITIONS):
        path, body = f"/v1/submissions/{uuid7()}", answers(copy_of(n), PASSING if n % 2 else FAILING)
        for _ in range(2):
            await rep.send("PUT", "assessment", path, body)
    for n in range(3 * BATCH + 101, 3 * BATCH + 101 + REPETITIONS):
        path = f"/v1/opportunities/{copy_of(n)}"
        tag = (await manager.send("GET", "stage-engine", path)).headers["etag"]
        command = {"to_stage": "discovery", "override": True, "reason_code": "EXECUTIVE_SPONSOR", "text": "They said."}
        moved = await manager.post("stage-engine", f"{path}/transitions", command, if_match=tag)
        assert moved["outcome"] == "accepted", moved
        again = await manager.post("stage-engine", f"/v1/decisions/{moved['decision_id']}/replay")
        assert again["identical"]
    await rep.post("recommender", "/v1/recommendations/preview", PREVIEW)
    await eventually(lambda: at_rest(places), PATIENCE)


async def change_in_crm(platform: Platform, places: Databases) -> None:
    """The CRM's stream of changes, which the recording adapter does not have: echoes of our writes and other people's
    changes, first one at a time, then a hundred at once."""
    with psycopg.connect(_login(places, "crm-connector")) as connection:
        query = "SELECT opportunity_id, write_id FROM write_intent WHERE tenant_id = %s AND position > %s"
        query += " AND outcome = 'CONFIRMED' ORDER BY position LIMIT %s"
        written = connection.execute(query, (TENANT, places.deals // 2, 100 + REPETITIONS)).fetchall()
    changes = [
        CrmChange(str(uuid7()), deal, ChangeKind.UPDATED, utc_now(), "jo", write_id, FIELDS, FACTS)
        for deal, write_id in written
    ]
    assert len(changes) == 100 + REPETITIONS
    for batch in (*([change] for change in changes[:REPETITIONS]), changes[REPETITIONS:]):
        await bring_changes(platform, batch)
    await eventually(lambda: at_rest(places), PATIENCE)
