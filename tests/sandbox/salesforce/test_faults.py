"""The fault console: each fault does what it says, as often as it says, and nothing else."""

from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest
from sandbox.salesforce.testing import REPLY_SECONDS, RunningOrg

New = Callable[..., Coroutine[Any, Any, str]]
Key = Callable[[], str]


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"code": "UNABLE_TO_LOCK_ROW"}, 400, "UNABLE_TO_LOCK_ROW"),
        ({"code": "INVALID_SESSION_ID"}, 401, "INVALID_SESSION_ID"),
        ({"code": "REQUEST_LIMIT_EXCEEDED"}, 403, "REQUEST_LIMIT_EXCEEDED"),
        ({"code": "SERVER_UNAVAILABLE"}, 503, "SERVER_UNAVAILABLE"),
        ({"status": 500}, 500, "UNKNOWN_EXCEPTION"),
        ({"code": "QUERY_TIMEOUT", "status": 420}, 420, "QUERY_TIMEOUT"),
    ],
)
async def test_a_fault_refuses_once_and_nothing_was_done(
    org: RunningOrg,
    api: httpx.AsyncClient,
    new_opportunity: New,
    fault: dict[str, Any],
    status: int,
    code: str,
) -> None:
    path = f"/sobjects/Opportunity/{await new_opportunity()}"
    org.sim("faults", fault)
    reply = await api.patch(path, json={"Amount": 1})
    assert (reply.status_code, reply.json()[0]["errorCode"]) == (status, code)
    assert "sforce-limit-info" in reply.headers
    assert (await api.get(path)).json()["Amount"] is None
    assert (await api.patch(path, json={"Amount": 1})).status_code == 204


async def test_counting_and_matching(org: RunningOrg, api: httpx.AsyncClient) -> None:
    org.sim("faults", {"status": 503, "match": "/limits$", "after_n": 2, "times": 2})
    for expected in (200, 200, 503, 503, 200):
        assert (await api.get("/sobjects")).status_code == 200
        assert (await api.get("/limits")).status_code == expected


async def test_a_fault_without_an_end_lasts_until_it_is_removed(org: RunningOrg, api: httpx.AsyncClient) -> None:
    org.sim("faults", {"status": 500, "times": None})
    assert [(await api.get("/limits")).status_code for _ in range(3)] == [500] * 3
    assert len(org.sim("faults", method="GET")) == 1
    org.sim("faults", method="DELETE")
    assert (await api.get("/limits")).status_code == 200


async def test_an_html_503_is_not_json(org: RunningOrg, api: httpx.AsyncClient) -> None:
    org.sim("faults", {"html_503": True})
    reply = await api.get("/limits")
    assert reply.status_code == 503
    assert reply.headers["content-type"].startswith("text/html")
    assert reply.text.startswith("<!DOCTYPE html>")


async def test_latency_only_slows_down(org: RunningOrg, api: httpx.AsyncClient) -> None:
    org.sim("faults", {"latency_ms": 60_000, "match": "limits"})
    with pytest.raises(httpx.ReadTimeout):
        await api.get("/limits", timeout=httpx.Timeout(REPLY_SECONDS, read=1))
    org.sim("faults", {"latency_ms": 10, "match": "limits"})
    assert (await api.get("/limits")).status_code == 200


async def test_a_lost_reply_was_committed(
    org: RunningOrg, api: httpx.AsyncClient, new_opportunity: New, unique: Key
) -> None:
    opportunity, key = await new_opportunity(), unique()
    path = f"/sobjects/Stagecraft_Assessment__c/External_Id__c/{key}"
    org.sim("faults", {"drop_after_commit": True, "match": key})
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        await api.patch(path, json={"Opportunity__c": opportunity})
    again = await api.patch(path, json={"Opportunity__c": opportunity})
    assert (again.status_code, again.json()["created"]) == (200, False)


async def test_a_token_may_be_refused_too(org: RunningOrg, api: httpx.AsyncClient) -> None:
    org.sim("faults", {"html_503": True, "match": "oauth2/token"})
    reply = await api.post(f"{org.url}/services/oauth2/token", data={"grant_type": "x"})
    assert reply.status_code == 503
    assert (await api.get("/limits")).status_code == 200


@pytest.mark.parametrize("fault", [{"match": "("}, {"status": 200}, {"times": 0}, {"surprise": 1}])
async def test_a_senseless_fault_is_refused(org: RunningOrg, api: httpx.AsyncClient, fault: dict[str, Any]) -> None:
    assert (await api.post(f"{org.url}/_sim/faults", json=fault)).status_code == 422


async def test_a_fault_within_a_graph_refuses_that_graph_alone(
    org: RunningOrg, api: httpx.AsyncClient, new_opportunity: New
) -> None:
    ids = [await new_opportunity() for _ in range(2)]
    org.sim("faults", {"match": f"/{ids[0]}", "within": True, "code": "INVALID_FIELD", "fields": ["Amount"]})
    base = api.base_url.path.rstrip("/")
    nodes = [
        {"method": "PATCH", "url": f"{base}/sobjects/Opportunity/{key}", "referenceId": "o", "body": {"Amount": 1}}
        for key in ids
    ]
    graphs = [{"graphId": str(number), "compositeRequest": [node]} for number, node in enumerate(nodes)]
    reply = await api.post("/composite/graph", json={"graphs": graphs})
    refused, done = reply.json()["graphs"]
    assert (reply.status_code, refused["isSuccessful"], done["isSuccessful"]) == (200, False, True)
    (node,) = refused["graphResponse"]["compositeResponse"]
    assert (node["body"][0]["errorCode"], node["body"][0]["fields"]) == ("INVALID_FIELD", ["Amount"])


async def test_the_token_endpoint_refuses_in_its_own_shape(org: RunningOrg, api: httpx.AsyncClient) -> None:
    org.sim("faults", {"match": "oauth2/token", "code": "unknown_error", "message": "retry your request"})
    reply = await api.post(f"{org.url}/services/oauth2/token", data={"grant_type": "x"})
    assert (reply.status_code, reply.json()) == (
        400,
        {"error": "unknown_error", "error_description": "retry your request"},
    )
