"""SOQL over the API, paging, deltas, describe and limits."""

from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from sandbox.salesforce.testing import RunningOrg

New = Callable[..., Coroutine[Any, Any, str]]


async def rows(api: httpx.AsyncClient, text: str, resource: str = "query") -> list[dict[str, Any]]:
    reply = await api.get(f"/{resource}", params={"q": text})
    assert reply.status_code == 200, reply.text
    return reply.json()["records"]


async def names(api: httpx.AsyncClient, tag: str, condition: str, order: str = "Name") -> list[str]:
    text = f"SELECT Name FROM Opportunity WHERE NextStep = '{tag}' AND ({condition}) ORDER BY {order}"
    return [row["Name"] for row in await rows(api, text)]


@pytest.fixture
async def tagged(new_opportunity: New, unique: Callable[[], str]) -> str:
    """Four opportunities under one tag: amounts 10, 20, none, 40."""
    tag = unique()
    for name, amount, day in (("a", 10, "01"), ("B", 20, "02"), ("c", None, "03"), ("d%", 40, "04")):
        body: dict[str, Any] = {"Name": name, "CloseDate": f"2026-01-{day}", "NextStep": tag}
        await new_opportunity(**body, **({} if amount is None else {"Amount": amount}))
    return tag


class TestConditions:
    @pytest.mark.parametrize(
        ("condition", "found"),
        [
            ("Amount = 10", ["a"]),
            ("Amount != 10", ["B", "c", "d%"]),
            ("Amount > 10", ["B", "d%"]),
            ("Amount >= 10 AND Amount < 40", ["a", "B"]),
            ("Amount = null", ["c"]),
            ("Amount != null AND NOT Amount = 20", ["a", "d%"]),
            ("Amount IN (10, 40)", ["a", "d%"]),
            ("Amount NOT IN (10, 40)", ["B", "c"]),
            ("Name = 'b'", ["B"]),
            ("Name LIKE '_' AND Name LIKE '%B%'", ["B"]),
            ("Amount = 10 OR (Name = 'c' AND Amount = null)", ["a", "c"]),
            ("CloseDate >= 2026-01-03", ["c", "d%"]),
            ("CreatedDate > 2020-01-01T00:00:00Z AND IsClosed = false", ["a", "B", "c", "d%"]),
            ("LastModifiedDate < 2020-01-01T00:00:00+00:00", []),
            ("Owner.Name = 'Stagecraft Integration' AND Account.Name = null AND Amount <= 10", ["a"]),
        ],
    )
    async def test_what_a_condition_finds(
        self, api: httpx.AsyncClient, tagged: str, condition: str, found: list[str]
    ) -> None:
        assert await names(api, tagged, condition) == found

    @pytest.mark.parametrize(
        ("order", "found"),
        [
            ("Amount", ["c", "a", "B", "d%"]),
            ("Amount NULLS LAST", ["a", "B", "d%", "c"]),
            ("Amount DESC", ["d%", "B", "a", "c"]),
            ("Name DESC LIMIT 2 OFFSET 1", ["c", "B"]),
        ],
    )
    async def test_order_limit_and_offset(
        self, api: httpx.AsyncClient, tagged: str, order: str, found: list[str]
    ) -> None:
        assert await names(api, tagged, "Name != ''", order) == found

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("SELECT Id FROM Nothing", "INVALID_TYPE"),
            ("SELECT Nothing FROM Opportunity", "INVALID_FIELD"),
            ("SELECT Id FROM Opportunity WHERE Nothing = 1", "INVALID_FIELD"),
            ("SELECT Id FROM Opportunity ORDER BY Nothing", "INVALID_FIELD"),
            ("SELECT Nobody.Name FROM Opportunity", "INVALID_FIELD"),
            ("SELECT Id FROM Opportunity WHERE Amount = '1'", "INVALID_FIELD"),
            ("SELECT Id FROM Opportunity WHERE Name = 1", "INVALID_FIELD"),
            ("SELECT Id FROM Opportunity WHERE Description = 'x'", "INVALID_FIELD"),
            ("SELECT Id FROM Opportunity WHERE Id = 'x'", "INVALID_QUERY_FILTER_OPERATOR"),
            ("SELECT Id FROM Opportunity WHERE", "MALFORMED_QUERY"),
            ("SELECT Id, id FROM Opportunity", "MALFORMED_QUERY"),
        ],
    )
    async def test_what_is_wrong_with_a_query_is_told(self, api: httpx.AsyncClient, text: str, code: str) -> None:
        reply = await api.get("/query", params={"q": text})
        assert (reply.status_code, reply.json()[0]["errorCode"]) == (400, code)

    async def test_an_unknown_column_is_named(self, api: httpx.AsyncClient) -> None:
        reply = await api.get("/query", params={"q": "SELECT Nothing__c FROM Opportunity"})
        assert reply.json()[0]["message"] == "No such column 'Nothing__c' on sobject of type Opportunity"


class TestShape:
    async def test_parents_are_nested(self, api: httpx.AsyncClient, new_opportunity: New) -> None:
        account = (await api.post("/sobjects/Account", json={"Name": "Parent"})).json()["id"]
        record_id = await new_opportunity(AccountId=account)
        text = "SELECT Id, Account.Name, account.owner.Name, Owner.Name FROM Opportunity WHERE Id = "
        (row,) = await rows(api, f"{text}'{record_id[:15]}'")
        assert row["Account"]["Name"] == "Parent"
        assert row["Account"]["attributes"]["type"] == "Account"
        assert row["Account"]["Owner"]["Name"] == row["Owner"]["Name"] == "Stagecraft Integration"
        orphan = await new_opportunity()
        (row,) = await rows(api, f"{text}'{orphan}'")
        assert row["Account"] is None

    async def test_counting(self, api: httpx.AsyncClient, tagged: str) -> None:
        text = f"SELECT COUNT() FROM Opportunity WHERE NextStep = '{tagged}'"
        assert (await api.get("/query", params={"q": text})).json() == {
            "totalSize": 4,
            "done": True,
            "records": [],
        }

    @pytest.mark.parametrize("space", ["+", "%20"])
    async def test_spaces_and_a_trailing_slash(self, api: httpx.AsyncClient, space: str) -> None:
        text = quote("SELECT Id FROM OpportunityStage", safe="").replace("%20", space)
        reply = await api.get(f"/query/?q={text}")
        assert reply.json()["totalSize"] >= 6

    async def test_pages_cover_everything_once(self, own_org: RunningOrg, own_api: httpx.AsyncClient) -> None:
        opportunities = [{"Name": f"n{i}", "StageName": "Demo", "CloseDate": "2026-12-01"} for i in range(650)]
        own_org.sim("load", {"opportunities": opportunities})
        headers = {"Sforce-Query-Options": "batchSize=250"}
        reply = await own_api.get("/query", params={"q": "SELECT Name FROM Opportunity"}, headers=headers)
        page, seen, sizes = reply.json(), [], []
        while True:
            seen += [row["Name"] for row in page["records"]]
            sizes.append(len(page["records"]))
            assert page["totalSize"] == 650
            if page["done"]:
                break
            url = own_org.url + page["nextRecordsUrl"]
            page = (await own_api.get(url, headers=headers)).json()
        assert sizes == [250, 250, 150]
        assert sorted(seen) == sorted(o["Name"] for o in opportunities)

    async def test_a_locator_expires(self, own_org: RunningOrg, own_api: httpx.AsyncClient) -> None:
        opportunities = [{"Name": f"n{i}", "StageName": "Demo", "CloseDate": "2026-12-01"} for i in range(201)]
        own_org.sim("load", {"opportunities": opportunities})
        headers = {"Sforce-Query-Options": "batchSize=200"}
        page = (await own_api.get("/query", params={"q": "SELECT Id FROM Opportunity"}, headers=headers)).json()
        own_org.sim("clock", {"seconds": 1000})
        reply = await own_api.get(own_org.url + page["nextRecordsUrl"])
        assert reply.json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"


class TestDeletedAndDeltas:
    async def test_query_all_and_the_deltas_see_deleted_rows(
        self, api: httpx.AsyncClient, new_opportunity: New
    ) -> None:
        kept, gone = await new_opportunity(), await new_opportunity()
        await api.delete(f"/sobjects/Opportunity/{gone}")
        text = f"SELECT Id, IsDeleted FROM Opportunity WHERE Id IN ('{kept}', '{gone}') ORDER BY Id"
        assert [r["Id"] for r in await rows(api, text)] == [kept]
        found = await rows(api, text, "queryAll")
        assert [(r["Id"], r["IsDeleted"]) for r in found] == [(kept, False), (gone, True)]
        window = {"start": "2020-01-01T00:00:00+00:00", "end": "2099-01-01T00:00:00Z"}
        deleted = (await api.get("/sobjects/Opportunity/deleted/", params=window)).json()
        assert gone in {r["id"] for r in deleted["deletedRecords"]}
        assert kept not in {r["id"] for r in deleted["deletedRecords"]}
        updated = (await api.get("/sobjects/Opportunity/updated", params=window)).json()
        assert kept in updated["ids"]
        assert gone not in updated["ids"]


class TestDescribe:
    async def test_the_package_is_described(self, api: httpx.AsyncClient) -> None:
        answer = (await api.get("/sobjects/stagecraft_answer__c/describe")).json()
        fields = {f["name"]: f for f in answer["fields"]}
        assert fields["External_Id__c"]["externalId"] is True
        assert fields["External_Id__c"]["unique"] is True
        assert fields["External_Id__c"]["nillable"] is False
        parent = fields["Assessment__c"]
        assert (parent["referenceTo"], parent["relationshipName"], parent["cascadeDelete"]) == (
            ["Stagecraft_Assessment__c"],
            "Assessment__r",
            True,
        )
        assert fields["Value_Number__c"]["type"] == "double"

    async def test_stages_are_picklist_values_and_rows(self, api: httpx.AsyncClient) -> None:
        described = (await api.get("/sobjects/Opportunity/describe")).json()
        stage = next(f for f in described["fields"] if f["name"] == "StageName")
        assert stage["restrictedPicklist"] is False
        found = await rows(
            api,
            "SELECT ApiName,MasterLabel,SortOrder,IsActive,IsClosed,IsWon,DefaultProbability,"
            "ForecastCategory,ForecastCategoryName FROM OpportunityStage ORDER BY SortOrder",
        )
        assert [r["ApiName"] for r in found] == [v["value"] for v in stage["picklistValues"]]
        assert [(r["DefaultProbability"], r["IsClosed"], r["IsWon"]) for r in found] == [
            (10, False, False),
            (25, False, False),
            (50, False, False),
            (75, False, False),
            (100, True, True),
            (0, True, False),
        ]

    async def test_an_unchanged_description_is_304(self, api: httpx.AsyncClient) -> None:
        first = await api.get("/sobjects/Opportunity/describe")
        since = {"If-Modified-Since": first.headers["last-modified"]}
        assert (await api.get("/sobjects/Opportunity/describe", headers=since)).status_code == 304


class TestLimits:
    async def test_every_reply_tells_the_usage(self, api: httpx.AsyncClient) -> None:
        def used(reply: httpx.Response) -> int:
            return int(reply.headers["sforce-limit-info"].split("=")[1].split("/")[0])

        first = await api.get("/sobjects/Nothing/x")
        second = await api.post("/composite", json={"compositeRequest": [
            {"method": "GET", "url": "/services/data/v67.0/query?q=SELECT+Id+FROM+Account", "referenceId": f"r{i}"}
            for i in range(3)
        ]})  # fmt: skip
        assert used(second) == used(first) + 1

    async def test_a_used_up_allocation_refuses_all_but_limits(
        self, own_org: RunningOrg, own_api: httpx.AsyncClient
    ) -> None:
        wanted = {"DailyApiRequests": {"Max": 15000, "Remaining": 1}}
        own_org.sim("limits", wanted)
        assert (await own_api.get("/sobjects")).status_code == 200
        refused = await own_api.get("/sobjects")
        assert refused.status_code == 403
        assert refused.json() == [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]
        assert refused.headers["sforce-limit-info"] == "api-usage=15000/15000"
        limits = (await own_api.get("/limits")).json()
        assert limits["DailyApiRequests"] == {"Max": 15000, "Remaining": 0}
