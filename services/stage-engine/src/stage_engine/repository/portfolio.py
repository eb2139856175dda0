"""The portfolio of accounts, counted in an index of accounts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from kit.database.rows import records
from kit.http.ownership import Owners
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from stage_engine.models.opportunities import OF_ACCOUNT
from stage_engine.records.figures import AccountGroup, OpenAmount

By = Literal["type", "stage", "owner"]
_COLUMNS: Mapping[By, str] = {"type": "account_type", "stage": "stage_key", "owner": "owner_id"}
# The greatest groups; of more owners a caller asks for some.
MOST_GROUPS = 1000
_SEEN = """
    SELECT account.opportunity_id, account.{column} AS "group", account.on_hold, account.stalled_at
    FROM opportunity account
    WHERE account.tenant_id = :tenant_id AND account.object_type = 'account' AND NOT account.deleted
      AND (CAST(:owners AS varchar[]) IS NULL OR account.owner_id = ANY(CAST(:owners AS varchar[])))
      AND (CAST(:type AS varchar) IS NULL OR account.account_type = :type)
      AND (CAST(:stage AS varchar) IS NULL OR account.stage_key = :stage)
"""
GROUPS = """
    SELECT "group", count(*) AS accounts, count(*) FILTER (WHERE on_hold) AS on_hold,
           count(*) FILTER (WHERE stalled_at <= :now) AS stalled,
           count(*) FILTER (WHERE touch.last_at IS NULL) AS untouched, max(touch.last_at) AS last_touch_at
    FROM ({seen}) seen
    CROSS JOIN LATERAL (
        SELECT max(total.last_at) AS last_at
        FROM activity_total total
        WHERE total.tenant_id = :tenant_id AND total.subject_id = seen.opportunity_id
    ) touch
    GROUP BY "group"
    ORDER BY accounts DESC, "group"
    LIMIT :most
"""
AMOUNTS = """
    SELECT "group", sale.currency, count(*) AS opportunities, sum(sale.amount) AS amount
    FROM ({seen}) seen
    JOIN opportunity sale ON sale.tenant_id = :tenant_id AND sale.account_id = seen.opportunity_id
    WHERE sale.object_type = 'opportunity' AND {open}
      AND (CAST(:owners AS varchar[]) IS NULL OR sale.owner_id = ANY(CAST(:owners AS varchar[])))
    GROUP BY "group", sale.currency
    ORDER BY "group", sale.currency
"""


@dataclass(frozen=True, slots=True)
class PortfolioWanted:
    """Which accounts are counted, and by what."""

    by: By
    type: str | None = None
    stage: str | None = None
    owner_id: str | None = None


class PortfolioRepository:
    """Row-level security confines every statement to the transaction's tenant."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def groups(self, wanted: PortfolioWanted, owners: Owners, now: datetime) -> list[AccountGroup]:
        """The accounts that these owners have, the greatest group first."""
        asked = self._asked(GROUPS, wanted, owners).bindparams(now=now, most=MOST_GROUPS)
        return await records(self._session, asked, AccountGroup)

    async def amounts(self, wanted: PortfolioWanted, owners: Owners) -> list[OpenAmount]:
        """What these owners have open with them."""
        return await records(self._session, self._asked(AMOUNTS, wanted, owners), OpenAmount)

    def _asked(self, of: str, wanted: PortfolioWanted, owners: Owners) -> TextClause:
        people: Sequence[str] | None = None if owners.person_ids is None else sorted(owners.person_ids)
        if wanted.owner_id is not None:
            people = [wanted.owner_id] if owners.include(wanted.owner_id) else []
        return text(statement(of, wanted.by)).bindparams(
            tenant_id=self._tenant_id, owners=people, type=wanted.type, stage=wanted.stage
        )


def statement(of: str, by: By) -> str:
    """The statement, by one of the columns."""
    is_open = " AND ".join(f"sale.{each}" if "NOT" not in each else "NOT sale.deleted" for each in _OPEN)
    return of.format(seen=_SEEN.format(column=_COLUMNS[by]), open=is_open)


_OPEN = OF_ACCOUNT.split(" AND ")
