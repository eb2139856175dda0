"""Opportunities and stages by SOQL, page by page in the order of ids, so that an import can go on where it was."""

import re
from collections.abc import AsyncGenerator, Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from crm_connector.domain.observation import CrmOpportunity, Facts
from crm_connector.domain.stages import CrmStage
from crm_connector.salesforce.rest import Rest

PAGE = 2000
# The URI with all headers may have 16,384 bytes; 300 quoted ids take 6,600.
_IDS_PER_QUERY = 300
_RECORD_ID = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?")
_FIELDS = (
    "Id, StageName, Amount, CloseDate, OwnerId, IsDeleted, LastModifiedDate, LastModifiedById, Stagecraft_Write_Id__c"
)
_STAGE_FIELDS = "ApiName, MasterLabel, SortOrder, IsActive, IsClosed, IsWon"


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
        page = [_opportunity(row) async for row in _rows(rest, path, soql)]
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
        found += [_opportunity(row) async for row in _rows(rest, "/queryAll", soql)]
    return found


async def stage_catalog(rest: Rest) -> list[CrmStage]:
    """Every stage of the org in its order, inactive ones included."""
    soql = f"SELECT {_STAGE_FIELDS} FROM OpportunityStage ORDER BY SortOrder"  # noqa: S608 - constants
    return [
        CrmStage(
            name=row["ApiName"] or row["MasterLabel"],
            label=row["MasterLabel"],
            sort_order=int(row["SortOrder"] or 0),
            is_active=row["IsActive"],
            is_closed=row["IsClosed"],
            is_won=row["IsWon"],
        )
        async for row in _rows(rest, "/query", soql)
    ]


async def _rows(rest: Rest, path: str, soql: str) -> AsyncGenerator[dict[str, Any], None]:
    page = await rest.get(rest.base + path, {"q": soql})
    while True:
        for row in page["records"]:
            yield row
        if page["done"]:
            return
        # The org may give less than the limit at a time.
        page = await rest.get(page["nextRecordsUrl"])


def _quoted(ids: Iterable[str]) -> str:
    return ", ".join(f"'{identifier}'" for identifier in ids)


def _opportunity(row: dict[str, Any]) -> CrmOpportunity:
    amount, close_date = row["Amount"], row["CloseDate"]
    return CrmOpportunity(
        opportunity_id=row["Id"],
        facts=Facts(
            stage=row["StageName"] or "",
            amount=None if amount is None else Decimal(amount),
            close_date=date.fromisoformat(close_date) if close_date else None,
            owner_id=row["OwnerId"] or "",
        ),
        modified_at=datetime.fromisoformat(row["LastModifiedDate"]),
        modified_by=row["LastModifiedById"] or "",
        write_id=row["Stagecraft_Write_Id__c"] or "",
        deleted=row["IsDeleted"],
    )
