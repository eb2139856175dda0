"""What Kafka holds: every record of every topic, and how far each consumer group has read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from sandbox.stack.services import SERVICES
from sandbox.stack.topics import Topic, load_topics

FACTS = [topic for topic in load_topics() if topic.readers and ".dlq." not in topic.name]
DEAD_LETTERS = [topic for topic in load_topics() if ".dlq." in topic.name]


def partitions_of(topics: list[Topic]) -> list[TopicPartition]:
    return [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]


async def records(kafka: dict[str, Any], topics: list[Topic]) -> AsyncIterator[ConsumerRecord]:
    """All that the topics hold now, in order per partition."""
    consumer = AIOKafkaConsumer(**kafka, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = partitions_of(topics)
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        for partition in partitions:
            consumer.seek(partition, 0)
        going = {partition for partition, end in ends.items() if end}
        while going:
            for partition, batch in (await consumer.getmany(*going, timeout_ms=500)).items():
                for record in batch:
                    if record.offset < ends[partition]:
                        yield record
                if batch[-1].offset + 1 >= ends[partition]:
                    going.discard(partition)
    finally:
        await consumer.stop()


async def lags(kafka: dict[str, Any]) -> dict[str, int]:
    """Events each group has still to read, by group and topic, where there are any."""
    consumer = AIOKafkaConsumer(**kafka)
    admin = AIOKafkaAdminClient(**kafka)
    await consumer.start()
    await admin.start()
    try:
        ends = await consumer.end_offsets(partitions_of(FACTS))
        left: dict[str, int] = {}
        for group in SERVICES:
            committed = await admin.list_consumer_group_offsets(group)
            for partition in partitions_of([topic for topic in FACTS if group in topic.readers]):
                at = committed[partition].offset if partition in committed else 0
                if missing := ends[partition] - max(at, 0):
                    name = f"{group} < {partition.topic}"
                    left[name] = left.get(name, 0) + missing
        return left
    finally:
        await admin.close()
        await consumer.stop()
