"""Outbox and inbox under any interleaving of commits, rollbacks, crashes and repeated deliveries.

The database is real; the broker is a list, so that a crash can be put between any two steps.
"""

import asyncio
import json
import secrets
from types import SimpleNamespace
from uuid import UUID

import psycopg
import pytest
import pytest_asyncio
from aiokafka import errors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kit.database.unit_of_work import Database
from kit.delivery import inbox
from kit.observability.health import Watchdog
from kit.relay import outbox, refusals, sending
from kit.relay.lease import LeaseLost
from kit.relay.outbox import Relay
from kit.relay.quarantine import BEHIND, dismiss, send_again
from kit.relay.refusals import ATTEMPTS, Silence, TopicUnknown, Verdict, judge
from kit.schema.migrate import migrate
from psycopg.conninfo import make_conninfo
from sandbox.provision import drop_database, provision_database
from sqlalchemy import text
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored

pytestmark = pytest.mark.stack


class Killed(Exception):
    """The process died here."""


class Log:
    """A broker that can die before or after it took an event, or refuse some: `refuse` says what it answers to a topic
    and key, and `when` whether already as the event is queued."""

    def __init__(self, refuse=lambda topic, key: None, when="answered"):
        self.records = []
        self.die = ""
        self.refuse = refuse
        self.when = when

    async def send(self, topic, value, key, headers):
        if self.die == "before":
            raise Killed
        refusal = self.refuse(topic, key.decode())
        if refusal is not None and self.when == "queued":
            raise refusal
        kept = {name: text.decode() for name, text in headers}
        acknowledged = asyncio.get_running_loop().create_future()
        if isinstance(refusal, Silence):
            return acknowledged
        if refusal is None:
            self.records.append((kept["ce_id"], key.decode(), int(kept["ce_sequence"])))
        if self.die == "after":
            acknowledged.set_exception(Killed())
        elif refusal is not None:
            acknowledged.set_exception(refusal)
        else:
            acknowledged.set_result(None)
        return acknowledged

    async def stop(self):
        pass


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def made(infrastructure):
    name = f"sample_{secrets.token_hex(4)}"
    made = provision_database(
        infrastructure.admin_url, "sample", app_password="test", owner_password="test", database=name
    )
    migrate("sample", made.migration_url)
    yield made
    drop_database(infrastructure.admin_url, name)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def database(made):
    from sample.settings import Settings

    opened = Database(Settings(database_url=made.database_url))
    yield opened
    await opened.close()


steps = st.lists(
    st.one_of(
        st.tuples(st.just("change"), st.integers(0, 2), st.booleans()),
        st.tuples(st.just("relay"), st.sampled_from(["", "", "before", "after"])),
        st.tuples(st.just("deliver"), st.integers(1, 4), st.booleans()),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
async def test_every_committed_event_takes_effect_once_and_in_order(database, steps):
    tenant, log, handled, committed = f"t{secrets.token_hex(6)}", Log(), [], []
    versions = dict.fromkeys(range(3), 0)

    async def producer():
        return log

    relay = Relay(database, "sample", producer, Watchdog())

    async def change(opportunity, fails):
        try:
            async with database.unit_of_work(tenant) as uow:
                scored = SubmissionScored(opportunity_id=f"o{opportunity}")
                event = uow.publish(scored, sequence=versions[opportunity] + 1)
                await uow.flush()
                if fails:
                    raise Killed
            versions[opportunity] += 1
            committed.append(str(event.id))
        except Killed:
            pass

    async def relayed(die):
        log.die = die
        try:
            await relay.round()
        except Killed:
            pass
        if die:
            await relay.close()
        log.die = ""

    async def deliver(position, count, dies):
        batch = log.records[position : position + count]
        try:
            async with database.unit_of_work(tenant) as uow:
                fresh = await inbox.claim(uow, "sample", [named(UUID(record[0])) for record in batch])
                claimed = [record for record in batch if record[0] in {str(i) for i in fresh.new}]
                if dies:
                    raise Killed
            handled.extend(dict.fromkeys(claimed))
            return position + len(batch)
        except Killed:
            return position

    position = 0
    for step in [*steps, ("relay", ""), ("deliver", 1000, False)]:
        if step[0] == "change":
            await change(step[1], step[2])
        elif step[0] == "relay":
            await relayed(step[1])
        else:
            position = await deliver(position, step[1], step[2])

    mine = [record for record in handled if record[1].startswith(f"{tenant}:")]
    assert sorted(event_id for event_id, *_ in mine) == sorted(committed)
    for opportunity, last in versions.items():
        sequences = [sequence for _, key, sequence in handled if key == f"{tenant}:o{opportunity}"]
        assert sequences == list(range(1, last + 1))
    async with database.unit_of_work(tenant) as uow:
        assert (await uow.session.execute(text("SELECT count(*) FROM outbox"))).scalar() == 0
    await relay.close()


async def rounds(relay, count):
    for _ in range(count):
        await relay.round()


async def test_two_relays_never_send_at_once(database):
    tenant, log = f"t{secrets.token_hex(6)}", Log()

    async def producer():
        return log

    relays = [Relay(database, "sample", producer, Watchdog()) for _ in range(2)]
    for sequence in range(50):
        async with database.unit_of_work(tenant) as uow:
            uow.publish(SubmissionScored(opportunity_id="o"), sequence=sequence)
    # Each relay's rounds follow one another.
    await asyncio.gather(*(rounds(relay, 3) for relay in relays))
    sequences = [sequence for _, key, sequence in log.records if key.startswith(tenant)]
    assert sequences == list(range(50))
    for relay in relays:
        await relay.close()


async def test_a_relay_that_does_not_lead_wakes_the_leader_and_takes_over_when_it_goes(
    database, eventually, monkeypatch
):
    # It looks by itself much later only.
    monkeypatch.setattr(outbox, "POLL_SECONDS", 3600)
    tenant, logs = f"t{secrets.token_hex(6)}", [Log(), Log()]
    relays = []
    for log in logs:

        async def producer(log=log):
            return log

        relays.append(Relay(database, "sample", producer, Watchdog()))
    leader, other = relays
    await rounds(leader, 1)
    stop = asyncio.Event()
    leading = asyncio.create_task(leader.run(stop))

    async def publish(sequence):
        async with database.unit_of_work(tenant) as uow:
            uow.publish(SubmissionScored(opportunity_id="o"), sequence=sequence)

    def sent(log):
        return [sequence for _, key, sequence in log.records if key.startswith(tenant)]

    async def told():
        await other.round()
        assert sent(logs[0]) == [1]

    await publish(1)
    await eventually(told)
    stop.set()
    leader.wake()
    await leading
    await publish(2)
    await rounds(other, 1)
    assert (sent(logs[0]), sent(logs[1])) == ([1], [2])
    await other.close()


PARTNER = "stagecraft.partner.acme.northwind.stage-changed.v1"
WAITS = text("SELECT key, position, code, whole_topic FROM quarantined_event ORDER BY position")
OUTBOX = text("SELECT key FROM outbox ORDER BY position")
REFUSALS = [
    errors.MessageSizeTooLargeError,
    errors.RecordListTooLargeError,
    errors.InvalidTimestampError,
    errors.PolicyViolationError,
    errors.UnknownError,
    ZeroDivisionError,
    lambda: errors.TopicAuthorizationFailedError("t"),
    errors.InvalidTopicError,
    errors.UnknownTopicOrPartitionError,
    TopicUnknown,
    errors.NotEnoughReplicasError,
    errors.KafkaTimeoutError,
    errors.OutOfOrderSequenceNumber,
    Silence,
]


@pytest_asyncio.fixture(loop_scope="session")
async def relay_of(database, monkeypatch):
    """Relays that end with the test. Time that a line waits passes at once."""
    monkeypatch.setattr(sending, "ACKNOWLEDGE_SECONDS", 0.3)
    monkeypatch.setattr(sending, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(refusals, "backoff", lambda *_: 0)
    made = []

    def relay(log):
        async def producer():
            return log

        made.append(Relay(database, "sample", producer, Watchdog()))
        return made[-1]

    yield relay
    for each in made:
        await each.close()


@pytest_asyncio.fixture(loop_scope="session")
async def emptied(database):
    """Nothing of other tests waits."""
    async with database.as_relay() as connection:
        await connection.execute(text("DELETE FROM outbox"))
        await connection.execute(text("UPDATE lease SET expires_at = now()"))


async def publish(database, tenant, opportunity, sequence, topic=""):
    async with database.unit_of_work(tenant) as uow:
        uow.publish(SubmissionScored(opportunity_id=opportunity), sequence=sequence, topic=topic)


async def held(database, tenant, statement):
    async with database.unit_of_work(tenant) as uow:
        return (await uow.session.execute(statement)).all()


def sent(log, tenant):
    return [(key.partition(":")[2], sequence) for _, key, sequence in log.records if key.startswith(f"{tenant}:")]


@pytest.mark.parametrize("when", ["queued", "answered"])
@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda kind: getattr(kind, "__name__", "TopicAuthorizationFailed"))
@pytest.mark.parametrize("to", ["ours", "partner"])
async def test_whatever_is_refused_the_others_arrive_and_its_line_keeps_its_order(
    database, relay_of, emptied, refusal, when, to
):
    """One event is refused, alone, in the first rounds: those of another tenant and of other lines arrive. When the
    cause is gone, the rest arrives in its order: by itself, or once a person sends it again."""
    evil, innocent = f"e{secrets.token_hex(6)}", f"i{secrets.token_hex(6)}"
    topic = PARTNER if to == "partner" else "own"
    guilty = True

    def refuse(at, key):
        return refusal() if guilty and (at, key) == (topic, f"{evil}:bad") else None

    log = Log(refuse, when)
    relay = relay_of(log)
    for sequence in range(1, 4):
        await publish(database, evil, "bad", sequence, topic)
        await publish(database, innocent, "good", sequence)
    for _ in range(ATTEMPTS + 2):
        await relay.round()
    assert sent(log, innocent) == [("good", sequence) for sequence in (1, 2, 3)]
    assert sent(log, evil) == []
    passing = judge(refusal(), partner=to == "partner").verdict is Verdict.PASSING
    waits = await held(database, evil, WAITS)
    assert len(waits) == (0 if passing else 3)
    assert len(await held(database, evil, OUTBOX)) == (3 if passing else 0)
    guilty = False
    if waits:
        assert {row.whole_topic for row in waits} == {to == "partner"}
        assert waits[0].code != BEHIND and {row.code for row in waits[1:]} == {BEHIND}
        await publish(database, evil, "bad", 4, topic)
        await relay.round()
        assert sent(log, evil) == []
        async with database.unit_of_work(evil) as uow:
            assert await send_again(uow.session, evil, waits[1].position) == 4
    for _ in range(3):
        await relay.round()
    assert sent(log, evil) == [("bad", sequence) for sequence in range(1, 5 if waits else 4)]
    await relay.close()


async def test_what_follows_behind_a_quarantined_event_waits_with_it_and_other_keys_do_not(database, relay_of, emptied):
    tenant = f"t{secrets.token_hex(6)}"
    log = Log(lambda _, key: errors.MessageSizeTooLargeError() if key.endswith(":bad") else None)
    relay = relay_of(log)
    await publish(database, tenant, "bad", 1)
    await relay.round()
    for sequence in range(2, 5):
        await publish(database, tenant, "bad", sequence)
        await publish(database, tenant, "good", sequence)
        await relay.round()
    assert sent(log, tenant) == [("good", sequence) for sequence in range(2, 5)]
    waits = await held(database, tenant, WAITS)
    async with database.unit_of_work(tenant) as uow:
        assert await dismiss(uow.session, waits[0].position)
        assert not await dismiss(uow.session, waits[0].position)
    log.refuse = lambda *_: None
    async with database.unit_of_work(tenant) as uow:
        assert await send_again(uow.session, tenant, waits[2].position) == 3
    await relay.round()
    assert sent(log, tenant)[3:] == [("bad", sequence) for sequence in range(2, 5)]
    await relay.close()


async def test_a_topic_that_is_refused_does_not_fill_the_batches_of_others(database, relay_of, emptied, monkeypatch):
    """Its events are older, and more than a batch."""
    tenant = f"t{secrets.token_hex(6)}"
    monkeypatch.setattr(outbox, "BATCH", 3)
    monkeypatch.setattr(refusals, "backoff", lambda *_: 60)
    for kind in (TopicUnknown, Silence, errors.UnknownError):
        log = Log(lambda topic, _, kind=kind: kind() if topic == "refused" else None)
        relay = relay_of(log)
        for number in range(5):
            await publish(database, tenant, f"o{number}", 1, "refused")
        await publish(database, tenant, "good", 1)
        for _ in range(3):
            await relay.round()
        assert sent(log, tenant) == [("good", 1)]
        assert len(await held(database, tenant, OUTBOX)) == 5
        log.refuse = lambda *_: None
        # It lets the lines that wait go.
        await relay.close()
        for _ in range(2):
            await relay.round()
        assert len(sent(log, tenant)) == 6
        await relay.close()


async def test_an_outage_condemns_nothing_however_long_it_lasts(database, relay_of, emptied):
    tenant = f"t{secrets.token_hex(6)}"
    for kind in (errors.UnknownError, errors.KafkaConnectionError, Silence):
        log = Log(lambda *_, kind=kind: kind())
        relay = relay_of(log)
        for number in range(3):
            await publish(database, tenant, f"o{number}", 1)
        for _ in range(2 * ATTEMPTS):
            assert await relay.round() == 0
        assert await held(database, tenant, WAITS) == []
        log.refuse = lambda *_: None
        for _ in range(2):
            await relay.round()
        assert len(sent(log, tenant)) == 3
        await relay.close()


async def test_a_batch_holds_so_many_bytes_at_most_and_one_event_at_least(database, relay_of, emptied, monkeypatch):
    tenant, log = f"t{secrets.token_hex(6)}", Log()
    monkeypatch.setattr(outbox, "BATCH_BYTES", 5000)
    relay = relay_of(log)
    async with database.unit_of_work(tenant) as uow:
        for sequence, size in enumerate((9000, 2000, 2000, 2000, 2000)):
            uow.publish(SubmissionScored(opportunity_id="o", score_id="x" * size), sequence=sequence)
    assert [await relay.round() for _ in range(4)] == [1, 3, 1, 0]
    assert [sequence for _, sequence in sent(log, tenant)] == list(range(5))
    await relay.close()


async def test_a_leader_that_was_overtaken_deletes_nothing_and_sends_nothing_more(database, relay_of, emptied):
    """It was stopped while the broker had its batch; meanwhile another led. What it had taken is left to the other."""
    tenant, logs = f"t{secrets.token_hex(6)}", [Log(), Log()]
    old, new = map(relay_of, logs)
    await old.round()

    async def overtaken(topic, value, key, headers, send=logs[0].send):
        async with database.as_relay() as connection:
            await connection.execute(text("UPDATE lease SET expires_at = now()"))
        await new.round()
        return await send(topic, value, key, headers)

    logs[0].send = overtaken
    logs[1].die = "before"
    await publish(database, tenant, "o", 1)
    with pytest.raises(LeaseLost):
        await old.round()
    assert len(await held(database, tenant, OUTBOX)) == 1
    logs[1].die = ""
    await publish(database, tenant, "o", 2)
    await old.close()
    await new.close()
    await new.round()
    assert sent(logs[1], tenant) == [("o", 1), ("o", 2)]
    # It does not lead now, whatever its clock said.
    assert await old.round() == 0
    for relay in (old, new):
        await relay.close()


async def test_a_second_relay_takes_over_from_one_that_fell_silent(database, relay_of, emptied):
    tenant, logs = f"t{secrets.token_hex(6)}", [Log(), Log()]
    silent, other = map(relay_of, logs)
    await silent.round()
    await publish(database, tenant, "o", 1)
    assert await other.round() == 0
    # The term passes; nothing of the silent one's session ends.
    async with database.as_relay() as connection:
        await connection.execute(text("UPDATE lease SET expires_at = now()"))
    assert await other.round() == 1
    assert sent(logs[1], tenant) == [("o", 1)]
    for relay in (silent, other):
        await relay.close()


async def test_a_table_that_is_rewritten_meanwhile_loses_nothing(database, relay_of, emptied, infrastructure):
    """VACUUM FULL gives every row another place between the sending of a batch and its deletion."""
    tenant, log = f"t{secrets.token_hex(6)}", Log()
    relay = relay_of(log)
    await relay.round()
    await publish(database, tenant, "o", 1)
    await publish(database, tenant, "o", 2)
    name = database.engine.url.database

    async def rewritten(topic, value, key, headers, send=log.send):
        if len(log.records) == 1:
            for sequence in range(3, 7):
                await publish(database, tenant, "o", sequence)
            with psycopg.connect(make_conninfo(infrastructure.admin_url, dbname=name), autocommit=True) as admin:
                admin.execute("VACUUM FULL outbox")
        return await send(topic, value, key, headers)

    log.send = rewritten
    for _ in range(3):
        await relay.round()
    assert sent(log, tenant) == [("o", sequence) for sequence in range(1, 7)]
    await relay.close()


FILL = text("""
    INSERT INTO outbox (tenant_id, event_id, topic, key, value, headers)
    SELECT CAST(:tenant_id AS text), gen_random_uuid(), 'full', CAST(:tenant_id AS text) || ':' || number, 'v', '{}'
    FROM generate_series(1, 20000) AS number
""")


def scanned(plan):
    """Rows read of the outbox, anywhere in the plan."""
    own = plan["Actual Rows"] * plan["Actual Loops"] if plan.get("Relation Name") == "outbox" else 0
    return own + sum(map(scanned, plan.get("Plans", ())))


@pytest.mark.parametrize("held_lines", [0, 1, 100])
async def test_a_batch_reads_no_more_of_a_full_outbox_than_it_takes(made, database, emptied, held_lines):
    tenant = f"t{secrets.token_hex(6)}"
    async with database.unit_of_work(tenant) as uow:
        await uow.session.execute(FILL, {"tenant_id": tenant})
    topics, keys = ["another"] * held_lines, [f"full {tenant}:{number}" for number in range(1, held_lines + 1)]
    # As the server does by itself within a minute.
    with psycopg.connect(made.migration_url, autocommit=True) as owner:
        owner.execute("ANALYZE outbox")
    async with database.held_by_relay() as connection:
        explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {outbox._TAKE}"
        found = await connection.fetchval(explain, outbox.BATCH, outbox.BATCH_BYTES, topics, keys)
        taken = await connection.fetch(outbox._TAKE, outbox.BATCH, outbox.BATCH_BYTES, topics, keys)
        await connection.execute("DELETE FROM outbox")
    assert len(taken) == outbox.BATCH
    assert (
        scanned((found if isinstance(found, list) else json.loads(found))[0]["Plan"]) <= outbox.BATCH + held_lines + 10
    )


def named(event_id):
    """As much of a received event as its claim needs."""
    return SimpleNamespace(id=event_id, record=SimpleNamespace(topic="t", key="k"))


async def test_one_batch_claimed_twice_at_once_is_handled_once(database):
    tenant, ids = f"t{secrets.token_hex(6)}", []
    for sequence in range(20):
        async with database.unit_of_work(tenant) as uow:
            ids.append(uow.publish(SubmissionScored(opportunity_id="o"), sequence=sequence).id)

    async def claim(order):
        async with database.unit_of_work(tenant) as uow:
            return await inbox.claim(uow, "sample", [named(each) for each in order])

    results = await asyncio.gather(*(claim(ids[::direction]) for direction in (1, -1, 1, -1)))
    assert sorted(i for found in results for i in found.new) == sorted(ids)
