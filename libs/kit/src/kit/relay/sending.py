"""Sending events of the outbox: all at once and in order, and what became of each."""

import asyncio
import json
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from kit.relay.refusals import Silence

# Longer than a healthy broker takes; shorter than the margin of the lease.
ACKNOWLEDGE_SECONDS = 8.0
# What is sent to a partner, or failed last time, holds up the rest no longer than this.
PATIENCE_SECONDS = 2.0


class Producer(Protocol):
    """What sending needs of `kit.delivery.kafka.EventProducer`."""

    async def send(
        self, topic: str, value: bytes, key: bytes, *, headers: list[tuple[str, bytes]]
    ) -> Awaitable[Any]: ...


class OutboxRow(NamedTuple):
    """An event in the outbox; `blocked` when one before it in its line is quarantined."""

    position: int
    topic: str
    key: str
    value: bytes
    headers: str
    blocked: bool


@dataclass
class Outcome:
    """What became of events: acknowledged, failed, or neither, because one before it in its line failed."""

    sent: list[OutboxRow] = field(default_factory=list[OutboxRow])
    failed: list[tuple[OutboxRow, BaseException]] = field(default_factory=list[tuple[OutboxRow, BaseException]])


async def send(producer: Producer, rows: Sequence[OutboxRow], slow: frozenset[str]) -> Outcome:
    """Queue all events in their order, then wait for the acknowledgements; less patiently for those of `slow` topics.
    Where one cannot be queued, those behind it on its topic are left alone."""
    outcome = Outcome()
    queued: list[tuple[OutboxRow, asyncio.Future[Any]]] = []
    refused: set[str] = set()
    clock = asyncio.get_running_loop().time
    deadline = clock() + ACKNOWLEDGE_SECONDS
    for row in rows:
        # Where a broker hangs, the client waits for room before it says so.
        if row.topic in refused or clock() > deadline:
            continue
        try:
            headers = [(name, value.encode()) for name, value in json.loads(row.headers).items()]
            sending = await producer.send(row.topic, row.value, row.key.encode(), headers=headers)
            queued.append((row, asyncio.ensure_future(sending)))
        except Exception as error:
            refused.add(row.topic)
            outcome.failed.append((row, error))
    prompt = [acknowledgement for row, acknowledgement in queued if row.topic not in slow]
    if prompt:
        await asyncio.wait(prompt, timeout=ACKNOWLEDGE_SECONDS)
    if len(prompt) < len(queued):
        late = [acknowledgement for row, acknowledgement in queued if row.topic in slow]
        await asyncio.wait(late, timeout=PATIENCE_SECONDS)
    for row, acknowledgement in queued:
        heard = acknowledgement.done() and not acknowledgement.cancelled()
        error = acknowledgement.exception() if heard else Silence("no acknowledgement came")
        if error is None:
            outcome.sent.append(row)
        else:
            outcome.failed.append((row, error))
    outcome.failed.sort(key=lambda failure: failure[0].position)
    return outcome
