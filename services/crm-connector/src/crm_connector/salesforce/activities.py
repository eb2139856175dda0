"""Tasks and events of the org, by SOQL, as activities."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Annotated, TypeVar

from pydantic import AwareDatetime, Field, TypeAdapter

from crm_connector.crm import Related
from crm_connector.domain.activities import Activity, ActivityKind, Subject
from crm_connector.salesforce.changes import ACTIVITIES
from crm_connector.salesforce.plan import PREFIXES, Plan
from crm_connector.salesforce.query import ID_PATTERN, Page, portions, quoted, rows
from crm_connector.salesforce.rest import Rest

R = TypeVar("R")
TASK, EVENT = ACTIVITIES
_TASK_FIELDS = (
    "Id, WhoId, WhatId, OwnerId, Status, Type, TaskSubtype, ActivityDate, CompletedDateTime, IsClosed, CallType,"
    " CallDurationInSeconds, CallDisposition, IsDeleted, CreatedDate, LastModifiedDate"
)
_EVENT_FIELDS = (
    "Id, WhoId, WhatId, OwnerId, Type, StartDateTime, DurationInMinutes, IsDeleted, CreatedDate, LastModifiedDate"
)
_KINDS = {"call": ActivityKind.CALL, "email": ActivityKind.EMAIL, "meeting": ActivityKind.MEETING}
_LONGEST_SECONDS = 10**7


@dataclass(frozen=True, slots=True)
class _Row:
    """What tasks and events have in common."""

    id: Annotated[str, Field(alias="Id", pattern=ID_PATTERN)]
    who: Annotated[str | None, Field(alias="WhoId")]
    what: Annotated[str | None, Field(alias="WhatId")]
    owner: Annotated[str | None, Field(alias="OwnerId")]
    type: Annotated[str | None, Field(alias="Type")]
    deleted: Annotated[bool, Field(alias="IsDeleted")]
    created_at: Annotated[AwareDatetime, Field(alias="CreatedDate")]
    modified_at: Annotated[AwareDatetime, Field(alias="LastModifiedDate")]


@dataclass(frozen=True, slots=True)
class _Task(_Row):
    subtype: Annotated[str | None, Field(alias="TaskSubtype")]
    due_on: Annotated[date | None, Field(alias="ActivityDate")]
    completed_at: Annotated[AwareDatetime | None, Field(alias="CompletedDateTime")]
    closed: Annotated[bool, Field(alias="IsClosed")]
    call_type: Annotated[str | None, Field(alias="CallType")]
    seconds: Annotated[int | None, Field(alias="CallDurationInSeconds")]
    disposition: Annotated[str | None, Field(alias="CallDisposition")]
    status: Annotated[str | None, Field(alias="Status")]

    def value(self, plan: Plan, now: datetime) -> Activity:
        due = datetime.combine(self.due_on, time(), UTC) if self.due_on else self.created_at
        # What was entered afterwards took place on its day, not when it was entered.
        at = min(due, self.completed_at) if self.completed_at and self.due_on else self.completed_at or due
        return Activity(
            activity_id=self.id,
            subjects=_subjects(plan, self.what, self.who),
            kind=_kind(self.subtype, self.type) or ActivityKind.TASK,
            inbound={"Inbound": True, "Outbound": False}.get(self.call_type or ""),
            person_id=self.owner or "",
            outcome=self.disposition or (self.status or "" if self.closed else ""),
            duration_seconds=_seconds(self.seconds),
            done=self.closed,
            withdrawn=self.deleted,
            occurred_at=at,
            modified_at=self.modified_at,
        )


@dataclass(frozen=True, slots=True)
class _Event(_Row):
    starts_at: Annotated[AwareDatetime | None, Field(alias="StartDateTime")]
    minutes: Annotated[int | None, Field(alias="DurationInMinutes")]

    def value(self, plan: Plan, now: datetime) -> Activity:
        at = self.starts_at or self.created_at
        return Activity(
            activity_id=self.id,
            subjects=_subjects(plan, self.what, self.who),
            kind=_kind(self.type) or ActivityKind.MEETING,
            inbound=None,
            person_id=self.owner or "",
            outcome="",
            duration_seconds=_seconds((self.minutes or 0) * 60),
            done=at <= now,
            withdrawn=self.deleted,
            occurred_at=at,
            modified_at=self.modified_at,
        )


_TASKS = TypeAdapter(Page[_Task])
_EVENTS = TypeAdapter(Page[_Event])


async def read_activities(
    rest: Rest, plan: Plan, related: Sequence[Related], clock: Callable[[], datetime]
) -> list[Activity]:
    """The activities among these records as they are now, deleted ones included, as far as they are about a record that
    is followed."""
    now = clock()
    found = [row.value(plan, now) for row in await _read(rest, TASK, _TASK_FIELDS, _TASKS, related)]
    found += [row.value(plan, now) for row in await _read(rest, EVENT, _EVENT_FIELDS, _EVENTS, related)]
    return [each for each in found if each.subjects]


async def _read(rest: Rest, name: str, fields: str, kind: TypeAdapter[Page[R]], related: Sequence[Related]) -> list[R]:
    found: list[R] = []
    for portion in portions([each.record_id for each in related if each.object == name]):
        soql = f"SELECT {fields} FROM {name} WHERE Id IN ({quoted(portion)})"  # noqa: S608 - matched as ids
        found += [row async for row in rows(rest, kind, "/queryAll", soql)]
    return found


def _subjects(plan: Plan, *ids: str | None) -> tuple[Subject, ...]:
    types = [(PREFIXES.get((each or "")[:3], ""), each or "") for each in ids]
    return tuple(Subject(object_type, each) for object_type, each in types if object_type in plan.object_types)


def _kind(*words: str | None) -> ActivityKind | None:
    return next((_KINDS[word.casefold()] for word in words if word and word.casefold() in _KINDS), None)


def _seconds(given: int | None) -> int:
    return min(max(given or 0, 0), _LONGEST_SECONDS)
