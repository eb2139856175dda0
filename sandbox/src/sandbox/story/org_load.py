"""Fills the simulated Salesforce org with a world, as after years of selling, and edits it like a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import httpx

from sandbox.story.world import CRM_STAGE, Account, Opportunity, Rep, World

DUMP_PAGE = 1000
# To whom all managers report.
HEAD = "Helen Stern"


@dataclass(frozen=True)
class OrgIds:
    """The org's record ids by our keys: of users by rep, of opportunities by opportunity."""

    users: Mapping[str, str]
    opportunities: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class OrgOpportunity:
    """What the org holds of an opportunity: its stage by the org's name, and the submission ids of its assessments."""

    name: str
    stage_name: str
    amount: float
    submission_ids: tuple[str, ...]


class OrgConsole:
    """The operator's side of the simulated org, at its `/_sim` paths."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self.url = url

    async def fill(self, world: World) -> OrgIds:
        """Load the world without change events; whom others refer to by id comes first: the head of sales, then
        managers, reps and accounts."""
        (head,) = (await self._load(users=[_user(HEAD, "Head of Sales")]))["users"]
        names = sorted({rep.manager for rep in world.reps})
        rows = [_user(name, "Sales Manager", ManagerId=head) for name in names]
        managers = dict(zip(names, (await self._load(users=rows))["users"], strict=True))
        first = await self._load(
            users=[_rep_row(rep, managers[rep.manager]) for rep in world.reps],
            accounts=[_account_row(account) for account in world.accounts],
        )
        users = dict(zip((rep.key for rep in world.reps), first["users"], strict=True))
        accounts = dict(zip((account.key for account in world.accounts), first["accounts"], strict=True))
        rows = [_opportunity_row(opportunity, users, accounts) for opportunity in world.opportunities]
        loaded = (await self._load(opportunities=rows))["opportunities"]
        ids = dict(zip((opportunity.key for opportunity in world.opportunities), loaded, strict=True))
        await self._fill_around(world, users, accounts, ids)
        return OrgIds(users, ids)

    async def _fill_around(
        self, world: World, users: Mapping[str, str], accounts: Mapping[str, str], opportunities: Mapping[str, str]
    ) -> None:
        """A contact of each account, who decides on every second of its open opportunities, the last call about each
        open one, and a few leads."""
        people = [{"LastName": f"{name} Buyer"[-80:], "AccountId": key} for name, key in accounts.items()]
        contacts = dict(zip(accounts, (await self._load(contacts=people))["contacts"], strict=True))
        still_open = [each for each in world.opportunities if each.is_open]
        await self._load(
            contact_roles=[
                {
                    "OpportunityId": opportunities[each.key],
                    "ContactId": contacts[each.account_key],
                    "Role": "Decision Maker",
                }
                for each in still_open[::2]
                if each.account_key in contacts
            ],
            tasks=[_call(each, users[each.rep_key], opportunities[each.key]) for each in still_open],
            leads=[_lead(number, users[rep.key]) for number, rep in enumerate(world.reps)],
        )

    async def owners(self) -> dict[str, tuple[str, str]]:
        """The id and the owner's id of up to 1,000 opportunities, by name."""
        page = await self._http.get(f"{self.url}/_sim/opportunities", params={"limit": DUMP_PAGE})
        rows = page.raise_for_status().json()["opportunities"]
        return {row["Name"]: (row["Id"], row["OwnerId"]) for row in rows}

    async def in_stage(self, stage_name: str) -> list[str]:
        """The ids of up to 1,000 opportunities in this stage."""
        page = await self._http.get(f"{self.url}/_sim/opportunities", params={"limit": DUMP_PAGE})
        return [row["Id"] for row in page.raise_for_status().json()["opportunities"] if row["StageName"] == stage_name]

    async def manager_of(self, user_id: str) -> str:
        """The id of the user to whom this one reports; empty for none."""
        found = (await self._http.get(f"{self.url}/_sim/users")).raise_for_status().json()
        managers = {row["Id"]: row.get("ManagerId") or "" for row in found}
        return managers.get(user_id, "")

    async def edit(self, opportunity_id: str, stage_name: str, user_id: str) -> None:
        """A person sets the stage in Salesforce."""
        body = {"id": opportunity_id, "fields": {"StageName": stage_name}, "user": user_id}
        (await self._http.post(f"{self.url}/_sim/edit", json=body)).raise_for_status()

    async def opportunities(self) -> dict[str, OrgOpportunity]:
        """Everything the org holds, by opportunity id."""
        found: dict[str, OrgOpportunity] = {}
        while True:
            page = await self._http.get(
                f"{self.url}/_sim/opportunities", params={"limit": DUMP_PAGE, "offset": len(found)}
            )
            rows = page.raise_for_status().json()["opportunities"]
            if not rows:
                return found
            found |= {row["Id"]: _org_opportunity(row) for row in rows}

    async def assessments(self, offset: int) -> list[str]:
        """Submission ids of the assessments in the org, in order of arrival, without the first `offset`."""
        page = await self._http.get(f"{self.url}/_sim/assessments", params={"offset": offset})
        return page.raise_for_status().json()

    async def tasks(self) -> list[str]:
        """The ids of the actions whose tasks the org holds, one entry for each task."""
        return (await self._http.get(f"{self.url}/_sim/tasks")).raise_for_status().json()

    async def record(self, opportunity_id: str) -> dict[str, Any]:
        """One opportunity with its assessments, answers and history, by Salesforce's field names."""
        page = await self._http.get(f"{self.url}/_sim/opportunities", params={"id": opportunity_id})
        return page.raise_for_status().json()["opportunities"][0]

    async def _load(self, **rows: list[dict[str, Any]]) -> dict[str, list[str]]:
        return (await self._http.post(f"{self.url}/_sim/load", json=rows)).raise_for_status().json()


def _user(name: str, title: str, **more: Any) -> dict[str, Any]:
    first, _, last = name.rpartition(" ")
    username = f"{name.lower().replace(' ', '.')}@acme.example"
    row = {"Username": username, "FirstName": first, "LastName": last, "Email": username, "Title": title}
    return {**row, "IsActive": True, **more}


def _rep_row(rep: Rep, manager_id: str) -> dict[str, Any]:
    names = {"Username": rep.username, "Email": rep.username, "FirstName": rep.first_name, "LastName": rep.last_name}
    return _user(rep.name, "Account Executive", Department=rep.region, ManagerId=manager_id) | names


def _account_row(account: Account) -> dict[str, Any]:
    return {
        "Name": account.name,
        "Industry": account.industry,
        "BillingCountry": account.country,
        "NumberOfEmployees": account.employees,
        "AnnualRevenue": str(account.revenue),
    }


def _opportunity_row(opportunity: Opportunity, users: Mapping[str, str], accounts: Mapping[str, str]) -> dict[str, Any]:
    changed = opportunity.created_on if opportunity.is_open else opportunity.close_on
    return {
        "Name": opportunity.name,
        "AccountId": accounts.get(opportunity.account_key),
        "OwnerId": users[opportunity.rep_key],
        "StageName": CRM_STAGE[opportunity.claimed],
        "Amount": str(opportunity.amount),
        "CloseDate": opportunity.close_on.isoformat(),
        "CreatedDate": _morning(opportunity.created_on),
        "LastModifiedDate": _morning(changed),
        "LastStageChangeDate": _morning(changed),
    }


def _call(opportunity: Opportunity, user_id: str, opportunity_id: str) -> dict[str, Any]:
    return {
        "WhatId": opportunity_id,
        "OwnerId": user_id,
        "Subject": "Call",
        "Type": "Call",
        "CallType": "Outbound",
        "Status": "Completed",
        "ActivityDate": opportunity.created_on.isoformat(),
    }


def _lead(number: int, user_id: str) -> dict[str, Any]:
    person = {"LastName": f"Lead {number + 1}", "Company": f"Prospect {number + 1}", "OwnerId": user_id}
    return person | {"Status": "Open - Not Contacted", "LeadSource": "Web"}


def _morning(day: date) -> str:
    """The first moment of the day. Even today's is in the past, so no edit can come before it."""
    return f"{day.isoformat()}T00:00:00.000+0000"


def _org_opportunity(row: Mapping[str, Any]) -> OrgOpportunity:
    submissions = tuple(item["External_Id__c"] for item in row["assessments"])
    return OrgOpportunity(row["Name"], row["StageName"], row.get("Amount") or 0, submissions)
