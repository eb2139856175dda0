"""Composite Graph, Composite and sObject Collections."""

from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest

New = Callable[..., Coroutine[Any, Any, str]]
Key = Callable[[], str]

BASE = "/services/data/v67.0"
SOBJECTS = f"{BASE}/sobjects"


def node(method: str, path: str, reference: str, body: Any = None) -> dict[str, Any]:
    return {"method": method, "url": f"{SOBJECTS}/{path}", "referenceId": reference, "body": body}


def assessment_graph(opportunity: str, key: str, **stage: Any) -> dict[str, Any]:
    """A whole assessment as the connector writes it."""
    return {
        "graphId": key,
        "compositeRequest": [
            node("PATCH", f"Opportunity/{opportunity}", "opp", stage or {"Stagecraft_Score__c": 82}),
            node(
                "PATCH",
                f"Stagecraft_Assessment__c/External_Id__c/{key}",
                "a",
                {"Opportunity__c": opportunity, "Score__c": 82},
            ),
            node(
                "PATCH",
                f"Stagecraft_Answer__c/External_Id__c/{key}:q1",
                "q1",
                {"Assessment__r": {"External_Id__c": key}, "Question_Key__c": "budget"},
            ),
        ],
    }


async def run(api: httpx.AsyncClient, *graphs: dict[str, Any]) -> list[dict[str, Any]]:
    reply = await api.post("/composite/graph", json={"graphs": list(graphs)})
    assert reply.status_code == 200, reply.text
    return reply.json()["graphs"]


def statuses(graph: dict[str, Any]) -> list[tuple[str, int]]:
    replies = graph["graphResponse"]["compositeResponse"]
    return [(r["referenceId"], r["httpStatusCode"]) for r in replies]


class TestGraph:
    async def test_a_whole_assessment_is_one_call_and_may_be_sent_twice(
        self, api: httpx.AsyncClient, new_opportunity: New, unique: Key
    ) -> None:
        opportunity, key = await new_opportunity(), unique()
        (made,) = await run(api, assessment_graph(opportunity, key))
        assert (made["graphId"], made["isSuccessful"]) == (key, True)
        assert statuses(made) == [("opp", 204), ("a", 201), ("q1", 201)]
        first = made["graphResponse"]["compositeResponse"]
        assert first[0]["body"] is None
        assert first[1]["body"]["created"] is True
        assert first[1]["httpHeaders"]["Location"].startswith(f"{SOBJECTS}/Stagecraft_Assessment__c/a0X")
        (again,) = await run(api, assessment_graph(opportunity, key))
        assert statuses(again) == [("opp", 204), ("a", 200), ("q1", 200)]

    async def test_a_graph_is_all_or_nothing_and_its_neighbour_is_untouched(
        self, api: httpx.AsyncClient, new_opportunity: New, unique: Key
    ) -> None:
        one, other, lost, kept = await new_opportunity(), await new_opportunity(), unique(), unique()
        conflicting = {
            "StageName": "Demo",
            "Stagecraft_Expected_Stage__c": "Negotiation",
            "Stagecraft_Write_Id__c": lost,
        }
        graph = assessment_graph(one, lost, **conflicting)
        # The stage comes last: what was written before it must go, too.
        graph["compositeRequest"].append(graph["compositeRequest"].pop(0))
        bad, good = await run(api, graph, assessment_graph(other, kept))
        assert (bad["isSuccessful"], good["isSuccessful"]) == (False, True)
        replies = bad["graphResponse"]["compositeResponse"]
        assert [r["body"][0]["errorCode"] for r in replies] == [
            "PROCESSING_HALTED",
            "PROCESSING_HALTED",
            "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        ]
        assert replies[2]["body"][0]["message"] == "STAGECRAFT_STAGE_CONFLICT"
        base = "/sobjects/Stagecraft_Assessment__c/External_Id__c"
        assert (await api.get(f"{base}/{lost}")).status_code == 404
        assert (await api.get(f"{base}/{kept}")).status_code == 200

    async def test_nodes_may_refer_to_earlier_ones(self, api: httpx.AsyncClient, unique: Key) -> None:
        key = unique()
        graph = {
            "graphId": "g",
            "compositeRequest": [
                node("POST", "Account", "acc", {"Name": "Referred"}),
                node(
                    "POST",
                    "Opportunity",
                    "opp",
                    {
                        "Name": "n",
                        "StageName": "Demo",
                        "CloseDate": "2026-12-01",
                        "AccountId": "@{acc.id}",
                    },
                ),
                node("PATCH", f"Stagecraft_Assessment__c/External_Id__c/{key}", "a", {"Opportunity__c": "@{opp.id}"}),
                node("PATCH", "Opportunity/@{opp.id}", "again", {"NextStep": "for @{acc.id}"}),
            ],
        }  # fmt: skip
        (done,) = await run(api, graph)
        assert done["isSuccessful"] is True, done
        replies = done["graphResponse"]["compositeResponse"]
        row = (await api.get(f"/sobjects/Opportunity/{replies[1]['body']['id']}")).json()
        assert row["AccountId"] == replies[0]["body"]["id"]
        assert row["NextStep"] == f"for {row['AccountId']}"

    @pytest.mark.parametrize(
        "nodes",
        [
            [node("POST", "Account", f"n{i}", {"Name": "x"}) for i in range(501)],
            [
                node("POST", "Account", f"n{i}", {"Name": "x", "Description": f"@{{n{i - 1}.id}}" if i else ""})
                for i in range(16)
            ],
            [node("POST", "Account", "bad.name", {"Name": "x"})],
            [node("POST", "Account", "same", {"Name": "x"})] * 2,
            [node("POST", "Account", "a", {"Name": "@{later.id}"})],
            [{"method": "GET", "url": f"{BASE}/limits", "referenceId": "a"}],
        ],
        ids=["nodes", "depth", "reference", "duplicate", "unknown", "url"],
    )
    async def test_a_graph_beyond_the_rules_does_nothing(
        self, api: httpx.AsyncClient, nodes: list[dict[str, Any]]
    ) -> None:
        count = {"q": "SELECT COUNT() FROM Account"}
        before = (await api.get("/query", params=count)).json()["totalSize"]
        (done,) = await run(api, {"graphId": "g", "compositeRequest": nodes})
        assert done["isSuccessful"] is False
        assert (await api.get("/query", params=count)).json()["totalSize"] == before

    async def test_fifteen_levels_and_five_hundred_nodes_are_allowed(self, api: httpx.AsyncClient) -> None:
        deep = [
            node("POST", "Account", f"n{i}", {"Name": "x", "Description": f"@{{n{i - 1}.id}}" if i else ""})
            for i in range(15)
        ]
        wide = [node("POST", "Account", f"n{i}", {"Name": "x"}) for i in range(500)]
        done = await run(
            api,
            {"graphId": "deep", "compositeRequest": deep},
            {"graphId": "wide", "compositeRequest": wide},
        )
        assert [g["isSuccessful"] for g in done] == [True, True]

    async def test_it_stops_after_fourteen_failed_graphs(self, api: httpx.AsyncClient) -> None:
        bad = [{"graphId": f"b{i}", "compositeRequest": [node("POST", "Account", "a", {})]} for i in range(14)]
        good = {"graphId": "good", "compositeRequest": [node("POST", "Account", "a", {"Name": "x"})]}
        done = await run(api, *bad[:13], good, bad[13], good)
        assert [g["isSuccessful"] for g in done] == [False] * 13 + [True, False, False]
        last = done[-1]["graphResponse"]["compositeResponse"][0]
        assert last["body"][0]["errorCode"] == "PROCESSING_HALTED"

    async def test_at_most_75_graphs(self, api: httpx.AsyncClient) -> None:
        graph = {"graphId": "g", "compositeRequest": [node("POST", "Account", "a", {"Name": "x"})]}
        reply = await api.post("/composite/graph", json={"graphs": [graph] * 76})
        assert reply.status_code == 400


class TestComposite:
    async def test_all_or_none_takes_everything_back(self, api: httpx.AsyncClient, new_opportunity: New) -> None:
        record_id = await new_opportunity()
        nodes = [
            node("PATCH", f"Opportunity/{record_id}", "a", {"NextStep": "probe"}),
            node("PATCH", f"Opportunity/{record_id}", "b", {"Nonsense": 1}),
        ]
        reply = await api.post("/composite", json={"allOrNone": True, "compositeRequest": nodes})
        codes = [r["body"][0]["errorCode"] for r in reply.json()["compositeResponse"]]
        assert codes == ["PROCESSING_HALTED", "INVALID_FIELD"]
        assert (await api.get(f"/sobjects/Opportunity/{record_id}")).json()["NextStep"] is None
        reply = await api.post("/composite", json={"allOrNone": False, "compositeRequest": nodes})
        assert [r["httpStatusCode"] for r in reply.json()["compositeResponse"]] == [204, 400]
        assert (await api.get(f"/sobjects/Opportunity/{record_id}")).json()["NextStep"] == "probe"

    async def test_a_query_feeds_what_follows_and_dependents_of_a_failure_halt(
        self, api: httpx.AsyncClient, new_opportunity: New
    ) -> None:
        record_id = await new_opportunity()
        query = f"{BASE}/query?q=SELECT+Id+FROM+Opportunity+WHERE+Id='{record_id}'"
        nodes = [
            {"method": "GET", "url": query, "referenceId": "found"},
            node("PATCH", "Opportunity/@{found.records[0].Id}", "set", {"NextStep": "found"}),
            node("POST", "Account", "broken", {}),
            node("POST", "Opportunity", "halted", {"AccountId": "@{broken.id}"}),
        ]
        reply = await api.post("/composite", json={"compositeRequest": nodes})
        replies = reply.json()["compositeResponse"]
        assert [r["httpStatusCode"] for r in replies] == [200, 204, 400, 400]
        assert replies[3]["body"][0]["errorCode"] == "PROCESSING_HALTED"
        assert (await api.get(f"/sobjects/Opportunity/{record_id}")).json()["NextStep"] == "found"

    async def test_its_limits(self, api: httpx.AsyncClient) -> None:
        many = [node("POST", "Account", f"n{i}", {"Name": "x"}) for i in range(26)]
        assert (await api.post("/composite", json={"compositeRequest": many})).status_code == 400


def account(name: str | None) -> dict[str, Any]:
    return {"attributes": {"type": "Account"}, "Name": name}


class TestCollections:
    async def test_results_come_in_order_and_errors_have_a_status_code(self, api: httpx.AsyncClient) -> None:
        records = [account("one"), account(None), account("three")]
        reply = await api.post("/composite/sobjects", json={"allOrNone": False, "records": records})
        assert reply.status_code == 200
        one, bad, three = reply.json()
        assert bad == {
            "success": False,
            "errors": [
                {
                    "statusCode": "REQUIRED_FIELD_MISSING",
                    "message": "Required fields are missing: [Name]",
                    "fields": ["Name"],
                }
            ],
        }
        ids = [one["id"], three["id"]]
        rows = await api.get("/composite/sobjects/Account", params={"ids": ",".join([*ids, "x"]), "fields": "Name"})
        assert [r and r["Name"] for r in rows.json()] == ["one", "three", None]

    async def test_all_or_none_names_the_innocent(self, api: httpx.AsyncClient) -> None:
        count = {"q": "SELECT COUNT() FROM Account"}
        before = (await api.get("/query", params=count)).json()
        body = {"allOrNone": True, "records": [account("one"), account(None)]}
        results = (await api.post("/composite/sobjects", json=body)).json()
        codes = [r["errors"][0]["statusCode"] for r in results]
        assert codes == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUIRED_FIELD_MISSING"]
        assert (await api.get("/query", params=count)).json() == before

    async def test_update_upsert_and_delete(self, api: httpx.AsyncClient, new_opportunity: New, unique: Key) -> None:
        record_id, key = await new_opportunity(), unique()
        update = {"records": [{"attributes": {"type": "Opportunity"}, "id": record_id, "Amount": 9}]}
        (done,) = (await api.patch("/composite/sobjects", json=update)).json()
        assert done == {"id": record_id, "success": True, "errors": []}
        kind = {"attributes": {"type": "Stagecraft_Assessment__c"}}
        upsert = {"records": [{**kind, "External_Id__c": key, "Opportunity__c": record_id}] * 2}
        path = "/composite/sobjects/Stagecraft_Assessment__c/External_Id__c"
        assert [r["created"] for r in (await api.patch(path, json=upsert)).json()] == [True, False]
        params = {"ids": f"{record_id},nonsense", "allOrNone": "false"}
        results = (await api.delete("/composite/sobjects", params=params)).json()
        assert [r["success"] for r in results] == [True, False]

    async def test_at_most_200_records_and_ten_chunks(self, api: httpx.AsyncClient, new_opportunity: New) -> None:
        reply = await api.post("/composite/sobjects", json={"records": [account("x")] * 201})
        assert (reply.status_code, reply.json()[0]["errorCode"]) == (400, "EXCEEDED_ID_LIMIT")
        other = {"attributes": {"type": "User"}}
        mixed = [account("x"), other] * 6
        assert (await api.post("/composite/sobjects", json={"records": mixed})).status_code == 400
