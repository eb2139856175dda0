"""What a CRM reports of a tenant that has no org here: its people, records and calls, as the connector publishes them.

Each report says when it happened. That is how a story of months is told in seconds: no clock is turned.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiokafka import AIOKafkaProducer
from google.protobuf.message import Message
from kit.contracts.events import Event
from kit.contracts.facts import fact_of
from kit.ids import identity_digest, uuid7
from stagecraft.crm.v1.activity_observed_pb2 import ACTIVITY_KIND_CALL, ActivityObserved
from stagecraft.crm.v1.person_observed_pb2 import Identity, PersonObserved
from stagecraft.crm.v1.record_observed_pb2 import (
    OBSERVATION_KIND_CREATED,
    OBSERVATION_KIND_UPDATED,
    MappedStage,
    RecordObserved,
)

USER = "crm-connector"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Seen:
    """A record as the CRM held it at a moment; its pipeline is in version 1."""

    object_type: str
    record_id: str
    pipeline: str
    stage: str
    owner: str
    at: datetime
    is_new: bool = True
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def message(self) -> RecordObserved:
        return RecordObserved(
            object_type=self.object_type,
            record_id=self.record_id,
            kind=OBSERVATION_KIND_CREATED if self.is_new else OBSERVATION_KIND_UPDATED,
            mapped_stages=[MappedStage(pipeline_key=self.pipeline, pipeline_version=1, stage_key=self.stage)],
            crm_stage=self.stage,
            owner_id=self.owner,
            facts=[fact_of(f"{self.object_type}.{name}", value) for name, value in sorted(self.facts.items())],
            changed_by=self.owner,
            committed_at=self.at,
            change_id=str(uuid7()),
        )


@dataclass(frozen=True, slots=True)
class Called:
    """A call about a record, which took place at a moment."""

    object_type: str
    record_id: str
    by: str
    at: datetime

    @property
    def message(self) -> ActivityObserved:
        return ActivityObserved(
            activity_id=str(uuid7()),
            object_type=self.object_type,
            record_id=self.record_id,
            kind=ACTIVITY_KIND_CALL,
            person_id=self.by,
            done=True,
            occurred_at=self.at,
            committed_at=self.at,
            change_id=str(uuid7()),
        )


@dataclass(frozen=True, slots=True)
class Employed:
    """A person of the tenant."""

    tenant: str
    person_id: str
    at: datetime

    @property
    def message(self) -> PersonObserved:
        digest = identity_digest(self.tenant, self.person_id)
        return PersonObserved(
            person_id=self.person_id,
            active=True,
            identities=[Identity(claim="crm_id", digest=digest)],
            committed_at=self.at,
            change_id=str(uuid7()),
        )


class CrmReports:
    """Publishes what the CRM of one tenant reports."""

    def __init__(self, producer: AIOKafkaProducer, tenant: str) -> None:
        self._producer = producer
        self.tenant = tenant

    async def tell(self, *reports: Seen | Called | Employed) -> None:
        """Publish these in their order. What is about the same record is ordered by its moments."""
        for each in reports:
            await self._publish(each.message, (each.at - _EPOCH) // timedelta(microseconds=1))

    async def _publish(self, message: Message, sequence: int) -> None:
        record = Event(self.tenant, message, sequence).record(USER)
        headers = [(name, value.encode()) for name, value in record.headers.items()]
        await self._producer.send_and_wait(record.topic, record.value, key=record.key.encode(), headers=headers)


@asynccontextmanager
async def crm_reports(kafka: dict[str, Any], tenant: str) -> AsyncIterator[CrmReports]:
    """Report while the block runs; `kafka` is what `Stack.kafka(USER)` gives."""
    producer = AIOKafkaProducer(**kafka, acks="all", client_id="story")
    await producer.start()
    try:
        yield CrmReports(producer, tenant)
    finally:
        await producer.stop()
