"""Tasks and meetings of a real org process become activities of the records that they are about."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from crm_connector.crm import Related
from crm_connector.domain.activities import Activity, ActivityKind, Subject
from crm_connector.messages import activity_observed
from crm_connector.opening import open_crm
from crm_connector.settings import Settings
from stagecraft.crm.v1.activity_observed_pb2 import (
    ACTIVITY_KIND_CALL,
    ACTIVITY_KIND_MEETING,
    DIRECTION_OUTBOUND,
    DIRECTION_UNSPECIFIED,
    ActivityObserved,
)
from testing.service import eventually

from tests.streams import change_of

CALL = {
    "Type": "Call", "Status": "Completed", "ActivityDate": "2026-05-04", "CallType": "Outbound",
    "CallDurationInSeconds": 90, "CallDisposition": "Reached",
}  # fmt: skip
MEETING = {"StartDateTime": "2026-05-05T10:00:00.000+0000", "DurationInMinutes": 30}


@pytest.fixture
async def crm(org: Any, make: Any) -> AsyncIterator[Any]:
    found = open_crm(Settings(environment="test", **make.settings(org, "acme")))
    await found.adopt(found.default_fields, ["opportunity", "lead"])
    yield found
    await found.close()


@pytest.fixture
def about(org: Any) -> dict[str, str]:
    """An opportunity and a lead."""
    rows = {
        "opportunities": [{"Name": "Deal", "StageName": "Demo", "CloseDate": "2027-01-31"}],
        "leads": [{"LastName": "Lund", "Company": "Lund AB", "Status": "Working - Contacted"}],
    }
    loaded = org.sim("load", rows)
    return {"WhatId": loaded["opportunities"][0], "WhoId": loaded["leads"][0]}


class TestReading:
    async def test_a_call_is_about_each_of_its_records(self, crm: Any, org: Any, about: dict[str, str]) -> None:
        (task,) = org.sim("load", {"tasks": [CALL | about]})["tasks"]
        (found,) = await crm.activities([Related("Task", task)])
        assert found.subjects == (Subject("opportunity", about["WhatId"]), Subject("lead", about["WhoId"]))
        assert (found.kind, found.inbound, found.duration_seconds) == (ActivityKind.CALL, False, 90)
        assert (found.done, found.withdrawn, found.outcome) == (True, False, "Reached")
        assert found.occurred_at == datetime(2026, 5, 4, tzinfo=UTC)

    async def test_a_meeting_takes_place_when_it_starts(self, crm: Any, org: Any, about: dict[str, str]) -> None:
        later = {"StartDateTime": "2999-05-05T10:00:00.000+0000"}
        ids = org.sim("load", {"events": [MEETING | about, later | about]})["events"]
        past, planned = await crm.activities([Related("Event", each) for each in ids])
        assert (past.kind, past.done, past.duration_seconds) == (ActivityKind.MEETING, True, 1800)
        assert not planned.done

    async def test_what_is_about_nothing_that_is_followed_is_none(self, crm: Any, org: Any) -> None:
        (account,) = org.sim("load", {"accounts": [{"Name": "Initech"}]})["accounts"]
        ids = org.sim("load", {"tasks": [CALL, CALL | {"WhatId": account}]})["tasks"]
        assert await crm.activities([Related("Task", each) for each in ids]) == []

    async def test_a_change_of_a_task_names_it(self, crm: Any, org: Any, about: dict[str, str]) -> None:
        (task,) = org.sim("load", {"tasks": [{"Status": "Not Started"} | about]})["tasks"]
        batch = await change_of(crm, org, {"id": task, "fields": {"Status": "Completed"}})
        assert (list(batch.changes), batch.related) == ([], (Related("Task", task),))
        (found,) = await crm.activities(batch.related)
        assert (found.done, found.kind, found.outcome) == (True, ActivityKind.TASK, "Completed")


def test_an_activity_is_sent_for_a_record() -> None:
    at = datetime(2026, 5, 5, 10, tzinfo=UTC)
    activity = Activity("00UA", (), ActivityKind.MEETING, None, "005A", "x" * 9000, 1800, True, False, at, at)
    message = activity_observed(activity, Subject("lead", "00QA"))
    assert (message.object_type, message.record_id, message.kind) == ("lead", "00QA", ACTIVITY_KIND_MEETING)
    assert (message.direction, message.done, message.withdrawn) == (DIRECTION_UNSPECIFIED, True, False)
    assert len(message.outcome) == 2000
    assert message.change_id == f"read:00UA:{at.isoformat()}"


@pytest.mark.stack
async def test_a_call_is_published_once_for_the_opportunity(linked: Any) -> None:
    opportunity = await linked.created()
    (task,) = linked.org.sim("load", {"tasks": [{"WhatId": opportunity, "Type": "Call", "CallType": "Outbound"}]})[
        "tasks"
    ]
    linked.org.sim("edit", {"id": task, "fields": {"Status": "Completed"}})

    async def published() -> list[ActivityObserved]:
        events = await linked.service.events(ActivityObserved, tenant=linked.tenant, count=1)
        assert [event.message.record_id for event in events] == [opportunity]
        return [event.message for event in events]

    (message,) = await eventually(published)
    assert (message.activity_id, message.kind, message.direction) == (task, ACTIVITY_KIND_CALL, DIRECTION_OUTBOUND)
    assert message.done
