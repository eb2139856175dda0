"""Outbox and inbox under any interleaving of commits, rollbacks, crashes and repeated deliveries.

The database is real; the broker is a list, so that a crash can be put between any two steps.
"""

import asyncio
import secrets
from uuid import UUID

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kit.database.migrate import migrate
from kit.database.unit_of_work import Database
from kit.delivery import inbox
from kit.delivery.outbox import Relay
from kit.health import Watchdog
from sandbox.provision import drop_database, provision_database
from sqlalchemy import text
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored

pytestmark = pytest.mark.stack


class Killed(Exception):
    """The process died here."""


class Log:
    """A broker that can die before or after it took an event."""

    def __init__(self):
        self.records = []
        self.die = ""

    async def send(self, topic, value, key, headers):
        if self.die == "before":
            raise Killed
        kept = {name: text.decode() for name, text in headers}
        self.records.append((kept["ce_id"], key.decode(), int(kept["ce_sequence"])))
        acknowledged = asyncio.get_running_loop().create_future()
        if self.die == "after":
            acknowledged.set_exception(Killed())
        else:
            acknowledged.set_result(None)
        return acknowledged

    async def stop(self):
        pass


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def database(infrastructure):
    from sample.settings import Settings

    name = f"sample_{secrets.token_hex(4)}"
    made = provision_database(
        infrastructure.admin_url, "sample", app_password="test", owner_password="test", database=name
    )
    migrate("sample", made.migration_url)
    opened = Database(Settings(database_url=made.database_url))
    yield opened
    await opened.close()
    drop_database(infrastructure.admin_url, name)


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
            await relay.close()
        log.die = ""

    async def deliver(position, count, dies):
        batch = log.records[position : position + count]
        try:
            async with database.unit_of_work(tenant) as uow:
                fresh = await inbox.claim(uow, "sample", [UUID(record[0]) for record in batch])
                claimed = [record for record in batch if record[0] in {str(i) for i in fresh}]
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


async def test_a_relay_that_does_not_lead_wakes_the_leader_and_takes_over_when_it_goes(database, eventually):
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


async def test_one_batch_claimed_twice_at_once_is_handled_once(database):
    tenant, ids = f"t{secrets.token_hex(6)}", []
    for sequence in range(20):
        async with database.unit_of_work(tenant) as uow:
            ids.append(uow.publish(SubmissionScored(opportunity_id="o"), sequence=sequence).id)

    async def claim(order):
        async with database.unit_of_work(tenant) as uow:
            return await inbox.claim(uow, "sample", order)

    results = await asyncio.gather(*(claim(ids[::direction]) for direction in (1, -1, 1, -1)))
    assert sorted(i for found in results for i in found) == sorted(ids)
