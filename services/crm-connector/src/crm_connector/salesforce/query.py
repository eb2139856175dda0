"""Opportunities and stages by SOQL, page by page in the order of ids, so that an import can go on where it was."""

import logging
import re
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Generic, TypeVar

from pydantic import AwareDatetime, Field, TypeAdapter

from crm_connector.crm import Usage
from crm_connector.domain.observation import ClockSource, CrmOpportunity, Facts, StageClock
from crm_connector.domain.stages import CrmStage
from crm_connector.salesforce.errors import ApiRefusal, OutcomeUnknown
from crm_connector.salesforce.replies import amount_of
from crm_connector.salesforce.rest import Rest

log = logging.getLogger(__name__)

R = TypeVar("R")

PAGE = 2000
# The URI with all headers may have 16,384 bytes; 300 quoted ids take 6,600.
_IDS_PER_QUERY = 300
# Lines of history of so many opportunities.
_MOST_HISTORY = 100_000
_MOMENT = "%Y-%m-%dT%H:%M:%SZ"
_RECORD_ID = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?")
_FIELDS = (
    "Id, StageName, Amount, CloseDate, OwnerId, IsDeleted, CreatedDate, LastStageChangeDate, LastModifiedDate,"
    " LastModifiedById, Stagecraft_Write_Id__c"
)
_ID_PATTERN = r"^[0-9A-Za-z]{1,18}$"
_STAGE_FIELDS = "ApiName, MasterLabel, SortOrder, IsActive, IsClosed, IsWon"


@dataclass(frozen=True, slots=True)
class _Page(Generic[R]):
    records: list[R]
    done: bool
    next_url: Annotated[str, Field(alias="nextRecordsUrl")] = ""


@dataclass(frozen=True, slots=True)
class _Opportunity:
    id: Annotated[str, Field(alias="Id", pattern=_ID_PATTERN)]
    stage: Annotated[str | None, Field(alias="StageName")]
    amount: Annotated[Decimal | None, Field(alias="Amount", allow_inf_nan=True)]
    close_date: Annotated[date | None, Field(alias="CloseDate")]
    owner_id: Annotated[str | None, Field(alias="OwnerId")]
    deleted: Annotated[bool, Field(alias="IsDeleted")]
    modified_at: Annotated[AwareDatetime, Field(alias="LastModifiedDate")]
    modified_by: Annotated[str | None, Field(alias="LastModifiedById")]
    write_id: Annotated[str | None, Field(alias="Stagecraft_Write_Id__c")]
    created_at: Annotated[AwareDatetime, Field(alias="CreatedDate")]
    staged_at: Annotated[AwareDatetime | None, Field(alias="LastStageChangeDate")]

    def value(self) -> CrmOpportunity:
        return CrmOpportunity(
            opportunity_id=self.id,
            facts=Facts(self.stage or "", amount_of(self.amount), self.close_date, self.owner_id or ""),
            modified_at=self.modified_at,
            modified_by=self.modified_by or "",
            write_id=self.write_id or "",
            deleted=self.deleted,
            stage_clock=(
                StageClock(self.staged_at, ClockSource.STAGE_STAMP)
                if self.staged_at
                else StageClock(self.created_at, ClockSource.CREATION)
            ),
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
class _DeletedRecord:
    id: Annotated[str, Field(pattern=_ID_PATTERN)]


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


_HISTORY = TypeAdapter(_Page[_Entry])
_DELETED = TypeAdapter(_Deleted)
_LIMITS = TypeAdapter(_Limits)
_OPPORTUNITIES = TypeAdapter(_Page[_Opportunity])
_STAGES = TypeAdapter(_Page[_Stage])


async def opportunity_pages(
    rest: Rest, after: str, since: datetime | None
) -> AsyncGenerator[list[CrmOpportunity], None]:
    """Pages of at most 2,000 beyond the id `after`; with `since` those touched from then on, the deleted too."""
    path = "/queryAll" if since else "/query"
    while True:
        conditions = []
        if after:
            conditions.append(f"Id > '{after}'")
        if since:
            conditions.append(f"SystemModstamp >= {since.astimezone(UTC):{_MOMENT}}")
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        soql = f"SELECT {_FIELDS} FROM Opportunity{where} ORDER BY Id LIMIT {PAGE}"  # noqa: S608 - an id of the org's
        page = [row.value() async for row in _rows(rest, _OPPORTUNITIES, path, soql)]
        if page:
            yield page
            if page[-1].opportunity_id == after:
                raise OutcomeUnknown("the org gave the same records twice")
            after = page[-1].opportunity_id
        if len(page) < PAGE:
            return


async def read_opportunities(rest: Rest, ids: Sequence[str]) -> list[CrmOpportunity]:
    """These opportunities as they are now, deleted ones included."""
    found: list[CrmOpportunity] = []
    ids = [identifier for identifier in ids if _RECORD_ID.fullmatch(identifier)]
    for start in range(0, len(ids), _IDS_PER_QUERY):
        listed = _quoted(ids[start : start + _IDS_PER_QUERY])
        soql = f"SELECT {_FIELDS} FROM Opportunity WHERE Id IN ({listed})"  # noqa: S608 - matched as ids
        found += [row.value() async for row in _rows(rest, _OPPORTUNITIES, "/queryAll", soql)]
    return found


async def stage_catalog(rest: Rest) -> list[CrmStage]:
    """Every stage of the org in its order, inactive ones included."""
    soql = f"SELECT {_STAGE_FIELDS} FROM OpportunityStage ORDER BY SortOrder"  # noqa: S608 - constants
    return [row.value() async for row in _rows(rest, _STAGES, "/query", soql)]


async def stage_clocks(rest: Rest, opportunities: Sequence[CrmOpportunity]) -> dict[str, StageClock]:
    """Since when each is in its stage: by its history, else by its own stamps. One that may not be read is none."""
    clocks = {each.opportunity_id: each.stage_clock for each in opportunities if each.stage_clock}
    stages = {each.opportunity_id: each.facts.stage for each in opportunities}
    ids = [identifier for identifier in stages if _RECORD_ID.fullmatch(identifier)]
    entered: dict[str, datetime | None] = {}
    try:
        for start in range(0, len(ids), _IDS_PER_QUERY):
            listed = _quoted(ids[start : start + _IDS_PER_QUERY])
            where = f"WHERE OpportunityId IN ({listed}) ORDER BY OpportunityId, CreatedDate"
            soql = f"SELECT OpportunityId, StageName, CreatedDate FROM OpportunityHistory {where}"  # noqa: S608 - ids
            async for line in _rows(rest, _HISTORY, "/query", soql, most=_MOST_HISTORY):
                # The stay in the present stage began with the first line after the last line of another stage.
                if line.stage != stages.get(line.opportunity_id):
                    entered[line.opportunity_id] = None
                elif not entered.get(line.opportunity_id):
                    entered[line.opportunity_id] = line.at
    except ApiRefusal as refusal:
        log.warning("the history of stages cannot be read: %s", refusal)
        return clocks
    return clocks | {key: StageClock(at, ClockSource.HISTORY) for key, at in entered.items() if at is not None}


async def deleted(rest: Rest, since: datetime, until: datetime) -> list[str]:
    """Opportunities that were deleted in that time, those purged from the recycle bin included."""
    span = {"start": f"{since.astimezone(UTC):{_MOMENT}}", "end": f"{until.astimezone(UTC):{_MOMENT}}"}
    try:
        found = await rest.get(f"{rest.base}/sobjects/Opportunity/deleted", _DELETED, span)
    except ApiRefusal as refusal:
        log.warning("the list of deleted opportunities cannot be read: %s", refusal)
        return []
    return [record.id for record in found.records]


async def events_used(rest: Rest) -> Usage | None:
    """How much of the day's delivered events is used."""
    try:
        events = (await rest.get(f"{rest.base}/limits", _LIMITS)).events
    except ApiRefusal as refusal:
        log.warning("the limits of the org cannot be read: %s", refusal)
        return None
    return Usage(max(events.most - events.remaining, 0), events.most) if events else None


async def _rows(
    rest: Rest, kind: TypeAdapter[_Page[R]], path: str, soql: str, most: int = PAGE
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


def _quoted(ids: Iterable[str]) -> str:
    return ", ".join(f"'{identifier}'" for identifier in ids)
