"""Calls that are refused as a whole: whether that is about the org, or about a write in them."""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from crm_connector.domain.holds import Scope
from crm_connector.domain.intents import Reply, Verdict
from crm_connector.domain.writes import CrmWrite, StageWrite
from crm_connector.salesforce.adapter import SalesforceCrm

Scripted = Callable[..., Any]


def refused(code: str, status: int = 400) -> httpx.Response:
    return httpx.Response(status, json=[{"errorCode": code, "message": "words"}])


async def written(scripted: Scripted, count: int, bad: set[str], reply: httpx.Response) -> tuple[list[Reply], int]:
    """The replies to so many writes where the org refuses every call that holds a bad one, and how many calls."""
    calls = 0

    def serve(request: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        graphs = json.loads(request.content)["graphs"]
        ids = {graph["compositeRequest"][0]["body"]["Stagecraft_Write_Id__c"] for graph in graphs}
        if ids & bad or "*" in bad:
            return reply
        return httpx.Response(
            200, json={"graphs": [{"graphId": graph["graphId"], "isSuccessful": True} for graph in graphs]}
        )

    org, unused = scripted(serve), SimpleNamespace()
    writes = [CrmWrite(f"w{n}", "006Sg0000000001AAA", StageWrite("Demo", ""), None, {}) for n in range(count)]
    return await SalesforceCrm(org.http, org.rest, org.sessions, unused).write(writes), calls  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("code", ["JSON_PARSER_ERROR", "NO_SUCH_CODE", "NOT_FOUND", "INVALID_FIELD"])
async def test_one_write_that_spoils_its_call_stops_no_other(scripted: Scripted, code: str) -> None:
    replies, calls = await written(scripted, 25, {"w7"}, refused(code))
    spoilt = [reply for reply in replies if reply.verdict is not Verdict.CONFIRMED]
    assert [reply.write_id for reply in replies] == [f"w{n}" for n in range(25)]
    assert [reply.write_id for reply in spoilt] == ["w7"]
    assert calls <= 15


@pytest.mark.parametrize("code", ["JSON_PARSER_ERROR", "NO_SUCH_CODE", "NOT_FOUND", "API_DISABLED_FOR_ORG"])
async def test_what_is_refused_in_every_part_is_about_the_org(scripted: Scripted, code: str) -> None:
    replies, calls = await written(scripted, 25, {"*"}, refused(code))
    assert {reply.verdict for reply in replies} == {Verdict.AGAIN}
    assert all(reply.refusal and reply.refusal.scope is Scope.ORG and not reply.most_attempts for reply in replies)
    assert calls <= 3


@pytest.mark.parametrize("code", ["JSON_PARSER_ERROR", "NO_SUCH_CODE", "REQUIRED_FIELD_MISSING"])
async def test_a_write_that_is_alone_in_its_call_is_tried_a_few_times(scripted: Scripted, code: str) -> None:
    (reply,), _ = await written(scripted, 1, {"*"}, refused(code))
    assert (reply.verdict, reply.most_attempts, reply.refusal) == (Verdict.AGAIN, 5, None)


@pytest.mark.parametrize(
    "reply",
    [
        refused("INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE"),
        refused("API_CURRENTLY_DISABLED", 403),
        refused("REQUEST_LIMIT_EXCEEDED", 403),
        refused("ORG_LOCKED", 403),
        refused("EDGE", 429),
    ],
)
async def test_a_refusal_of_the_org_parks_no_write(scripted: Scripted, reply: httpx.Response) -> None:
    replies, calls = await written(scripted, 10, {"*"}, reply)
    assert {each.verdict for each in replies} == {Verdict.AGAIN}
    assert all(each.refusal and each.refusal.scope is Scope.ORG for each in replies)
    assert calls == 1
