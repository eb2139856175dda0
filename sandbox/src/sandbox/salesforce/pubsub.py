"""The Pub/Sub API: topics, schemas, and subscriptions with flow control and replay."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
from pubsub_api import pubsub_api_pb2 as pb
from pubsub_api import pubsub_api_pb2_grpc as stubs

from sandbox.salesforce.errors import SessionInvalid
from sandbox.salesforce.events import SELECTED, TOPICS, EventLog, ReplayIdInvalid
from sandbox.salesforce.faults import Faults
from sandbox.salesforce.journal import Entry, Journal, StoredEvent
from sandbox.salesforce.limits import Limits
from sandbox.salesforce.oauth import Client, Sessions

MAX_REQUESTED = 100
KEEPALIVE_SECONDS = 270.0
IDLE_SECONDS = 70.0
_CODE = "sfdc.platform.eventbus.grpc."
_SUBSCRIBE = "/eventbus.v1.PubSub/Subscribe"

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass
class Demand:
    """What one subscriber still asks for. `closed` once it half-closed its side."""

    wake: asyncio.Event
    pending: int = 0
    token: str = ""
    closed: bool = False

    def add(self, number: int) -> None:
        self.pending = min(MAX_REQUESTED, self.pending + number)
        self.wake.set()


class PubSub(stubs.PubSubServicer):
    """Serves the events of the log to clients with an open session."""

    def __init__(
        self,
        *,
        log: EventLog,
        journal: Journal,
        sessions: Sessions,
        client: Client,
        faults: Faults,
        limits: Limits,
        schemas: dict[str, str],
        keepalive_seconds: float = KEEPALIVE_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._log = log
        self._journal = journal
        self._sessions = sessions
        self._client = client
        self._faults = faults
        self._limits = limits
        self._schemas = schemas
        self._keepalive_seconds = keepalive_seconds
        self._idle_seconds = idle_seconds

    async def GetTopic(self, request: pb.TopicRequest, context: Context) -> pb.TopicInfo:
        await self._authenticate(context)
        await self._meet_fault("/eventbus.v1.PubSub/GetTopic", context)
        if request.topic_name not in TOPICS:
            await _abort(context, grpc.StatusCode.NOT_FOUND, "topic.not.found", "Topic does not exist")
        return pb.TopicInfo(
            topic_name=request.topic_name,
            tenant_guid=f"core/sandbox/{self._client.org_id}",
            can_publish=False,
            can_subscribe=True,
            schema_id=SELECTED[min(TOPICS[request.topic_name])].id,
            rpc_id=str(uuid.uuid4()),
        )

    async def GetSchema(self, request: pb.SchemaRequest, context: Context) -> pb.SchemaInfo:
        await self._authenticate(context)
        await self._meet_fault("/eventbus.v1.PubSub/GetSchema", context)
        text = self._schemas.get(request.schema_id)
        if text is None:
            await _abort(context, grpc.StatusCode.NOT_FOUND, "schema.not.found", "Schema does not exist")
        return pb.SchemaInfo(schema_json=text, schema_id=request.schema_id, rpc_id=str(uuid.uuid4()))

    async def Subscribe(
        self, request_iterator: AsyncIterator[pb.FetchRequest], context: Context
    ) -> AsyncIterator[pb.FetchResponse]:
        # A refusal that overtakes the first request costs a gRPC client the status and its words.
        first = await anext(request_iterator, None)
        if first is None:
            return
        token = await self._authenticate(context)
        await self._meet_fault(_SUBSCRIBE + first.topic_name, context)
        if first.topic_name not in TOPICS:
            await _abort(context, grpc.StatusCode.NOT_FOUND, "topic.not.found", "Topic does not exist")
        if self._log.expire():
            floor = self._log.floor
            self._journal.submit(Entry(meta={"event_floor": str(floor)}, events_expired_through=floor))
        cursor = await self._start(first, context)
        with self._log.subscriber() as wake:
            demand = Demand(wake, token=first.auth_refresh or token)
            demand.add(await _requested(first, context))
            reader = asyncio.create_task(_read(request_iterator, demand))
            try:
                async for reply in self._deliver(first.topic_name, cursor, demand, context):
                    yield reply
            finally:
                reader.cancel()

    async def _deliver(
        self, topic: str, cursor: int, demand: Demand, context: Context
    ) -> AsyncIterator[pb.FetchResponse]:
        """Batches as long as the subscriber asks, keepalives while nothing happens.

        Ends when nothing is asked for long enough. After a half-close it sends nothing any more.
        """
        rpc_id = str(uuid.uuid4())
        while True:
            demand.wake.clear()
            if demand.closed:
                await asyncio.get_running_loop().create_future()
            await self._check_session(demand.token, context)
            events = self._log.after(cursor, demand.pending, TOPICS[topic]) if demand.pending else []
            if events:
                await self._meet_fault(_SUBSCRIBE + topic, context)
                await self._count_delivered(len(events), context)
                cursor = events[-1].replay_id
                demand.pending -= len(events)
                yield _batch(events, rpc_id, demand.pending)
                continue
            patience = self._keepalive_seconds if demand.pending else self._idle_seconds
            try:
                await asyncio.wait_for(demand.wake.wait(), patience)
            except TimeoutError:
                if not demand.pending:
                    return
                await self._check_session(demand.token, context)
                if self._log.after(cursor, 1, TOPICS[topic]):
                    continue
                # Nothing of this topic came, so the cursor may pass over what other topics got.
                cursor = self._log.latest
                yield pb.FetchResponse(
                    latest_replay_id=_replay_id(cursor), rpc_id=rpc_id, pending_num_requested=demand.pending
                )

    async def _start(self, first: pb.FetchRequest, context: Context) -> int:
        if first.replay_preset == pb.EARLIEST:
            return self._log.floor
        if first.replay_preset == pb.LATEST:
            return self._log.latest
        if not first.replay_id:
            await _abort(
                context,
                grpc.StatusCode.INVALID_ARGUMENT,
                "subscription.fetch.replayid.validation.failed",
                "A replay id is required with the CUSTOM preset",
            )
        try:
            return self._log.resume_at(first.replay_id)
        except ReplayIdInvalid:
            await _abort(
                context,
                grpc.StatusCode.INVALID_ARGUMENT,
                "subscription.fetch.replayid.corrupted",
                "The Replay ID validation failed. Ensure that the Replay ID is valid.",
            )

    async def _authenticate(self, context: Context) -> str:
        given = {str(name): value for name, value in context.invocation_metadata() or ()}
        token = str(given.get("accesstoken", ""))
        await self._check_session(token, context)
        if given.get("tenantid") != self._client.org_id or not given.get("instanceurl"):
            await _refuse_session(context)
        return token

    async def _check_session(self, token: str, context: Context) -> None:
        try:
            self._sessions.user_of(token)
        except SessionInvalid:
            await _refuse_session(context)

    async def _count_delivered(self, number: int, context: Context) -> None:
        if self._limits.delivered.remaining < number:
            await _abort(
                context,
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "subscription.limit.exceeded",
                "You have exceeded the event delivery limit for your org.",
            )
        self._limits.delivered.used += number

    async def _meet_fault(self, path: str, context: Context) -> None:
        fault = self._faults.take(path)
        if fault is None:
            return
        await asyncio.sleep(fault.latency_ms / 1000)
        if fault.code or fault.status or fault.html_503:
            code = fault.code or "service.unavailable"
            await _abort(context, grpc.StatusCode.UNAVAILABLE, code, fault.message or code)


async def _read(requests: AsyncIterator[pb.FetchRequest], demand: Demand) -> None:
    async for request in requests:
        if request.auth_refresh:
            demand.token = request.auth_refresh
        demand.add(max(0, request.num_requested))
    demand.closed = True
    demand.wake.set()


async def _requested(first: pb.FetchRequest, context: Context) -> int:
    if first.num_requested <= 0:
        await _abort(
            context,
            grpc.StatusCode.INVALID_ARGUMENT,
            "subscription.fetch.requested.events.invalid",
            "The number of requested events must be positive",
        )
    return first.num_requested


def _replay_id(number: int) -> bytes:
    return number.to_bytes(8, "big")


def _batch(events: list[StoredEvent], rpc_id: str, pending: int) -> pb.FetchResponse:
    return pb.FetchResponse(
        events=[
            pb.ConsumerEvent(
                event=pb.ProducerEvent(id=e.event_id, schema_id=e.schema_id, payload=e.payload),
                replay_id=_replay_id(e.replay_id),
            )
            for e in events
        ],
        latest_replay_id=_replay_id(events[-1].replay_id),
        rpc_id=rpc_id,
        pending_num_requested=pending,
    )


async def _refuse_session(context: Context) -> NoReturn:
    words = "authentication exception occurred"
    await _abort(context, grpc.StatusCode.UNAUTHENTICATED, "service.auth.error", words)


async def _abort(context: Context, status: grpc.StatusCode, code: str, words: str) -> NoReturn:
    """Ends the RPC with the error code in the trailers, as clients look for it there."""
    full = code if code.startswith(_CODE) else _CODE + code
    await context.abort(status, words, trailing_metadata=(("error-code", full), ("rpc-id", str(uuid.uuid4()))))
    raise AssertionError("abort does not return")
