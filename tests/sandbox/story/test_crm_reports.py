"""What a CRM reports can be read by every service, and says when it happened."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kit.contracts.events import Received, Record, decode, headers_of
from sandbox.story.crm_reports import Called, CrmReports, Employed, Seen

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SEEN = Seen("lead", "lund", "bant_lead", "new", "Queue", NOW - timedelta(days=2), facts={"industry": "Retail"})
REPORTS = (SEEN, Called("lead", "lund", "Rita", NOW - timedelta(days=1)), Employed("lakeside", "Rita", NOW))


class Producer:
    """A broker that keeps what it gets."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    async def send_and_wait(self, topic: str, value: bytes, *, key: bytes, headers: list[Any]) -> None:
        self.records.append(Record(topic, key.decode(), value, headers_of(headers)))


@pytest.mark.asyncio(loop_scope="session")
async def test_each_is_an_event_of_the_tenant_in_the_order_of_its_moments() -> None:
    broker = Producer()
    await CrmReports(broker, "lakeside").tell(*REPORTS)  # pyright: ignore[reportArgumentType]
    events: list[Received[Any]] = [decode(record, 0, place) for place, record in enumerate(broker.records)]
    assert {event.tenant_id for event in events} == {"lakeside"}
    moments = [event.message.committed_at.ToDatetime(UTC) for event in events]
    assert moments == [each.at for each in REPORTS]
    assert sorted(event.sequence for event in events) == [event.sequence for event in events]
    assert [fact.name for fact in events[0].message.facts] == ["lead.industry"]
