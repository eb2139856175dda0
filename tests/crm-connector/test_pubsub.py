"""Whatever a gRPC peer does is a fault with words, or events that are set aside."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import grpc
import pytest
from crm_connector.crm import ChangeBatch, CrmFault, CrmRefused, CrmUnavailable, EventsSpent, PositionLost
from crm_connector.salesforce.adapter import _batch
from crm_connector.salesforce.plan import Plan
from crm_connector.salesforce.pubsub import PubSub
from pubsub_api import pubsub_api_pb2 as pb

Scripted = Callable[..., Any]
Answer = Callable[[Any], AsyncIterator[bytes]]
CODE = "sfdc.platform.eventbus.grpc."


def event(payload: bytes = b"", schema_id: str = "s", replay_id: bytes = b"1") -> bytes:
    produced = pb.ProducerEvent(id="e", schema_id=schema_id, payload=payload)
    return pb.FetchResponse(events=[pb.ConsumerEvent(event=produced, replay_id=replay_id)]).SerializeToString()


class Peer(grpc.GenericRpcHandler):
    """Answers a subscription by `answer` and the request for a schema by `schema`, in raw bytes."""

    def __init__(self, answer: Answer, schema: Callable[[Any], Any]) -> None:
        self._answer = answer
        self._schema = schema

    def service(self, handler_call_details: Any) -> Any:
        if handler_call_details.method.endswith("/Subscribe"):
            return grpc.stream_stream_rpc_method_handler(self._subscribed)
        return grpc.unary_unary_rpc_method_handler(self._described)

    async def _subscribed(self, requests: Any, context: Any) -> AsyncIterator[bytes]:
        # A client that is answered before it asked would meet a closed stream.
        await anext(aiter(requests))
        async for reply in self._answer(context):
            yield reply

    async def _described(self, request: bytes, context: Any) -> bytes:
        return await self._schema(context)


async def no_schema(context: Any) -> bytes:
    await context.abort(grpc.StatusCode.NOT_FOUND, "no such schema")
    return b""


@asynccontextmanager
async def peer(scripted: Scripted, answer: Answer, schema: Callable[[Any], Any] = no_schema) -> AsyncIterator[PubSub]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Peer(answer, schema),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    client = PubSub(f"http://127.0.0.1:{port}", scripted().sessions)
    try:
        yield client
    finally:
        await client.close()
        await server.stop(0)


async def first(client: PubSub) -> ChangeBatch:
    async with aclosing(client.subscribe("/data/OpportunityChangeEvent", b"there")) as stream:
        return _batch(await anext(stream), Plan())


def aborting(status: grpc.StatusCode, code: str) -> Answer:
    async def answer(context: Any) -> AsyncIterator[bytes]:
        await context.abort(status, "words", trailing_metadata=(("error-code", code),) if code else ())
        yield b""

    return answer


@pytest.mark.parametrize("code", ["", "subscription.fetch.something.new", "\u00e9".encode("latin-1").hex()])
async def test_every_status_is_a_fault(scripted: Scripted, code: str) -> None:
    for status in grpc.StatusCode:
        if status is grpc.StatusCode.OK:
            continue
        async with peer(scripted, aborting(status, CODE + code if code else "")) as client:
            with pytest.raises(CrmFault, match=r"\w+"):
                await first(client)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, "subscription.fetch.replayid.corrupted", PositionLost),
        (grpc.StatusCode.INVALID_ARGUMENT, "subscription.fetch.replayid.validation.failed", PositionLost),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "subscription.limit.exceeded", EventsSpent),
        (grpc.StatusCode.NOT_FOUND, "topic.not.found", CrmRefused),
        (grpc.StatusCode.PERMISSION_DENIED, "", CrmRefused),
        (grpc.StatusCode.UNAUTHENTICATED, "service.auth.error", CrmUnavailable),
        (grpc.StatusCode.UNAVAILABLE, "service.unavailable", CrmUnavailable),
    ],
)
async def test_known_codes_have_their_class(
    scripted: Scripted, status: grpc.StatusCode, code: str, expected: type[Exception]
) -> None:
    async with peer(scripted, aborting(status, CODE + code if code else "")) as client:
        with pytest.raises(expected) as raised:
            await first(client)
    assert type(raised.value) is expected


@pytest.mark.parametrize(
    "replies",
    [
        [], [b"\xff\xff\xff"], [b"<html>"], [b""], [pb.FetchResponse().SerializeToString()], [event(replay_id=b"")],
    ],
    ids=["end", "bytes", "html", "empty", "no position", "event without a position"],
)  # fmt: skip
async def test_a_reply_that_is_none_is_a_passing_fault(scripted: Scripted, replies: list[bytes]) -> None:
    async def answer(context: Any) -> AsyncIterator[bytes]:
        for reply in replies:
            yield reply

    async with peer(scripted, answer) as client:
        with pytest.raises(CrmUnavailable, match=r"\w+"):
            await first(client)


def described(document: bytes) -> Callable[[Any], Any]:
    async def schema(context: Any) -> bytes:
        return pb.SchemaInfo(schema_json=document.decode(errors="replace")).SerializeToString()

    return schema


@pytest.mark.parametrize(
    "schema",
    [
        no_schema, described(b" "), described(b"<html>"), described(b"null"), described(b"[]"), described(b"{}"),
        described(b'{"type": "record", "name": "E", "fields": []}'), described(b"[" * 10_000),
        described(b'{"type": "record", "name": "E", "fields": [{"name": "ChangeEventHeader", "type": "string"}]}'),
    ],
)  # fmt: skip
async def test_an_event_whose_schema_is_of_no_use_is_set_aside(scripted: Scripted, schema: Any) -> None:
    async def answer(context: Any) -> AsyncIterator[bytes]:
        yield event(b"\x08payload", replay_id=b"7")

    async with peer(scripted, answer, schema) as client:
        batch = await first(client)
    assert (batch.changes, batch.blind, batch.position) == ([], True, b"7")
    (unread,) = batch.unread
    assert (unread.payload, unread.position) == (b"\x08payload", b"7")
    assert unread.reason


async def test_a_schema_that_cannot_be_had_now_is_a_passing_fault(scripted: Scripted) -> None:
    async def answer(context: Any) -> AsyncIterator[bytes]:
        yield event()

    async def away(context: Any) -> bytes:
        await context.abort(grpc.StatusCode.UNAVAILABLE, "later")
        return b""

    async with peer(scripted, answer, away) as client:
        with pytest.raises(CrmUnavailable, match="later"):
            await first(client)
