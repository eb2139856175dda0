"""Opportunities and stages by SOQL, page by page in the order of ids, so that an import can go on where it was."""

import re
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Generic, TypeVar

from pydantic import AwareDatetime, Field, TypeAdapter

from crm_connector.domain.observation import CrmOpportunity, Facts
from crm_connector.domain.stages import CrmStage
from crm_connector.salesforce.errors import OutcomeUnknown
from crm_connector.salesforce.rest import Rest

R = TypeVar("R")

PAGE = 2000
# The URI with all headers may have 16,384 bytes; 300 quoted ids take 6,600.
_IDS_PER_QUERY = 300
_RECORD_ID = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?")
_FIELDS = (
    "Id, StageName, Amount, CloseDate, OwnerId, IsDeleted, LastModifiedDate, LastModifiedById, Stagecraft_Write_Id__c"
)
_STAGE_FIELDS = "ApiName, MasterLabel, SortOrder, IsActive, IsClosed, IsWon"


@dataclass(frozen=True, slots=True)
class _Page(Generic[R]):
    records: list[R]
    done: bool
    next_url: Annotated[str, Field(alias="nextRecordsUrl")] = ""


@dataclass(frozen=True, slots=True)
class _Opportunity:
    id: Annotated[str, Field(alias="Id")]
    stage: Annotated[str | None, Field(alias="StageName")]
    amount: Annotated[Decimal | None, Field(alias="Amount")]
    close_date: Annotated[date | None, Field(alias="CloseDate")]
    owner_id: Annotated[str | None, Field(alias="OwnerId")]
    deleted: Annotated[bool, Field(alias="IsDeleted")]
    modified_at: Annotated[AwareDatetime, Field(alias="LastModifiedDate")]
    modified_by: Annotated[str | None, Field(alias="LastModifiedById")]
    write_id: Annotated[str | None, Field(alias="Stagecraft_Write_Id__c")]

    def value(self) -> CrmOpportunity:
        return CrmOpportunity(
            opportunity_id=self.id,
            facts=Facts(self.stage or "", self.amount, self.close_date, self.owner_id or ""),
            modified_at=self.modified_at,
            modified_by=self.modified_by or "",
            write_id=self.write_id or "",
            deleted=self.deleted,
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
            conditions.append(f"SystemModstamp >= {since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        soql = f"SELECT {_FIELDS} FROM Opportunity{where} ORDER BY Id LIMIT {PAGE}"  # noqa: S608 - an id of the org's
        page = [row.value() async for row in _rows(rest, _OPPORTUNITIES, path, soql)]
        if page:
            yield page
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


async def _rows(rest: Rest, kind: TypeAdapter[_Page[R]], path: str, soql: str) -> AsyncGenerator[R, None]:
    page = await rest.get(rest.base + path, kind, {"q": soql})
    while True:
        for row in page.records:
            yield row
        if page.done:
            return
        if not page.next_url:
            raise OutcomeUnknown("the org gave a part of the records and no way to the rest")
        # The org may give less than the limit at a time.
        page = await rest.get(page.next_url, kind)


def _quoted(ids: Iterable[str]) -> str:
    return ", ".join(f"'{identifier}'" for identifier in ids)
