"""Sessions with the org: when one is asked for, kept, replaced or refused."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from crm_connector.salesforce.errors import AuthRefused, OutcomeUnknown

Scripted = Callable[..., Any]
TOKEN = {"access_token": "t", "instance_url": "http://org", "id": "http://org/id/00D/005"}


async def test_many_callers_make_one_request(scripted: Scripted) -> None:
    org = scripted()
    found = await asyncio.gather(*(org.sessions.current() for _ in range(20)))
    assert {s.token for s in found} == {"t1"}
    replaced = await asyncio.gather(*(org.sessions.replace(found[0]) for _ in range(20)))
    assert {s.token for s in replaced} == {"t2"}
    assert org.asked_for_tokens == 2


async def test_a_session_is_replaced_at_four_fifths_of_its_life(scripted: Scripted) -> None:
    now = [0.0]
    org = scripted(clock=lambda: now[0])
    for now[0], token in ((0.0, "t1"), (5760.0, "t1"), (5761.0, "t2")):
        assert (await org.sessions.current()).token == token


async def test_refused_credentials_are_offered_again_only_when_changed(scripted: Scripted, secret: Path) -> None:
    refusal = {"error": "invalid_client", "error_description": "no"}
    org = scripted(token_reply=lambda _: httpx.Response(400, json=refusal))
    for _ in range(3):
        with pytest.raises(AuthRefused, match="invalid_client: no"):
            await org.sessions.current()
    assert org.asked_for_tokens == 1
    await asyncio.to_thread(secret.write_text, "another")
    with pytest.raises(AuthRefused):
        await org.sessions.current()
    assert org.asked_for_tokens == 2


@pytest.mark.parametrize("name", TOKEN)
@pytest.mark.parametrize("wrong", [None, 5, {}, []], ids=repr)
async def test_a_token_reply_with_a_wrong_field_may_be_asked_for_again(
    scripted: Scripted, name: str, wrong: object
) -> None:
    org = scripted(token_reply=lambda _: httpx.Response(200, json={**TOKEN, name: wrong}))
    with pytest.raises(OutcomeUnknown, match=name):
        await org.sessions.current()


@pytest.mark.parametrize("name", TOKEN)
async def test_a_token_reply_with_an_empty_field_may_be_asked_for_again(scripted: Scripted, name: str) -> None:
    org = scripted(token_reply=lambda _: httpx.Response(200, json={**TOKEN, name: ""}))
    with pytest.raises(OutcomeUnknown, match="without a token"):
        await org.sessions.current()


@pytest.mark.parametrize("content", ["<html>", '{"access_token":', "null", "[]", "{}"])
@pytest.mark.parametrize(
    ("status", "expected"), [(200, OutcomeUnknown), (400, AuthRefused), (401, AuthRefused), (503, OutcomeUnknown)]
)
async def test_a_token_reply_that_is_none(
    scripted: Scripted, content: str, status: int, expected: type[Exception]
) -> None:
    org = scripted(token_reply=lambda _: httpx.Response(status, text=content))
    with pytest.raises(expected):
        await org.sessions.current()


@pytest.mark.parametrize("wrong", [{"error": 5}, {"error": "invalid_grant", "error_description": []}], ids=repr)
async def test_a_refusal_with_a_wrong_field_is_still_one(scripted: Scripted, wrong: object) -> None:
    org = scripted(token_reply=lambda _: httpx.Response(400, json=wrong))
    with pytest.raises(AuthRefused, match="the token endpoint answered 400"):
        await org.sessions.current()
