"""How far the consumer group is behind, asked of the broker: true also while the consumer hangs or has halted."""

import asyncio
from collections.abc import Callable, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition

from kit.observability.health import Progress
from kit.observability.telemetry import CONSUMER_LAG, EVENTS_LOST


class GroupLag:
    """Compares what the group has committed with the ends of its topics. Its client never joins the group."""

    def __init__(self, service: str, topics: Sequence[str], new_consumer: Callable[[], AIOKafkaConsumer]) -> None:
        self._service = service
        self._topics = topics
        self._new_consumer = new_consumer
        self._consumer: AIOKafkaConsumer | None = None
        self._progress = Progress()

    async def measure(self) -> None:
        """Set the gauge of every partition. After an error, `close` before the next attempt."""
        if self._consumer is None:
            # Kept before it is started, so that `close` finds it when the start is given up.
            self._consumer = self._new_consumer()
            await self._consumer.start()
        consumer = self._consumer
        cluster = await consumer._client.fetch_all_metadata()
        partitions = [
            TopicPartition(topic, number)
            for topic in self._topics
            for number in cluster.partitions_for_topic(topic) or ()
        ]
        begins, ends = await asyncio.gather(consumer.beginning_offsets(partitions), consumer.end_offsets(partitions))
        committed = await asyncio.gather(*(consumer.committed(partition) for partition in partitions))
        for topic in self._topics:
            # A counter that has no series yet would hide its first rise.
            EVENTS_LOST.labels(self._service, topic)
        for partition, done in zip(partitions, committed, strict=True):
            # Without a commit the group begins at what the topic still keeps.
            position = begins[partition] if done is None else done
            lag = CONSUMER_LAG.labels(self._service, partition.topic, str(partition.partition))
            behind = max(0, ends[partition] - position)
            lag.set(behind)
            self._progress.at(f"{partition.topic}[{partition.partition}]", position, behind=behind > 0)

    def stuck(self, seconds: float) -> list[str]:
        """The partitions whose events the group has not moved through for so long, as measured last."""
        return self._progress.stuck(seconds)

    async def close(self) -> None:
        """Let go of the broker; the next measurement connects anew."""
        self._progress.forget()
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()
