"""Events that no service can handle: broken ones in every topic, and real ones that meet a bug until it is fixed.

The bug is a trigger that refuses one submission's row in one service's table. Its event goes to the dead letters; the
fix drops the trigger, and a replay must bring the submission to where all others are.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from kit.contracts.events import headers_of, registry
from kit.ids import utc_now, uuid7
from sandbox.stack.services import SERVICES
from sandbox.story.api import Caller

from tools.chaos.databases import Databases
from tools.chaos.topics import DEAD_LETTERS, FACTS, records

TENANT = "acme"
PAUSE_SECONDS = 0.5
BUG = "planted bug"
# Marks our broken events, so that one that the system breaks by itself is not taken for ours.
MARK = "chaos"
# Where a submission leaves its first row in each service, and how that row names it.
TOUCHES: Mapping[str, tuple[str, str]] = {
    "assessment": ("submission_score", "NEW.submission_id::text = '{}'"),
    "scoring": ("score", "NEW.submission_id::text = '{}'"),
    "stage-engine": ("decision", "NEW.identity LIKE 'submission:{}:%'"),
    "crm-connector": ("write_intent", "NEW.submission_id = '{}'"),
    "recommender": ("submission", "NEW.submission_id = '{}'"),
}


@dataclass(frozen=True)
class Planted:
    """A broken event: its place, and the service that reads it."""

    topic: str
    partition: int
    offset: int
    readers: tuple[str, ...]


class Poison:
    """Everything poisonous of one run."""

    def __init__(self, seed: int, kafka: dict[str, Any], databases: Databases) -> None:
        self.planted: list[Planted] = []
        self.victims = {service: str(uuid7()) for service in SERVICES}
        self._chance = Random(f"poison:{seed}")
        self._kafka = kafka
        self._databases = databases

    async def plant_bugs(self) -> None:
        """From now on each service fails at its victim."""
        for service, (table, condition) in TOUCHES.items():
            when = condition.format(self.victims[service])
            await self._databases.rows(
                service,
                "CREATE OR REPLACE FUNCTION planted_bug() RETURNS trigger LANGUAGE plpgsql AS "
                f"$$ BEGIN RAISE EXCEPTION '{BUG}'; END $$",
            )
            await self._databases.rows(
                service,
                f"CREATE OR REPLACE TRIGGER planted_bug BEFORE INSERT ON {table} FOR EACH ROW "
                f"WHEN ({when}) EXECUTE FUNCTION planted_bug()",
            )

    async def spread(self) -> None:
        """One broken event into every topic a service reads, each broken in its own way."""
        for topic in FACTS:
            record = await self._send(topic.name, *self._broken(topic.name))
            self.planted.append(Planted(topic.name, record[0], record[1], topic.readers))

    async def fix_and_replay(self, admin: Caller) -> list[str]:
        """Fix the bugs and replay their dead letters through the public API; those that failed, in words."""
        faults: list[str] = []
        for service, (table, _) in TOUCHES.items():
            await self._databases.rows(service, f"DROP TRIGGER IF EXISTS planted_bug ON {table}")
            letters = [
                letter
                async for page in admin.pages(service, "/v1/dead-letters")
                for letter in page
                if BUG in letter["detail"]
            ]
            if not letters:
                faults.append(f"{service} set no event of its planted bug aside")
            for letter in letters:
                await admin.post(service, f"/v1/dead-letters/{letter['dead_letter_id']}/replay")
        return faults

    async def missing_dead_letters(self) -> list[str]:
        """Broken events that are not in the dead-letter topic of each reader exactly once, with their origin."""
        seen: Counter[tuple[str, ...]] = Counter()
        ids: set[tuple[str, str, int, int]] = set()
        async for record in records(self._kafka, DEAD_LETTERS):
            headers = headers_of(record.headers)
            origin = (headers["dlq-topic"], int(headers["dlq-partition"]), int(headers["dlq-offset"]))
            # The outbox may send a dead letter twice, as any event.
            if (record.topic, *origin) not in ids:
                ids.add((record.topic, *origin))
                seen[(record.topic, *map(str, origin))] += 1
        return [
            f"{planted.topic}[{planted.partition}]@{planted.offset} is not among the dead letters of {reader}"
            for planted in self.planted
            for reader in planted.readers
            if seen[(f"{planted.topic}.dlq.{reader}", *map(str, (planted.topic, planted.partition, planted.offset)))]
            != 1
        ]

    def _broken(self, topic: str) -> tuple[bytes, bytes, dict[str, str]]:
        kind = next(kind for kind in registry().values() if kind.topic == topic)
        headers = {
            "ce_id": str(uuid7()),
            "ce_type": kind.name,
            "ce_time": utc_now().isoformat(),
            "ce_sequence": "1",
            "ce_tenantid": TENANT,
            MARK: "poison",
        }
        key, value = f"{TENANT}:nobody".encode(), b"\xff\xff\xff"
        match self._chance.randrange(4):
            case 0:
                headers["ce_type"] = "stagecraft.unheard.of.v1.Event"
            case 1:
                headers["ce_sequence"] = "many"
            case 2:
                del headers["ce_id"]
            case _:
                value = b"\xff" + self._chance.randbytes(64)
        return key, value, headers

    async def _send(self, topic: str, key: bytes, value: bytes, headers: dict[str, str]) -> tuple[int, int]:
        while True:
            producer = AIOKafkaProducer(**self._kafka, retry_backoff_ms=200)
            try:
                await producer.start()
                pairs = [(name, text.encode()) for name, text in headers.items()]
                sent = await producer.send_and_wait(topic, value, key=key, headers=pairs)
                return sent.partition, sent.offset
            except (KafkaError, OSError):
                await asyncio.sleep(PAUSE_SECONDS)
            finally:
                await producer.stop()
