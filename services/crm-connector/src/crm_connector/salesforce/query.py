"""Records and stages by SOQL, page by page in the order of ids, so that an import can go on where it was."""

import logging
import re
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Generic, TypeVar

from pydantic import AwareDatetime, Field, TypeAdapter

from crm_connector.crm import Usage
from crm_connector.domain.fields import CONTACTS, FactType
from crm_connector.domain.observation import ClockSource, CrmRecord, Facts, StageClock
from crm_connector.domain.stages import CrmStage
from crm_connector.salesforce.changes import CONTACT_ROLE
from crm_connector.salesforce.errors import ApiRefusal, OutcomeUnknown
from crm_connector.salesforce.plan import OBJECTS, PREFIXES, Plan
from crm_connector.salesforce.replies import checked
from crm_connector.salesforce.rest import Rest
from crm_connector.salesforce.values import kept_value

log = logging.getLogger(__name__)

R = TypeVar("R")

PAGE = 2000
# The URI with all headers may have 16,384 bytes; 300 quoted ids take 6,600.
_IDS_PER_QUERY = 300
# Lines of history of so many opportunities.
_MOST_HISTORY = 100_000
_MOMENT = "%Y-%m-%dT%H:%M:%SZ"
_RECORD_ID = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?")
_STAMPS = "Id, OwnerId, IsDeleted, CreatedDate, LastModifiedDate, LastModifiedById"
_STAGED_AT = {"opportunity": ("LastStageChangeDate",)}
ID_PATTERN = r"^[0-9A-Za-z]{1,18}$"
_STAGE_FIELDS = "ApiName, MasterLabel, SortOrder, IsActive, IsClosed, IsWon"


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    records: list[R]
    done: bool
    next_url: Annotated[str, Field(alias="nextRecordsUrl")] = ""


@dataclass(frozen=True, slots=True)
class _Record:
    id: Annotated[str, Field(alias="Id", pattern=ID_PATTERN)]
    owner_id: Annotated[str | None, Field(alias="OwnerId")]
    deleted: Annotated[bool, Field(alias="IsDeleted")]
    modified_at: Annotated[AwareDatetime, Field(alias="LastModifiedDate")]
    modified_by: Annotated[str | None, Field(alias="LastModifiedById")]
    created_at: Annotated[AwareDatetime, Field(alias="CreatedDate")]
    write_id: Annotated[str | None, Field(alias="Stagecraft_Write_Id__c")] = None
    staged_at: Annotated[AwareDatetime | None, Field(alias="LastStageChangeDate")] = None

    def value(self, plan: Plan, object_type: str, row: Mapping[str, object]) -> CrmRecord:
        stage = row.get(plan.stage_field(object_type))
        if not isinstance(stage, str | None):
            raise OutcomeUnknown("the org gave a stage that is no text")
        return CrmRecord(
            record_id=self.id,
            facts=Facts(stage or "", self.owner_id or "", plan.facts_of(object_type, row)),
            modified_at=self.modified_at,
            modified_by=self.modified_by or "",
            write_id=self.write_id or "",
            deleted=self.deleted,
            stage_clock=(
                StageClock(self.staged_at, ClockSource.STAGE_STAMP)
                if self.staged_at
                else StageClock(self.created_at, ClockSource.CREATION)
            ),
            object_type=object_type,
            created_at=self.created_at,
        )


@dataclass(frozen=True, slots=True)
class _Stage:
    api_name: Annotated[str | None, Field(alias="ApiName")]
    label: Annotated[str, Field(alias="MasterLabel")]
    sort_order: Annotated[int | None, Field(alias="SortOrder")]
    is_active: Annotated[bool, Field(alias="IsActive")]
    is_closed: Annotated[bool, Field(alias="IsClosed")]
    is_won: Annotated[bool, Field(alias="IsWon")]

    def value(self) -> CrmStage:
        name = self.api_name or self.label
        return CrmStage(name, self.label, self.sort_order or 0, self.is_active, self.is_closed, self.is_won)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line of an opportunity's history: the stage that it had from then on."""

    opportunity_id: Annotated[str, Field(alias="OpportunityId")]
    stage: Annotated[str | None, Field(alias="StageName")]
    at: Annotated[AwareDatetime, Field(alias="CreatedDate")]


@dataclass(frozen=True, slots=True)
class _Role:
    opportunity_id: Annotated[str | None, Field(alias="OpportunityId")]
    role: Annotated[str | None, Field(alias="Role")]


@dataclass(frozen=True, slots=True)
class _Choice:
    value: str
    label: str
    active: bool


@dataclass(frozen=True, slots=True)
class _ChoiceField:
    name: str
    values: Annotated[list[_Choice], Field(alias="picklistValues")]


@dataclass(frozen=True, slots=True)
class _Chosen:
    fields: list[_ChoiceField]


@dataclass(frozen=True, slots=True)
class _DeletedRecord:
    id: Annotated[str, Field(pattern=ID_PATTERN)]


@dataclass(frozen=True, slots=True)
class _Deleted:
    records: Annotated[list[_DeletedRecord], Field(alias="deletedRecords")]


@dataclass(frozen=True, slots=True)
class _Allocation:
    most: Annotated[int, Field(alias="Max", ge=0, le=10**12)]
    remaining: Annotated[int, Field(alias="Remaining", ge=0, le=10**12)]


@dataclass(frozen=True, slots=True)
class _Limits:
    events: Annotated[_Allocation | None, Field(alias="DailyDeliveredPlatformEvents")] = None


_HISTORY = TypeAdapter(Page[_Entry])
_DELETED = TypeAdapter(_Deleted)
_LIMITS = TypeAdapter(_Limits)
_RAW = TypeAdapter(Page[dict[str, object]])
_RECORD = TypeAdapter(_Record)
_ROLES = TypeAdapter(Page[_Role])
_CHOICES = TypeAdapter(_Chosen)
_STAGES = TypeAdapter(Page[_Stage])


async def record_pages(
    rest: Rest, plan: Plan, object_types: Sequence[str], after: str, since: datetime | None
) -> AsyncGenerator[list[CrmRecord], None]:
    """Pages of at most 2,000 beyond the id `after`; with `since` those touched from then on, the deleted too."""
    conditions = [f"SystemModstamp >= {since.astimezone(UTC):{_MOMENT}}"] if since else []
    for prefix, object_type in PREFIXES.items():
        if object_type in object_types and prefix >= after[:3]:
            begin = after if after[:3] == prefix else ""
            async with aclosing(_pages(rest, plan, object_type, begin, conditions, deleted=bool(since))) as pages:
                async for page in pages:
                    yield page


async def _pages(
    rest: Rest, plan: Plan, object_type: str, after: str, conditions: Sequence[str], *, deleted: bool
) -> AsyncGenerator[list[CrmRecord], None]:
    while True:
        where = " AND ".join([*conditions, *([f"Id > '{after}'"] if after else [])])
        ending = f"{' WHERE ' if where else ''}{where} ORDER BY Id LIMIT {PAGE}"
        page = await _records(rest, plan, object_type, ending, deleted=deleted)
        if page:
            yield page
            if page[-1].record_id == after:
                raise OutcomeUnknown("the org gave the same records twice")
            after = page[-1].record_id
        if len(page) < PAGE:
            return


async def pages_of_accounts(rest: Rest, plan: Plan, ids: Sequence[str]) -> AsyncGenerator[list[CrmRecord], None]:
    """Pages of the opportunities of these accounts."""
    for portion in portions(ids):
        conditions = [f"AccountId IN ({quoted(portion)})"]
        async with aclosing(_pages(rest, plan, "opportunity", "", conditions, deleted=True)) as pages:
            async for page in pages:
                yield page


async def opportunities_of_roles(rest: Rest, ids: Sequence[str]) -> list[str]:
    """The opportunities of these contact roles, deleted ones included."""
    found: dict[str, None] = {}
    for portion in portions(ids):
        soql = f"SELECT OpportunityId, Role FROM {CONTACT_ROLE} WHERE Id IN ({quoted(portion)})"  # noqa: S608 - ids
        found |= {row.opportunity_id: None async for row in rows(rest, _ROLES, "/queryAll", soql) if row.opportunity_id}
    return list(found)


async def _records(rest: Rest, plan: Plan, object_type: str, ending: str, *, deleted: bool) -> list[CrmRecord]:
    columns = [*_STAMPS.split(", "), *_STAGED_AT.get(object_type, ()), *plan.columns(object_type)]
    soql = f"SELECT {', '.join(dict.fromkeys(columns))} FROM {OBJECTS[object_type]}{ending}"  # noqa: S608 - described
    path = "/queryAll" if deleted else "/query"
    found: list[CrmRecord] = []
    async for row in rows(rest, _RAW, path, soql):
        if missing := [name for name in columns if "." not in name and name not in row]:
            raise OutcomeUnknown(f"the org left out what was asked for: {', '.join(missing)}")
        found.append(checked(_RECORD, row).value(plan, object_type, row))
    return await _with_contacts(rest, plan, found) if object_type == "opportunity" else found


async def _with_contacts(rest: Rest, plan: Plan, records: Sequence[CrmRecord]) -> list[CrmRecord]:
    """The opportunities with the number of their contacts in each mapped role; unknown where they may not be read."""
    roles = plan.names.contact_roles
    if not roles:
        return list(records)
    counts = {record.record_id: dict.fromkeys(roles, 0) for record in records}
    try:
        for portion in portions([record.record_id for record in records]):
            where = f"WHERE OpportunityId IN ({quoted(portion)}) AND Role != NULL ORDER BY OpportunityId"
            soql = f"SELECT OpportunityId, Role FROM {CONTACT_ROLE} {where}"  # noqa: S608 - ids
            async for row in rows(rest, _ROLES, "/query", soql, most=_MOST_HISTORY):
                for name in (name for name, wanted in roles.items() if row.role in wanted):
                    counts[row.opportunity_id or ""][name] += 1
    except ApiRefusal as refusal:
        log.warning("the contact roles cannot be read: %s", refusal)
        return list(records)
    return [replace(each, facts=_counted(each.facts, counts[each.record_id])) for each in records]


def _counted(facts: Facts, counts: Mapping[str, int]) -> Facts:
    counted = {f"{CONTACTS}.{name}": kept_value(count, FactType.NUMBER) for name, count in counts.items()}
    return replace(facts, fields={**facts.fields, **counted})


async def read_records(rest: Rest, plan: Plan, ids: Sequence[str]) -> list[CrmRecord]:
    """These records as they are now, deleted ones included."""
    found: list[CrmRecord] = []
    for prefix, object_type in PREFIXES.items():
        for portion in portions([each for each in ids if each.startswith(prefix)]):
            found += await _records(rest, plan, object_type, f" WHERE Id IN ({quoted(portion)})", deleted=True)
    return found


def portions(ids: Sequence[str]) -> Iterator[list[str]]:
    sound = [each for each in ids if _RECORD_ID.fullmatch(each)]
    for start in range(0, len(sound), _IDS_PER_QUERY):
        yield sound[start : start + _IDS_PER_QUERY]


async def stage_catalog(rest: Rest, plan: Plan) -> list[CrmStage]:
    """Every stage of the org in its order, inactive ones included, of each type that is followed."""
    found = await _opportunity_stages(rest)
    for object_type in plan.object_types:
        if object_type != "opportunity" and plan.stage_field(object_type):
            found += await _picklist(rest, object_type, plan.stage_field(object_type))
    return found


async def _picklist(rest: Rest, object_type: str, name: str) -> list[CrmStage]:
    """The values of the field as stages: of these the org does not say which are closed or won."""
    described = await rest.get(f"{rest.base}/sobjects/{OBJECTS[object_type]}/describe", _CHOICES)
    values = next((each.values for each in described.fields if each.name == name), [])
    return [
        CrmStage(each.value, each.label, place, each.active, None, None, object_type)
        for place, each in enumerate(values, start=1)
    ]


async def _opportunity_stages(rest: Rest) -> list[CrmStage]:
    soql = f"SELECT {_STAGE_FIELDS} FROM OpportunityStage ORDER BY SortOrder"  # noqa: S608 - constants
    return [row.value() async for row in rows(rest, _STAGES, "/query", soql)]


async def stage_clocks(rest: Rest, opportunities: Sequence[CrmRecord]) -> dict[str, StageClock]:
    """Since when each is in its stage: by its history, else by its own stamps. One that may not be read is none."""
    clocks = {each.record_id: each.stage_clock for each in opportunities if each.stage_clock}
    stages = {each.record_id: each.facts.stage for each in opportunities if each.object_type == "opportunity"}
    ids = [identifier for identifier in stages if _RECORD_ID.fullmatch(identifier)]
    entered: dict[str, datetime | None] = {}
    try:
        for start in range(0, len(ids), _IDS_PER_QUERY):
            listed = quoted(ids[start : start + _IDS_PER_QUERY])
            where = f"WHERE OpportunityId IN ({listed}) ORDER BY OpportunityId, CreatedDate"
            soql = f"SELECT OpportunityId, StageName, CreatedDate FROM OpportunityHistory {where}"  # noqa: S608 - ids
            async for line in rows(rest, _HISTORY, "/query", soql, most=_MOST_HISTORY):
                # The stay in the present stage began with the first line after the last line of another stage.
                if line.stage != stages.get(line.opportunity_id):
                    entered[line.opportunity_id] = None
                elif not entered.get(line.opportunity_id):
                    entered[line.opportunity_id] = line.at
    except ApiRefusal as refusal:
        log.warning("the history of stages cannot be read: %s", refusal)
        return clocks
    return clocks | {key: StageClock(at, ClockSource.HISTORY) for key, at in entered.items() if at is not None}


async def deleted(rest: Rest, object_types: Sequence[str], since: datetime, until: datetime) -> list[str]:
    """Records that were deleted in that time, those purged from the recycle bin included."""
    span = {"start": f"{since.astimezone(UTC):{_MOMENT}}", "end": f"{until.astimezone(UTC):{_MOMENT}}"}
    ids: list[str] = []
    for object_type in object_types:
        try:
            found = await rest.get(f"{rest.base}/sobjects/{OBJECTS[object_type]}/deleted", _DELETED, span)
        except ApiRefusal as refusal:
            log.warning("the list of deleted records of %s cannot be read: %s", object_type, refusal)
        else:
            ids += [record.id for record in found.records]
    return ids


async def events_used(rest: Rest) -> Usage | None:
    """How much of the day's delivered events is used."""
    try:
        events = (await rest.get(f"{rest.base}/limits", _LIMITS)).events
    except ApiRefusal as refusal:
        log.warning("the limits of the org cannot be read: %s", refusal)
        return None
    return Usage(max(events.most - events.remaining, 0), events.most) if events else None


async def rows(
    rest: Rest, kind: TypeAdapter[Page[R]], path: str, soql: str, most: int = PAGE
) -> AsyncGenerator[R, None]:
    page = await rest.get(rest.base + path, kind, {"q": soql})
    count = 0
    while True:
        count += len(page.records)
        for row in page.records:
            yield row
        if page.done:
            return
        if not page.next_url.startswith("/services/data/") or count > most or not page.records:
            raise OutcomeUnknown("the org gave a part of the records and no way to the rest")
        # The org may give less than the limit at a time.
        page = await rest.get(page.next_url, kind)


def quoted(ids: Iterable[str]) -> str:
    return ", ".join(f"'{identifier}'" for identifier in ids)
