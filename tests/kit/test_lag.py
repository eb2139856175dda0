"""How far a consumer group is behind."""

from types import SimpleNamespace

from aiokafka import TopicPartition
from kit.delivery.lag import GroupLag
from kit.observability.telemetry import CONSUMER_LAG

BEGINNINGS, ENDS, COMMITTED = {0: 40, 1: 40}, {0: 100, 1: 100}, {0: None, 1: 90}


class Client:
    """Two partitions whose first 40 events are gone; the group has committed in the second only."""

    def __init__(self):
        cluster = SimpleNamespace(partitions_for_topic=lambda topic: sorted(ENDS))

        async def metadata():
            return cluster

        self._client = SimpleNamespace(fetch_all_metadata=metadata)

    async def start(self):
        pass

    async def beginning_offsets(self, partitions):
        return {each: BEGINNINGS[each.partition] for each in partitions}

    async def end_offsets(self, partitions):
        return {each: ENDS[each.partition] for each in partitions}

    async def committed(self, partition: TopicPartition):
        return COMMITTED[partition.partition]


async def test_a_partition_without_a_commit_is_counted_from_what_it_still_keeps():
    await GroupLag("lagging", ["t"], Client).measure()
    assert [CONSUMER_LAG.labels("lagging", "t", str(each))._value.get() for each in ENDS] == [60, 10]
