"""Whatever a peer sends is a reply or a fault with words: every call of the org is walked through everything that a
proxy, a gateway or a broken server may say in its place."""

import gzip
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import product
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from crm_connector.crm import CrmFault
from crm_connector.domain.fields import UNKNOWN, FieldMapping
from crm_connector.domain.intents import Reply
from crm_connector.domain.observation import CrmRecord, Facts
from crm_connector.domain.writes import CrmWrite, StageWrite
from crm_connector.salesforce import http as http_module
from crm_connector.salesforce import plan, preflight, query
from crm_connector.salesforce.adapter import SalesforceCrm
from crm_connector.salesforce.errors import NotReached, OutcomeUnknown, StillWorking
from crm_connector.salesforce.http import exchange
from crm_connector.salesforce.objects import STANDARD
from crm_connector.salesforce.plan import DEFAULT, Plan

Scripted = Callable[..., Any]
NOW = datetime(2026, 11, 22, tzinfo=UTC)
ID = "006Sg0000000001AAA"
STATUSES = (200, 302, 400, 401, 429, 503)
TYPES = ("application/json", "application/json;charset=utf-16", "text/html", "")
BODIES: dict[str, bytes] = {
    "empty": b"",
    "html": b"<html><body>maintenance</body></html>",
    "null": b"null",
    "number": b"7",
    "huge number": b"9" * 5000,
    "text": b'"maintenance"',
    "list": b"[]",
    "list of null": b"[null]",
    "list of lists": b"[[[]]]",
    "object": b"{}",
    "cut short": b'{"records": [{"Id": "006',
    "deep": b"[" * 100_000,
    "not a number": b'{"done": NaN, "records": Infinity}',
    "halves of characters": b'[{"errorCode": "\\ud800", "message": "\\udfff\\u0000", "fields": ["\\ud800"]}]',
    "bytes": b"\xff\xfe\x00\xed\xa0\x80",
    "wrong types": b'{"done": [], "records": 5, "graphs": {}, "access_token": 5, "error": {}, "fields": 7}',
    "error with wrong types": b'[{"errorCode": {"a": 1}, "message": [], "fields": 5}]',
    "error with a number for fields": b'[{"errorCode": "INVALID_FIELD", "message": null, "fields": 5}]',
    "error of a code never heard of": b'[{"errorCode": "NO_SUCH_CODE", "message": "m"}]',
    "session of another shape": b'{"access_token": "a\\nb", "instance_url": "//[", "id": "http://["}',
    "session elsewhere": b'{"access_token": "t", "instance_url": "ftp://x", "id": "http://x/id/00D/005"}',
    "endless pages": b'{"done": false, "records": [], "nextRecordsUrl": "/services/data/v67.0/query/1"}',
    "page elsewhere": b'{"done": false, "records": [], "nextRecordsUrl": "@example.org/"}',
    "graph of nulls": b'{"graphs": [{"graphId": "g0", "isSuccessful": false, "graphResponse": null}]}',
}
ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "identity": lambda body: body,
    "gzip": gzip.compress,
    "gzip that is none": lambda body: b"\x1f\x8b" + body,
    "gzip cut short": lambda body: gzip.compress(body)[:-6],
    "unheard-of": lambda body: body,
}
# Each status with each encoding, and the content types in turn.
WALK = [
    (status, TYPES[number % len(TYPES)], encoding)
    for number, (encoding, status) in enumerate(
        (encoding, status) for encoding in ENCODINGS for status in (STATUSES if encoding == "identity" else (200,))
    )
]


def write(number: int = 0) -> CrmWrite:
    return CrmWrite(f"w{number}", f"006Sg000000000{number}AAA", StageWrite("Demo", "Discovery"), None, {})


async def _pages(org: Any) -> list[Any]:
    return [page async for page in query.record_pages(org.rest, PLAN, ["opportunity"], "", NOW)]


async def _changed(org: Any) -> list[Reply]:
    unused: Any = SimpleNamespace()
    return await SalesforceCrm(org.http, org.rest, org.sessions, unused).write([write(1), write(2)])


MAPPING = FieldMapping({"opportunity.amount": DEFAULT.facts["opportunity.amount"]})
PLAN = Plan(MAPPING, MAPPING)
OPPORTUNITY = CrmRecord(ID, Facts("Demo"), NOW)
CALLS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "token": lambda org: org.sessions.current(),
    "version": lambda org: org.rest.check_version(),
    "pages": _pages,
    "records": lambda org: query.read_records(org.rest, PLAN, [ID]),
    "stages": lambda org: query.stage_catalog(org.rest, PLAN),
    "history": lambda org: query.stage_clocks(org.rest, [OPPORTUNITY]),
    "fields": lambda org: plan.made(org.rest, DEFAULT, ["lead"], STANDARD),
    "deleted": lambda org: query.deleted(org.rest, ["opportunity"], NOW, NOW),
    "limits": lambda org: query.events_used(org.rest),
    "preflight": lambda org: preflight.lacks(org.rest, list(STANDARD.values())),
    "graph": _changed,
}


@pytest.mark.parametrize("call", CALLS)
async def test_whatever_a_peer_sends_is_a_fault_with_words(
    scripted: Scripted, call: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    for body, (status, kind, encoding) in product(BODIES, WALK):
        content = ENCODINGS[encoding](BODIES[body])
        headers = {"Content-Type": kind, "Content-Encoding": encoding.split()[0]}

        def reply(_: httpx.Request, s: int = status, c: bytes = content, h: Any = headers) -> httpx.Response:
            return httpx.Response(s, headers=h, stream=httpx.ByteStream(c))

        org = scripted(reply, reply if call == "token" else None)
        try:
            found = await CALLS[call](org)
        except CrmFault as fault:
            assert str(fault)
            str(fault).encode()
            continue
        assert call != "token", f"{status} {encoding} {body} gave a session"
        if call == "graph":
            assert len(found) == 2
            assert all(each.reason and each.code.encode() for each in found)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError, httpx.ReadTimeout, httpx.WriteError, httpx.RemoteProtocolError, httpx.DecodingError,
        httpx.TooManyRedirects, httpx.InvalidURL, UnicodeEncodeError, RuntimeError, OSError,
    ],
)  # fmt: skip
async def test_whatever_the_client_makes_of_a_peer_is_a_fault(
    scripted: Scripted, call: str, error: type[Exception]
) -> None:
    def reply(_: httpx.Request) -> httpx.Response:
        raise UnicodeEncodeError("ascii", "é", 0, 1, "no") if error is UnicodeEncodeError else error("broken")

    org = scripted(reply, reply if call == "token" else None)
    try:
        found = await CALLS[call](org)
    except CrmFault as fault:
        assert str(fault)
    else:
        assert call == "graph"
        assert all(each.reason for each in found)


async def test_a_reply_without_end_is_given_up(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_module, "MOST_BYTES", 1000)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 100

    org = scripted(lambda _: httpx.Response(200, content=endless()))
    with pytest.raises(OutcomeUnknown, match="more than 1000 bytes"):
        await org.rest.check_version()


async def test_a_reply_that_is_compressed_twice_is_not_unpacked() -> None:
    twice = httpx.Response(200, headers={"Content-Encoding": "gzip, gzip"}, stream=httpx.ByteStream(b"x"))
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: twice)) as client:
        with pytest.raises(OutcomeUnknown, match="more than once"):
            await exchange(client, "GET", "http://org/", peer="the org")


@pytest.mark.parametrize(
    ("error", "expected"),
    [(httpx.ConnectTimeout, NotReached), (httpx.ReadTimeout, StillWorking), (httpx.ReadError, OutcomeUnknown)],
)
async def test_what_may_still_be_done_is_looked_for_later(
    scripted: Scripted, error: type[Exception], expected: type[Exception]
) -> None:
    def reply(_: httpx.Request) -> httpx.Response:
        raise error("broken")

    org = scripted(reply)
    with pytest.raises(expected):
        await org.rest.check_version()
    replies = await _changed(org)
    # The org may work on a call for ten minutes, so for so long a record without the write proves nothing.
    waits = [each.not_before for each in replies]
    assert waits == [timedelta(minutes=8) if expected is StillWorking else timedelta()] * 2


async def test_an_amount_that_no_field_can_hold_is_unknown(scripted: Scripted) -> None:
    record = {
        "Id": ID, "StageName": "Demo", "CloseDate": None, "OwnerId": None, "IsDeleted": False,
        "LastModifiedDate": "2026-11-22T19:00:05Z", "LastModifiedById": None, "Stagecraft_Write_Id__c": None,
        "CreatedDate": "2026-11-22T19:00:05Z", "LastStageChangeDate": None,
    }  # fmt: skip
    text = json.dumps({"done": True, "records": [record]})
    for amount in ("1e999999999", "-1e300", "9" * 30, "1e-400"):
        page = httpx.Response(200, text=text.replace('"Id"', f'"Amount": {amount}, "Id"'))
        (found,) = await query.read_records(scripted(lambda _, p=page: p).rest, PLAN, [ID])
        assert found.facts == Facts("Demo", "", {"opportunity.amount": UNKNOWN})
