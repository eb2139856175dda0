"""Bulk load, a person's edits, the dump, and the pages."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
from sandbox.salesforce.ids import make_id
from sandbox.salesforce.testing import RunningOrg

New = Callable[..., Coroutine[Any, Any, str]]
Key = Callable[[], str]

STAGES = [
    {"ApiName": "Lead", "DefaultProbability": 5},
    {"ApiName": "Proof", "DefaultProbability": 40, "ForecastCategoryName": "Best Case"},
    {"ApiName": "Won", "DefaultProbability": 100, "IsClosed": True, "IsWon": True},
]


async def sim(org: RunningOrg, path: str, body: Any = None, method: str = "POST") -> Any:
    return await asyncio.to_thread(org.sim, path, body, method=method)


class TestLoad:
    async def test_a_team_s_year_is_loaded_with_its_own_ids_and_stamps(
        self, own_org: RunningOrg, own_api: httpx.AsyncClient
    ) -> None:
        owner, account, record_id = (make_id(p, 70_000) for p in ("005", "001", "006"))
        rows = {
            "stages": STAGES,
            "users": [{"Id": owner, "Username": "r@x", "FirstName": "Rita", "LastName": "Rep", "Email": "r@x"}],
            "accounts": [{"Id": account, "Name": "Globex"}],
            "opportunities": [
                {
                    "Id": record_id,
                    "Name": "Big opportunity",
                    "StageName": "Proof",
                    "CloseDate": "2026-03-01",
                    "Amount": 200,
                    "AccountId": account,
                    "OwnerId": owner,
                    "CreatedDate": "2026-01-02T03:04:05Z",
                    "LastStageChangeDate": "2026-02-02T03:04:05Z",
                },
                {"Name": "Small opportunity", "StageName": "Lead", "CloseDate": "2026-03-01"},
            ],
            "history": [
                {"OpportunityId": record_id, "StageName": stage, "CreatedDate": f"2026-0{month}-02T00:00:00Z"}
                for month, stage in ((1, "Lead"), (2, "Proof"))
            ],
        }
        ids = await sim(own_org, "load", rows)
        assert ids["opportunities"][0] == record_id
        dump = await sim(own_org, "opportunities", method="GET")
        assert dump["totalSize"] == 2
        big = next(o for o in dump["opportunities"] if o["Id"] == record_id)
        assert (big["Probability"], big["ExpectedRevenue"], big["ForecastCategory"]) == (40, 80.0, "BestCase")
        assert big["CreatedDate"] == "2026-01-02T03:04:05.000+0000"
        assert big["LastStageChangeDate"] == "2026-02-02T03:04:05.000+0000"
        assert [h["StageName"] for h in big["history"]] == ["Lead", "Proof"]
        small = next(o for o in dump["opportunities"] if o["Id"] != record_id)
        assert len(small["history"]) == 1
        # A new record gets an id beyond the loaded ones.
        body = {"Name": "x", "StageName": "Lead", "CloseDate": "2026-12-01"}
        made = (await own_api.post("/sobjects/Opportunity", json=body)).json()["id"]
        assert made > record_id
        text = "SELECT ApiName FROM OpportunityStage ORDER BY SortOrder"
        found = (await own_api.get("/query", params={"q": text})).json()["records"]
        assert [r["ApiName"] for r in found] == ["Lead", "Proof", "Won"]
        await asyncio.to_thread(own_org.kill_and_restart)
        again = await sim(own_org, f"opportunities?id={record_id}", method="GET")
        assert again["opportunities"] == [big]

    async def test_one_bad_row_refuses_the_load(self, org: RunningOrg, api: httpx.AsyncClient) -> None:
        good = {"Name": "Only if all", "StageName": "Demo", "CloseDate": "2026-12-01"}
        rows = {"stages": STAGES, "opportunities": [{**good, "StageName": "Proof"}, {"Name": "x"}]}
        reply = await api.post(f"{org.url}/_sim/load", json=rows)
        assert reply.json()[0]["errorCode"] == "REQUIRED_FIELD_MISSING"
        text = "SELECT COUNT() FROM Opportunity WHERE Name = 'Only if all'"
        assert (await api.get("/query", params={"q": text})).json()["totalSize"] == 0
        text = "SELECT COUNT() FROM OpportunityStage WHERE ApiName IN ('Demo', 'Proof')"
        assert (await api.get("/query", params={"q": text})).json()["totalSize"] == 1


class TestEdit:
    async def test_a_person_is_named_and_rules_hold(
        self, org: RunningOrg, api: httpx.AsyncClient, new_opportunity: New
    ) -> None:
        record_id = await new_opportunity()
        edit = {"id": record_id, "fields": {"StageName": "Demo"}, "user": "admin@stagecraft.example"}
        row = await sim(org, "edit", edit)
        assert (row["StageName"], row["Probability"]) == ("Demo", 50)
        text = f"SELECT LastModifiedBy.Name FROM Opportunity WHERE Id = '{record_id}'"
        (found,) = (await api.get("/query", params={"q": text})).json()["records"]
        assert found["LastModifiedBy"]["Name"] == "Avery Admin"
        for broken in ({"fields": {"IsWon": True}}, {"user": "nobody"}, {"id": "006000000000001AAA"}):
            reply = await api.post(f"{org.url}/_sim/edit", json=edit | broken)
            assert reply.is_client_error


async def test_assessments_are_listed_in_the_order_they_came(own_org: RunningOrg, own_api: httpx.AsyncClient) -> None:
    opportunity = {"Name": "Opportunity", "StageName": "Prospecting", "CloseDate": "2026-12-01"}
    (record_id,) = (await sim(own_org, "load", {"opportunities": [opportunity]}))["opportunities"]
    for key in ("b", "a", "c", "a"):
        url = f"/sobjects/Stagecraft_Assessment__c/External_Id__c/{key}"
        assert (await own_api.patch(url, json={"Opportunity__c": record_id})).is_success
    assert await sim(own_org, "assessments", method="GET") == ["b", "a", "c"]
    assert await sim(own_org, "assessments?offset=2", method="GET") == ["c"]
    assert await sim(own_org, "assessments?offset=3", method="GET") == []


class TestPages:
    async def test_the_list_searches_filters_and_turns(
        self, org: RunningOrg, api: httpx.AsyncClient, new_opportunity: New, unique: Key
    ) -> None:
        tag = unique()
        for number in range(27):
            await new_opportunity(Name=f"<b>{tag}</b> {number}", StageName="Demo" if number else "Discovery")
        page = (await api.get(f"{org.url}/", params={"q": tag})).text
        assert "27 found" in page
        assert "Page 1 of 2" in page
        assert f"&lt;b&gt;{tag}&lt;/b&gt;" in page
        assert f"<b>{tag}</b>" not in page
        assert "http" not in page.replace("http-equiv", "")
        second = (await api.get(f"{org.url}/", params={"q": tag, "page": 2})).text
        assert second.count('href="/opportunity/') == 2
        discovered = (await api.get(f"{org.url}/", params={"q": tag, "stage": "Discovery"})).text
        assert "1 found" in discovered

    async def test_a_record_shows_assessments_answers_and_history(
        self, org: RunningOrg, api: httpx.AsyncClient, new_opportunity: New, unique: Key
    ) -> None:
        record_id, key = await new_opportunity(Amount=1234567), unique()
        await api.patch(
            f"/sobjects/Stagecraft_Assessment__c/External_Id__c/{key}",
            json={"Opportunity__c": record_id, "Score__c": 82.5, "Max_Score__c": 100, "Template_Key__c": "meddic"},
        )  # fmt: skip
        for question, value in (
            ("Who pays?", {"Value_Text__c": "The <CFO>"}),
            ("Budget?", {"Value_Number__c": 50000}),
        ):
            await api.post(
                "/sobjects/Stagecraft_Answer__c",
                json={
                    "Assessment__r": {"External_Id__c": key},
                    "External_Id__c": f"{key}:{question}",
                    "Question_Text__c": question,
                    **value,
                },
            )
        await api.patch(f"/sobjects/Opportunity/{record_id}", json={"StageName": "Negotiation"})
        page = (await api.get(f"{org.url}/opportunity/{record_id}")).text
        for text in ("1,234,567", "82.5 / 100", "meddic", "The &lt;CFO&gt;", "50,000", "Who pays?"):
            assert text in page
        assert page.count("Prospecting") >= 2
        assert "<span class=on>Negotiation</span>" in page
        assert (await api.get(f"{org.url}/opportunity/{record_id}x")).status_code == 404


class TestAdministration:
    async def test_a_purged_record_is_only_among_the_deleted(
        self, org: RunningOrg, api: httpx.AsyncClient, new_opportunity: New
    ) -> None:
        key = await new_opportunity()
        await sim(org, "purge", {"id": key})
        assert (await api.get(f"/sobjects/Opportunity/{key}")).status_code == 404
        found = (await api.get("/queryAll", params={"q": f"SELECT Id FROM Opportunity WHERE Id = '{key}'"})).json()
        assert found["records"] == []
        span = {"start": "2020-01-01T00:00:00Z", "end": "2099-01-01T00:00:00Z"}
        gone = (await api.get("/sobjects/Opportunity/deleted", params=span)).json()["deletedRecords"]
        assert key in {row["id"] for row in gone}

    async def test_a_hidden_field_is_not_there_and_a_read_only_one_not_to_be_set(
        self, own_org: RunningOrg, own_api: httpx.AsyncClient
    ) -> None:
        await sim(own_org, "permissions", {"hidden": ["Opportunity.Amount"], "read_only": ["Opportunity.NextStep"]})
        fields = {f["name"]: f for f in (await own_api.get("/sobjects/Opportunity/describe")).json()["fields"]}
        assert "Amount" not in fields
        assert not fields["NextStep"]["updateable"]
        reply = await own_api.get("/query", params={"q": "SELECT Amount FROM Opportunity"})
        assert reply.json()[0]["errorCode"] == "INVALID_FIELD"
        body = {"Name": "N", "StageName": "Demo", "CloseDate": "2026-12-01"}
        for name, code in (("Amount", "INVALID_FIELD"), ("NextStep", "INVALID_FIELD_FOR_INSERT_UPDATE")):
            refused = await own_api.post("/sobjects/Opportunity", json={**body, name: "1"})
            assert refused.json()[0]["errorCode"] == code

    async def test_the_packaged_rule_can_be_switched_off(self, own_org: RunningOrg, own_api: httpx.AsyncClient) -> None:
        body = {"Name": "N", "StageName": "Demo", "CloseDate": "2026-12-01"}
        key = (await own_api.post("/sobjects/Opportunity", json=body)).json()["id"]
        stale = {"Stagecraft_Write_Id__c": "w1", "Stagecraft_Expected_Stage__c": "Discovery", "StageName": "Closed Won"}
        assert (await own_api.patch(f"/sobjects/Opportunity/{key}", json=stale)).status_code == 400
        await sim(own_org, "rule", {"active": False})
        assert (await own_api.patch(f"/sobjects/Opportunity/{key}", json=stale)).status_code == 204


class TestFlows:
    async def moved(self, org: RunningOrg, record_id: str, stage: str) -> list[tuple[str, str]]:
        """What the org's history shows once a person has set the stage: each stage and who set it."""
        await sim(org, "edit", {"id": record_id, "fields": {"StageName": stage}, "user": "rita@x"})
        (found,) = (await sim(org, f"opportunities?id={record_id}", method="GET"))["opportunities"]
        return [(row["StageName"], row["CreatedById"]) for row in found["history"]]

    async def test_a_flow_sets_the_stage_after_or_before_it_is_saved(self, own_org: RunningOrg) -> None:
        rita = make_id("005", 70_001)
        rows = {
            "users": [{"Id": rita, "Username": "rita@x", "LastName": "Rep", "Email": "r@x"}],
            "opportunities": [{"Name": "One", "StageName": "Prospecting", "CloseDate": "2027-03-01"}],
        }
        (record_id,) = (await sim(own_org, "load", rows))["opportunities"]
        flow = {"on": "Demo", "sets": "Discovery"}
        await sim(own_org, "flows", [flow], "PUT")
        first, edited, flown = await self.moved(own_org, record_id, "Demo")
        assert (edited, flown[0]) == (("Demo", rita), "Discovery")
        assert flown[1] != rita
        await sim(own_org, "flows", [{**flow, "before_save": True, "sets": "Negotiation"}], "PUT")
        assert (await self.moved(own_org, record_id, "Demo"))[3:] == [("Negotiation", rita)]
        await sim(own_org, "flows", [], "PUT")
        assert (await self.moved(own_org, record_id, "Demo"))[4:] == [("Demo", rita)]
        assert first[0] == "Prospecting"
