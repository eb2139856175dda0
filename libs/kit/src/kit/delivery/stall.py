"""Notices a Kafka client that lost its way: it returns nothing for good, and no error either."""

import asyncio
import time
from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

CHECK_SECONDS = 8
_ANSWER_SECONDS = 5
_NOWHERE = -1


class ClientStalled(Exception):
    """The broker has events for us that the client does not fetch. A new client helps."""


class Stall:
    """Compares, now and then, the client's position with the end of each partition. Behind twice at the same
    place, with nothing fetched in between, is no coincidence."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._checked_at = time.monotonic()
        self._behind: dict[TopicPartition, int] = {}

    def fetched(self, partitions: Iterable[TopicPartition]) -> None:
        """These have given something since the last check."""
        for partition in partitions:
            self._behind.pop(partition, None)

    async def check(self) -> None:
        """Raises ClientStalled. Without the broker's answer nothing is known, and nothing is raised."""
        if time.monotonic() - self._checked_at < CHECK_SECONDS:
            return
        before, self._behind = self._behind, await self._measure()
        self._checked_at = time.monotonic()
        stuck = [p for p, position in self._behind.items() if before.get(p) == position]
        if stuck:
            places = ", ".join(f"{p.topic}[{p.partition}]@{self._behind[p]}" for p in stuck)
            raise ClientStalled(f"the broker has events that the client does not fetch: {places}")

    async def _measure(self) -> dict[TopicPartition, int]:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                ends = await self._consumer.end_offsets(list(self._consumer.assignment()))
        except (KafkaError, TimeoutError):
            return {}
        positions = await asyncio.gather(*(self._position(partition) for partition in ends))
        return {p: at for (p, end), at in zip(ends.items(), positions, strict=True) if at < end}

    async def _position(self, partition: TopicPartition) -> int:
        try:
            async with asyncio.timeout(1):
                return await self._consumer.position(partition)
        except (IllegalStateError, TimeoutError):
            return _NOWHERE
