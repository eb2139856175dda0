"""Reads topics from outside, without a consumer group: every record once for each connection, from the beginning."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from google.protobuf.message import Message
from kit.contracts.events import Received, Record, decode, headers_of

FETCH_WAIT_MS = 50
# Called with an event and the moment it was read, in seconds of `time.perf_counter`.
Reader = Callable[[Received[Message], float], None]


@asynccontextmanager
async def following(kafka: dict[str, Any], readers: dict[str, Reader]) -> AsyncIterator[None]:
    """Hand every record of each topic to its reader while the block runs; `kafka` is what `Stack.kafka` gives.

    An exception in a reader, or a record that is no event, ends the block with it.
    """
    consumer = AIOKafkaConsumer(
        *readers,
        **kafka,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=FETCH_WAIT_MS,
        client_id="story",
    )
    await consumer.start()
    try:
        async with beside(_read(consumer, readers)):
            yield
    finally:
        await consumer.stop()


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run this while the block runs. An exception in it ends the block too."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)
        try:
            yield
        finally:
            task.cancel()


async def _read(consumer: AIOKafkaConsumer, readers: dict[str, Reader]) -> None:
    while True:
        batches = await consumer.getmany(timeout_ms=500)
        now = time.perf_counter()
        for partition, records in batches.items():
            for record in records:
                readers[partition.topic](_event(record), now)


def _event(record: ConsumerRecord) -> Received[Message]:
    key = (record.key or b"").decode()
    whole = Record(record.topic, key, record.value or b"", headers_of(record.headers))
    return decode(whole, record.partition, record.offset)
