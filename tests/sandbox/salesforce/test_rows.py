"""sObject rows: statuses, error shapes, names, ids, keys, conditions, and what a stage change moves."""

from collections.abc import Callable, Coroutine
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from sandbox.salesforce.clock import parse_time

New = Callable[..., Coroutine[Any, Any, str]]
Key = Callable[[], str]

CONFLICT = [{"message": "STAGECRAFT_STAGE_CONFLICT", "errorCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "fields": []}]


async def read(api: httpx.AsyncClient, record_id: str, name: str = "Opportunity") -> dict[str, Any]:
    reply = await api.get(f"/sobjects/{name}/{record_id}")
    assert reply.status_code == 200, reply.text
    return reply.json()


def code(reply: httpx.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()[0]["errorCode"]


class TestRows:
    async def test_create_read_update_delete(self, api: httpx.AsyncClient) -> None:
        body = {"Name": "Acme", "Industry": "Banking", "NumberOfEmployees": 12}
        made = await api.post("/sobjects/Account", json=body)
        assert made.status_code == 201
        record_id = made.json()["id"]
        assert made.json() == {"id": record_id, "success": True, "errors": []}
        assert made.headers["location"] == f"/services/data/v67.0/sobjects/Account/{record_id}"
        assert len(record_id) == 18
        assert record_id.startswith("001")
        changed = await api.patch(f"/sobjects/Account/{record_id}", json={"Industry": None})
        assert (changed.status_code, changed.content) == (204, b"")
        row = await read(api, record_id, "Account")
        assert row["attributes"] == {
            "type": "Account",
            "url": f"/services/data/v67.0/sobjects/Account/{record_id}",
        }
        assert (row["Name"], row["Industry"], row["NumberOfEmployees"]) == ("Acme", None, 12)
        assert row["CreatedDate"].endswith(".000+0000")
        assert (await api.delete(f"/sobjects/Account/{record_id}")).status_code == 204
        assert code(await api.get(f"/sobjects/Account/{record_id}")) == (404, "NOT_FOUND")
        again = await api.patch(f"/sobjects/Account/{record_id}", json={"Industry": "x"})
        assert code(again) == (404, "ENTITY_IS_DELETED")

    async def test_a_missing_id_differs_between_read_and_write(self, api: httpx.AsyncClient) -> None:
        path = "/sobjects/Opportunity/006000000000001AAA"
        assert code(await api.get(path)) == (404, "NOT_FOUND")
        assert code(await api.patch(path, json={"Amount": 1})) == (404, "INVALID_CROSS_REFERENCE_KEY")

    async def test_names_are_case_insensitive_and_ids_may_have_15_characters(
        self, api: httpx.AsyncClient, new_opportunity: New
    ) -> None:
        record_id = await new_opportunity()
        reply = await api.patch(f"/sobjects/OPPORTUNITY/{record_id[:15]}", json={"nextSTEP": "call"})
        assert reply.status_code == 204
        reply = await api.get(f"/sobjects/opportunity/{record_id[:15]}/", params={"fields": "nextstep,NAME"})
        assert reply.json()["Id"] == record_id
        assert reply.json()["NextStep"] == "call"
        assert "StageName" not in reply.json()

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            ({"Nonsense": 1}, "INVALID_FIELD"),
            ({"IsWon": True}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
            ({"CreatedDate": "2020-01-01T00:00:00Z"}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
            ({"NextStep": "x" * 256}, "STRING_TOO_LONG"),
            ({"StageName": None}, "REQUIRED_FIELD_MISSING"),
            ({"AccountId": "006000000000001AAA"}, "MALFORMED_ID"),
            ({"AccountId": "001000000000001AAA"}, "INVALID_CROSS_REFERENCE_KEY"),
            ({"Amount": "many"}, "JSON_PARSER_ERROR"),
            ({"CloseDate": "soon"}, "JSON_PARSER_ERROR"),
        ],
    )
    async def test_a_bad_value_is_refused_and_changes_nothing(
        self, api: httpx.AsyncClient, new_opportunity: New, body: dict[str, Any], expected: str
    ) -> None:
        record_id = await new_opportunity()
        before = await read(api, record_id)
        reply = await api.patch(f"/sobjects/Opportunity/{record_id}", json={"Description": "y"} | body)
        assert code(reply) == (400, expected)
        assert await read(api, record_id) == before

    async def test_missing_fields_and_picklist_values(self, api: httpx.AsyncClient) -> None:
        reply = await api.post("/sobjects/Opportunity", json={"Name": "x"})
        assert reply.json() == [
            {
                "message": "Required fields are missing: [StageName, CloseDate]",
                "errorCode": "REQUIRED_FIELD_MISSING",
                "fields": ["StageName", "CloseDate"],
            }
        ]
        reply = await api.post("/sobjects/Account", json={"Name": "x", "Rating": "Lukewarm"})
        assert code(reply) == (400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST")

    @pytest.mark.parametrize("path", ["/sobjects/Nothing/1", "/nonsense", "/sobjects/Nothing/describe"])
    async def test_an_unknown_resource_is_not_found(self, api: httpx.AsyncClient, path: str) -> None:
        assert code(await api.get(path)) == (404, "NOT_FOUND")

    async def test_an_unknown_version_is_not_found(self, api: httpx.AsyncClient) -> None:
        assert code(await api.get(str(api.base_url.join("/services/data/v99.0/limits")))) == (
            404,
            "NOT_FOUND",
        )

    async def test_a_broken_body_is_a_parser_error(self, api: httpx.AsyncClient) -> None:
        assert code(await api.post("/sobjects/Account", content=b"{")) == (400, "JSON_PARSER_ERROR")


class TestExternalIds:
    async def test_upsert_creates_then_updates(self, api: httpx.AsyncClient, new_opportunity: New, unique: Key) -> None:
        opportunity, key = await new_opportunity(), unique()
        path = f"/sobjects/Stagecraft_Assessment__c/external_id__c/{key}"
        made = await api.patch(path, json={"Opportunity__c": opportunity, "Score__c": 82})
        assert made.status_code == 201
        assert made.json()["created"] is True
        again = await api.patch(path, json={"Opportunity__c": opportunity, "Score__c": 83})
        assert again.status_code == 200
        assert again.json() == {**made.json(), "created": False}
        row = (await api.get(path)).json()
        assert row["Score__c"] == 83.0
        assert row["Name"].startswith("SA-")
        assert row["Id"].startswith("a0X")

    async def test_keys_keep_their_case_and_may_hold_colons(
        self, api: httpx.AsyncClient, new_opportunity: New, unique: Key
    ) -> None:
        opportunity, key = await new_opportunity(), unique()
        base = "/sobjects/Stagecraft_Assessment__c/External_Id__c"
        for name in (f"{key}:a", f"{key}:A"):
            reply = await api.patch(f"{base}/{name}", json={"Opportunity__c": opportunity})
            assert reply.status_code == 201

    async def test_the_parent_may_be_named_by_its_key(
        self, api: httpx.AsyncClient, new_opportunity: New, unique: Key
    ) -> None:
        opportunity, key = await new_opportunity(), unique()
        parent = await api.post(
            "/sobjects/Stagecraft_Assessment__c",
            json={"Opportunity__c": opportunity, "External_Id__c": key},
        )
        path = f"/sobjects/Stagecraft_Answer__c/External_Id__c/{key}:q1"
        reply = await api.patch(path, json={"Assessment__r": {"External_Id__c": key}, "Value_Number__c": 5})
        assert reply.status_code == 201
        assert (await api.get(path)).json()["Assessment__c"] == parent.json()["id"]
        reply = await api.patch(f"{path}x", json={"Assessment__r": {"External_Id__c": "nowhere"}})
        assert code(reply) == (400, "INVALID_FIELD")

    async def test_a_master_cannot_be_changed_or_omitted(
        self, api: httpx.AsyncClient, new_opportunity: New, unique: Key
    ) -> None:
        path = f"/sobjects/Stagecraft_Assessment__c/External_Id__c/{unique()}"
        assert code(await api.patch(path, json={"Score__c": 1})) == (400, "REQUIRED_FIELD_MISSING")
        await api.patch(path, json={"Opportunity__c": await new_opportunity()})
        reply = await api.patch(path, json={"Opportunity__c": await new_opportunity()})
        assert code(reply) == (400, "INVALID_FIELD_FOR_INSERT_UPDATE")

    async def test_a_key_is_unique(self, api: httpx.AsyncClient, new_opportunity: New, unique: Key) -> None:
        body = {"Opportunity__c": await new_opportunity(), "External_Id__c": unique()}
        first = await api.post("/sobjects/Stagecraft_Assessment__c", json=body)
        again = await api.post("/sobjects/Stagecraft_Assessment__c", json=body)
        assert code(again) == (400, "DUPLICATE_VALUE")
        assert first.json()["id"] in again.json()[0]["message"]

    async def test_a_field_that_is_no_key_and_update_only(
        self, api: httpx.AsyncClient, new_opportunity: New, unique: Key
    ) -> None:
        reply = await api.patch("/sobjects/Opportunity/Name/x", json={"Amount": 1})
        assert code(reply) == (404, "NOT_FOUND")
        assert reply.json()[0]["message"] == ("Provided external ID field does not exist or is not accessible: Name")
        path = f"/sobjects/Stagecraft_Assessment__c/External_Id__c/{unique()}?updateOnly=true"
        reply = await api.patch(path, json={"Opportunity__c": await new_opportunity()})
        assert code(reply) == (404, "NOT_FOUND")

    async def test_details_go_with_their_master(
        self, api: httpx.AsyncClient, new_opportunity: New, unique: Key
    ) -> None:
        opportunity, key = await new_opportunity(), unique()
        assessment = f"/sobjects/Stagecraft_Assessment__c/External_Id__c/{key}"
        answer = f"/sobjects/Stagecraft_Answer__c/External_Id__c/{key}:q"
        await api.patch(assessment, json={"Opportunity__c": opportunity})
        await api.patch(answer, json={"Assessment__r": {"External_Id__c": key}})
        assert (await api.delete(f"/sobjects/Opportunity/{opportunity}")).status_code == 204
        for path in (assessment, answer):
            assert (await api.get(path)).status_code == 404
        # The key is free again.
        reply = await api.patch(assessment, json={"Opportunity__c": await new_opportunity()})
        assert reply.status_code == 201


class TestConditions:
    async def test_if_unmodified_since_has_a_granularity_of_seconds(
        self, api: httpx.AsyncClient, new_opportunity: New
    ) -> None:
        record_id = await new_opportunity()
        path = f"/sobjects/Opportunity/{record_id}"
        stamp = parse_time((await read(api, record_id))["LastModifiedDate"])
        seen = {"If-Unmodified-Since": format_datetime(stamp, usegmt=True)}
        old = {"If-Unmodified-Since": "Sun, 22 Nov 2020 19:00:05 GMT"}
        assert (await api.patch(path, json={"Amount": 1}, headers=old)).status_code == 412
        assert (await api.patch(path, json={"Amount": 2}, headers=seen)).status_code == 204
        bad = await api.patch(path, json={"Amount": 3}, headers={"If-Unmodified-Since": "yesterday"})
        assert bad.status_code == 400
        assert (await read(api, record_id))["Amount"] == 2.0

    async def test_the_stage_rule_compares_and_sets(
        self, api: httpx.AsyncClient, new_opportunity: New, unique: Key
    ) -> None:
        record_id = await new_opportunity(StageName="Discovery")
        path = f"/sobjects/Opportunity/{record_id}"

        def move(to: str, expected: str, write_id: str) -> Coroutine[Any, Any, httpx.Response]:
            body = {"StageName": to, "Stagecraft_Expected_Stage__c": expected}
            return api.patch(path, json=body | {"Stagecraft_Write_Id__c": write_id})

        assert (await move("Demo", "Discovery", first := unique())).status_code == 204
        lost = await move("Negotiation", "Discovery", unique())
        assert (lost.status_code, lost.json()) == (400, CONFLICT)
        assert (await read(api, record_id))["StageName"] == "Demo"
        # Without a new write id the rule does not fire: a person may move the stage freely.
        assert (await api.patch(path, json={"StageName": "Prospecting"})).status_code == 204
        assert (await read(api, record_id))["Stagecraft_Write_Id__c"] == first


class TestStageEffects:
    async def test_a_stage_moves_everything_that_hangs_on_it(
        self, api: httpx.AsyncClient, new_opportunity: New
    ) -> None:
        record_id = await new_opportunity(Amount=1000)
        row = await read(api, record_id)
        assert (row["Probability"], row["ExpectedRevenue"], row["LastStageChangeDate"]) == (10, 100.0, None)
        await api.patch(f"/sobjects/Opportunity/{record_id}", json={"StageName": "Closed Won"})
        row = await read(api, record_id)
        assert (row["IsClosed"], row["IsWon"], row["Probability"]) == (True, True, 100)
        assert (row["ForecastCategory"], row["ForecastCategoryName"]) == ("Closed", "Closed")
        assert row["ExpectedRevenue"] == 1000.0
        assert row["LastStageChangeDate"] == row["LastModifiedDate"]

    async def test_an_explicit_probability_wins_and_an_unknown_stage_moves_nothing(
        self, api: httpx.AsyncClient, new_opportunity: New
    ) -> None:
        record_id = await new_opportunity()
        path = f"/sobjects/Opportunity/{record_id}"
        await api.patch(path, json={"StageName": "Demo", "Probability": 33})
        assert (await read(api, record_id))["Probability"] == 33
        assert (await api.patch(path, json={"StageName": "Invented"})).status_code == 204
        row = await read(api, record_id)
        assert (row["StageName"], row["Probability"], row["IsClosed"]) == ("Invented", 33, False)

    async def test_history_keeps_the_values_of_each_change(self, api: httpx.AsyncClient, new_opportunity: New) -> None:
        record_id = await new_opportunity(Amount=5)
        for body in ({"StageName": "Demo"}, {"NextStep": "silent"}, {"Amount": 7}):
            await api.patch(f"/sobjects/Opportunity/{record_id}", json=body)
        query = (
            "SELECT StageName, Amount, Probability, PrevAmount FROM OpportunityHistory "
            f"WHERE OpportunityId = '{record_id}' ORDER BY Id"
        )
        rows = (await api.get("/query", params={"q": query})).json()["records"]
        assert [(r["StageName"], r["Amount"], r["Probability"], r["PrevAmount"]) for r in rows] == [
            ("Prospecting", 5.0, 10, None),
            ("Demo", 5.0, 50, 5.0),
            ("Demo", 7.0, 50, 5.0),
        ]
