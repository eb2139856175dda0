"""Users by SOQL, page by page in the order of ids."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, Field, TypeAdapter

from crm_connector.domain.people import CrmPerson
from crm_connector.salesforce.errors import OutcomeUnknown
from crm_connector.salesforce.rest import Rest

TOPIC = "/data/UserChangeEvent"
_PAGE = 2000
_FIELDS = "Id, IsActive, ManagerId, FederationIdentifier, Username, Email, SystemModstamp"


@dataclass(frozen=True, slots=True)
class _User:
    id: Annotated[str, Field(alias="Id", pattern=r"^[0-9A-Za-z]{18}$")]
    active: Annotated[bool, Field(alias="IsActive")]
    manager_id: Annotated[str | None, Field(alias="ManagerId")]
    federation_id: Annotated[str | None, Field(alias="FederationIdentifier")]
    username: Annotated[str | None, Field(alias="Username")]
    email: Annotated[str | None, Field(alias="Email")]
    modified_at: Annotated[AwareDatetime, Field(alias="SystemModstamp")]

    def value(self) -> CrmPerson:
        names = self.federation_id or "", self.username or "", self.email or ""
        return CrmPerson(self.id, self.active, self.manager_id or "", *names, self.modified_at)


@dataclass(frozen=True, slots=True)
class _Page:
    records: list[_User]
    done: bool


_USERS = TypeAdapter(_Page)


async def person_pages(rest: Rest, after: str, since: datetime | None) -> AsyncGenerator[list[CrmPerson], None]:
    """Pages of users beyond the id `after`; with `since` those touched from then on."""
    while True:
        conditions = [f"Id > '{after}'"] if after else []
        if since:
            conditions.append(f"SystemModstamp >= {since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        soql = f"SELECT {_FIELDS} FROM User{where} ORDER BY Id LIMIT {_PAGE}"  # noqa: S608 - an id of the org's
        page = await rest.get(f"{rest.base}/query", _USERS, {"q": soql})
        if page.records:
            if page.records[-1].id == after:
                raise OutcomeUnknown("the org gave the same users twice")
            yield [user.value() for user in page.records]
            after = page.records[-1].id
        # Where the org gave less than it has, the rest is beyond the last id as well.
        if not page.records or (page.done and len(page.records) < _PAGE):
            return
