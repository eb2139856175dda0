"""The clients of a real broker: what they say that those of the library keep to themselves."""

import asyncio
import secrets

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.protocol.fetch import FetchRequest
from kit.delivery.kafka import new_consumer, start_producer
from kit.observability.telemetry import EVENTS_LOST
from kit.relay.refusals import TopicUnknown
from sandbox.stack.topics import Topic, lent_topics

pytestmark = pytest.mark.stack


@pytest.fixture
async def topic(outside):
    name, servers = f"k{secrets.token_hex(4)}.kept", outside.infrastructure.bootstrap_servers
    async with lent_topics(servers, [Topic(name=name, partitions=1, writer="s")]):
        yield name


async def read(consumer, count):
    found = []
    async with asyncio.timeout(60):
        while len(found) < count:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [int(record.value) for record in records]
    return found


async def test_a_consumer_says_what_retention_took_and_goes_on(outside, topic):
    """It is away while the topic loses what it has not read."""
    servers, place = outside.infrastructure.bootstrap_servers, TopicPartition(topic, 0)
    for number in range(10):
        await outside.producer.send_and_wait(topic, str(number).encode(), key=b"k")
    consumer = new_consumer(outside.settings)
    await consumer.start()
    consumer.subscribe([topic])
    # A group that has never read begins with the oldest.
    assert await read(consumer, 10) == list(range(10))
    await consumer.commit({place: 3})
    await consumer.stop()
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.delete_records({place: RecordsToDelete(before_offset=7)})
    await admin.close()

    again = new_consumer(outside.settings)
    await again.start()
    again.subscribe([topic])
    assert await read(again, 3) == [7, 8, 9]
    await again.stop()
    assert EVENTS_LOST.labels("sample", topic)._value.get() == 4


async def test_a_consumer_asks_less_often_while_nothing_comes(outside, topic, monkeypatch):
    """A request that waits for longer is answered as soon as something comes all the same."""
    consumer, waits = new_consumer(outside.settings), []
    await consumer.start()
    consumer.subscribe([topic])
    send = consumer._client.send

    async def noted(node_id, request, **more):
        if isinstance(request, FetchRequest):
            waits.append(request._max_wait_ms)
        return await send(node_id, request, **more)

    monkeypatch.setattr(consumer._client, "send", noted)
    await outside.producer.send_and_wait(topic, b"0", key=b"k")
    assert await read(consumer, 1) == [0]
    waits.clear()
    while 500 not in waits:
        assert not await consumer.getmany(timeout_ms=100)
    assert waits[0] == 50 and waits == sorted(waits)
    await outside.producer.send_and_wait(topic, b"1", key=b"k")
    assert await read(consumer, 1) == [1]
    waits.clear()
    while not waits:
        await consumer.getmany(timeout_ms=100)
    assert waits[0] == 50
    await consumer.stop()


async def test_a_producer_says_soon_that_a_topic_is_unknown(outside):
    with pytest.raises(TopicUnknown):
        async with asyncio.timeout(20):
            await outside.producer.send("no.such.topic", b"v", b"k", headers=[])


async def test_a_producer_sends_nothing_while_it_may_not_nor_once_it_is_stopped(outside, topic):
    """Also what it had queued before: a paused process that wakes up no longer leads."""
    leads = True
    producer = await start_producer(outside.settings, lambda: leads)
    await producer.send_and_wait(topic, b"0", b"k")
    leads = False
    queued = await producer.send(topic, b"1", b"k")
    await asyncio.wait([queued], timeout=1)
    assert not queued.done() or queued.exception()
    await producer.stop()
    leads = True
    await outside.producer.send_and_wait(topic, b"2", key=b"k")
    consumer = new_consumer(outside.settings)
    await consumer.start()
    consumer.subscribe([topic])
    assert await read(consumer, 2) == [0, 2]
    await consumer.stop()
