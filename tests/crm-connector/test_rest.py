"""Calls of the org: tokens, and the class of each bad reply."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest
from crm_connector.crm import CrmRefused
from crm_connector.salesforce.errors import (
    ApiRefusal,
    LastingRefusal,
    LimitExceeded,
    NotReached,
    OutcomeUnknown,
    StillWorking,
)
from prometheus_client import REGISTRY
from pydantic import TypeAdapter

Scripted = Callable[..., Any]
ANY = TypeAdapter(Any)


async def outcome(org: Any) -> Any:
    """The reply, or the fault it is."""
    try:
        return await org.rest.get("/x", ANY)
    except Exception as error:
        return error


async def test_a_rejected_token_is_replaced_once(scripted: Scripted) -> None:
    def reply(request: httpx.Request) -> httpx.Response:
        if request.headers["authorization"] == "Bearer t1":
            return httpx.Response(401, json=[{"errorCode": "INVALID_SESSION_ID", "message": "expired"}])
        return httpx.Response(200, json={"amount": 1.10})

    org = scripted(reply)
    found = await outcome(org)
    assert found == {"amount": Decimal("1.1")}
    assert org.tokens == ["Bearer t1", "Bearer t2"]


async def test_a_second_rejection_is_not_followed_by_a_third_call(scripted: Scripted) -> None:
    expired = httpx.Response(401, json=[{"errorCode": "INVALID_SESSION_ID", "message": "expired"}])
    org = scripted(lambda _: expired)
    found = await outcome(org)
    assert isinstance(found, NotReached)
    assert len(org.tokens) == 2


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (httpx.Response(503, text="<html>down</html>"), OutcomeUnknown),
        (httpx.Response(200, text="<html>"), OutcomeUnknown),
        (httpx.Response(403, json=[{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": ""}]), LimitExceeded),
        (httpx.Response(400, json=[{"errorCode": "INVALID_FIELD", "message": ""}]), LastingRefusal),
        (httpx.Response(400, json=[{"errorCode": "QUERY_TIMEOUT", "message": ""}]), ApiRefusal),
    ],
    ids=["html", "no json", "limit", "refusal", "passing refusal"],
)
async def test_every_bad_reply_has_its_class(
    reply: httpx.Response, expected: type[Exception], scripted: Scripted
) -> None:
    found = await outcome(scripted(lambda _: reply))
    assert type(found) is expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [(httpx.ConnectError, NotReached), (httpx.ReadTimeout, StillWorking), (httpx.ReadError, OutcomeUnknown)],
)
async def test_whether_the_request_left_makes_the_difference(
    error: type[Exception], expected: type[Exception], scripted: Scripted
) -> None:
    def reply(_: httpx.Request) -> httpx.Response:
        raise error("broken")

    found = await outcome(scripted(reply))
    assert type(found) is expected


async def test_the_usage_is_read_from_every_reply(scripted: Scripted) -> None:
    reply = httpx.Response(200, json={}, headers={"Sforce-Limit-Info": "api-usage=18/5000"})
    await scripted(lambda _: reply).rest.get("/x", ANY)
    assert REGISTRY.get_sample_value("crm_api_calls_used") == 18
    assert REGISTRY.get_sample_value("crm_api_calls_allowed") == 5000


class TestVersions:
    async def test_the_pinned_version_is_offered(self, scripted: Scripted) -> None:
        offered = [{"version": "66.0", "label": "x"}, {"version": "67.0", "label": "y"}]
        await scripted(lambda _: httpx.Response(200, json=offered)).rest.check_version()

    @pytest.mark.parametrize("offered", [[], [{"version": "66.0"}]], ids=repr)
    async def test_an_org_without_it_is_refused(self, scripted: Scripted, offered: object) -> None:
        with pytest.raises(CrmRefused, match=r"does not offer API version 67\.0"):
            await scripted(lambda _: httpx.Response(200, json=offered)).rest.check_version()

    @pytest.mark.parametrize(
        "content",
        ["<html>", '[{"version":', "null", "{}", "[null]", "[{}]", '[{"version": 67}]', '[{"version": null}]'],
    )
    async def test_a_reply_of_another_shape_may_pass(self, scripted: Scripted, content: str) -> None:
        with pytest.raises(OutcomeUnknown):
            await scripted(lambda _: httpx.Response(200, text=content)).rest.check_version()


@pytest.mark.parametrize(
    "content", ["<html>", "null", "[]", "{}", "[null]", '[{"message": "m"}]', '{"errorCode": null}']
)
async def test_a_refusal_without_a_code_may_pass(scripted: Scripted, content: str) -> None:
    found = await outcome(scripted(lambda _: httpx.Response(400, text=content)))
    assert type(found) is OutcomeUnknown
