"""Sessions with the org: when one is asked for, kept, replaced or refused."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from crm_connector.crm import CrmFault
from crm_connector.salesforce.errors import AuthRefused, NotReached, OutcomeUnknown
from crm_connector.salesforce.pace import LoginPace
from hypothesis import given
from hypothesis import strategies as st

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


def oauth(error: object, description: object = "", status: int = 400) -> httpx.Response:
    return httpx.Response(status, json={"error": error, "error_description": description})


async def logins(org: Any, now: list[float], seconds: float, step: float) -> int:
    """How often the token endpoint was asked while a session was wanted all the time."""
    before, end = org.asked_for_tokens, now[0] + seconds
    while now[0] < end:
        with suppress(CrmFault):
            await org.sessions.current()
        now[0] += step
    return org.asked_for_tokens - before


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (oauth("invalid_client", "no"), AuthRefused),
        (oauth("invalid_client_id", "client identifier invalid"), AuthRefused),
        (oauth("invalid_client_credentials", "no", 401), AuthRefused),
        (oauth("invalid_app_access", "no"), AuthRefused),
        (oauth("invalid_grant", "user hasn't approved this consumer"), AuthRefused),
        (oauth("invalid_grant", "authentication failure"), AuthRefused),
        (oauth("invalid_grant", "inactive user"), AuthRefused),
        (oauth("invalid_grant", "login rate exceeded"), NotReached),
        (oauth("invalid_grant", "something new"), NotReached),
        (oauth("unknown_error", "retry your request"), NotReached),
        (oauth("server_error", ""), NotReached),
        (oauth("rate_limit_exceeded", "", 403), NotReached),
        (oauth("temporarily_unavailable", "", 429), NotReached),
        (oauth("invalid_client", "", 503), NotReached),
        (httpx.Response(403, text="<html>proxy</html>"), OutcomeUnknown),
        (httpx.Response(401, text=""), OutcomeUnknown),
        (oauth(5), OutcomeUnknown),
        (oauth("invalid_grant", []), OutcomeUnknown),
    ],
)
async def test_only_what_a_person_has_to_repair_is_a_refusal(
    scripted: Scripted, reply: httpx.Response, expected: type[Exception]
) -> None:
    with pytest.raises(expected) as raised:
        await scripted(token_reply=lambda _: reply).sessions.current()
    assert type(raised.value) is expected


async def test_a_refusal_is_tried_again_slower_and_slower_until_hourly(scripted: Scripted) -> None:
    now = [0.0]
    org = scripted(token_reply=lambda _: oauth("invalid_client", "no"), clock=lambda: now[0])
    assert await logins(org, now, 3600, 10) <= 7
    assert 20 <= await logins(org, now, 24 * 3600, 60) <= 25


async def test_a_passing_fault_is_over_when_the_endpoint_is_well(scripted: Scripted) -> None:
    now, well = [0.0], [False]

    def reply(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=TOKEN) if well[0] else oauth("unknown_error", "retry your request")

    org = scripted(token_reply=reply, clock=lambda: now[0])
    assert await logins(org, now, 3600, 1) <= 25
    well[0] = True
    now[0] += 301
    assert (await org.sessions.current()).token == "t"


@pytest.mark.parametrize("error", ["invalid_client", "unknown_error"])
async def test_new_credentials_and_a_request_are_tried_at_once(scripted: Scripted, secret: Path, error: str) -> None:
    org = scripted(token_reply=lambda _: oauth(error, "no"))
    for _ in range(3):
        with pytest.raises(CrmFault, match=f"{error}: no"):
            await org.sessions.current()
    assert org.asked_for_tokens == 1
    await asyncio.to_thread(secret.write_text, "another")
    for expected in (2, 3):
        with pytest.raises(CrmFault):
            await org.sessions.current()
        assert org.asked_for_tokens == expected
        org.sessions.retry()


async def test_credentials_that_cannot_be_read_are_a_refusal(scripted: Scripted, secret: Path) -> None:
    org = scripted()
    await asyncio.to_thread(secret.write_bytes, b"\xff\xfe")
    with pytest.raises(AuthRefused, match="cannot be read"):
        await org.sessions.current()


@given(st.lists(st.sampled_from(["session", "passing", "refused", "rejected"]), min_size=1, max_size=40))
def test_logins_are_few_whatever_happens(script: list[str]) -> None:
    now, count = [0.0], 0
    pace = LoginPace(lambda: now[0])
    minted_at: float | None = None
    for turn in range(3600):
        now[0] = float(turn)
        event = script[turn % len(script)]
        if minted_at is not None:
            if event == "rejected":
                pace.rejected(now[0] - minted_at)
                minted_at = None
            continue
        try:
            pace.check()
        except CrmFault:
            continue
        count += 1
        if event in ("session", "rejected"):
            pace.succeeded()
            minted_at = now[0]
        else:
            pace.failed(AuthRefused("no") if event == "refused" else NotReached("no"))
    # Salesforce allows 3,600 logins an hour.
    assert count <= 400


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
