"""The Pub/Sub API: one subscription with flow control, kept open, and schemas cached by id."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from urllib.parse import urlsplit

import grpc
from pubsub_api import pubsub_api_pb2 as pb
from pubsub_api import pubsub_api_pb2_grpc as pb_grpc

from crm_connector.crm import CrmFault, CrmRefused, CrmUnavailable, EventsSpent, PositionLost
from crm_connector.salesforce.auth import Session, Sessions
from crm_connector.salesforce.changes import EventSchema, Unreadable

# The org lets no more than this be outstanding.
WINDOW = 100
# A quiet topic gives a sign of life every 270 seconds; silence beyond that is a dead stream.
SILENCE_SECONDS = 300.0
_SCHEMA_SECONDS = 60.0
_OPTIONS = (
    # A window of events of at most 1 MB each.
    ("grpc.max_receive_message_length", WINDOW * 1024 * 1024),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5000),
)
_REPLAY_CODES = ("replayid.corrupted", "replayid.validation.failed")
_SPENT_CODES = ("subscription.limit.exceeded",)
_NEVER_CODES = (
    "topic.not.found",
    "tenant.license",
    "topic.cannot.subscribe",
    "concurrent.client.limit.exceeded",
)


# The schema is not to be had, however often it is asked for.
_NO_SCHEMA = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT)


@dataclass(frozen=True, slots=True)
class RawEvent:
    """An event as it came. Without a schema it cannot be read, and `fault` says why."""

    replay_id: bytes
    schema_id: str
    payload: bytes
    schema: EventSchema | None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Fetched:
    """Events in the order of commits, and the position to resume from."""

    events: list[RawEvent]
    position: bytes
    schema_id: str


class PubSub:
    """A client of one org's event bus. `endpoint` is host:port for TLS, or http://host:port without it."""

    def __init__(self, endpoint: str, sessions: Sessions) -> None:
        self._sessions = sessions
        self._schemas: dict[str, EventSchema] = {}
        url = urlsplit(endpoint if "//" in endpoint else f"//{endpoint}")
        self._channel = (
            grpc.aio.insecure_channel(url.netloc, options=_OPTIONS)
            if url.scheme == "http"
            else grpc.aio.secure_channel(url.netloc, grpc.ssl_channel_credentials(), options=_OPTIONS)
        )
        self._stub = pb_grpc.PubSubStub(self._channel)

    async def close(self) -> None:
        """Close the connection and the streams over it."""
        await self._channel.close()

    async def subscribe(self, topic: str, position: bytes | None) -> AsyncGenerator[Fetched, None]:
        """Batches from beyond the position, or from now on. Ends only by a CrmFault, after which the caller resumes
        from what it stored."""
        session = await self._sessions.current()
        call = self._stub.Subscribe(metadata=_metadata(session))
        try:
            # The request side stays open for the life of the stream: a half-closed one gets nothing at all.
            await call.write(_first_request(topic, position))
            outstanding = WINDOW
            while True:
                async with asyncio.timeout(SILENCE_SECONDS):
                    reply = await call.read()
                if not isinstance(reply, pb.FetchResponse):
                    # The org ended the stream: its status says why, and raises when it is an error.
                    raise CrmUnavailable(f"the stream was closed: {await call.code()}")
                outstanding -= len(reply.events)
                yield await self._fetched(session, reply)
                if outstanding <= WINDOW // 2:
                    await call.write(pb.FetchRequest(topic_name=topic, num_requested=WINDOW - outstanding))
                    outstanding = WINDOW
        except TimeoutError as error:
            raise CrmUnavailable(f"nothing was heard for {SILENCE_SECONDS:.0f} s") from error
        except CrmFault:
            raise
        except Exception as error:
            # Whatever the client makes of a peer that breaks the protocol.
            raise await self._fault(session, error) from error
        finally:
            call.cancel()

    async def _fetched(self, session: Session, reply: pb.FetchResponse) -> Fetched:
        events = [await self._raw(session, item) for item in reply.events]
        last = events[-1] if events else None
        position = last.replay_id if last else reply.latest_replay_id
        if not position:
            raise CrmUnavailable("the org gave no position with its events")
        return Fetched(events, position, last.schema_id if last else "")

    async def _raw(self, session: Session, item: pb.ConsumerEvent) -> RawEvent:
        schema_id, payload = item.event.schema_id, item.event.payload
        try:
            return RawEvent(item.replay_id, schema_id, payload, await self._schema(session, schema_id))
        except Unreadable as damaged:
            return RawEvent(item.replay_id, schema_id, payload, None, str(damaged))

    async def _schema(self, session: Session, schema_id: str) -> EventSchema:
        # A schema never changes under its id.
        if schema_id not in self._schemas:
            request = pb.SchemaRequest(schema_id=schema_id)
            try:
                info = await self._stub.GetSchema(request, metadata=_metadata(session), timeout=_SCHEMA_SECONDS)
            except grpc.aio.AioRpcError as error:
                if error.code() not in _NO_SCHEMA:
                    raise
                raise Unreadable(f"the schema {schema_id} is not there: {error.details()}") from error
            self._schemas[schema_id] = EventSchema(info.schema_json)
        return self._schemas[schema_id]

    async def _fault(self, session: Session, error: Exception) -> Exception:
        if not isinstance(error, grpc.aio.AioRpcError):
            return CrmUnavailable(f"the stream broke: {type(error).__name__}: {error}")
        code = error_code(error)
        words = f"{code or error.code().name}: {error.details() or ''}"
        if any(part in code for part in _REPLAY_CODES):
            return PositionLost(words)
        if any(part in code for part in _SPENT_CODES):
            return EventsSpent(words)
        if any(part in code for part in _NEVER_CODES) or error.code() is grpc.StatusCode.PERMISSION_DENIED:
            return CrmRefused(words)
        if "auth" in code or error.code() is grpc.StatusCode.UNAUTHENTICATED:
            await self._sessions.replace(session)
        return CrmUnavailable(words)


def error_code(error: grpc.aio.AioRpcError) -> str:
    """Salesforce's own code from the trailer; empty when the error is of the transport."""
    for name, value in error.trailing_metadata() or ():
        if name == "error-code":
            return value if isinstance(value, str) else value.decode(errors="replace")
    return ""


def _first_request(topic: str, position: bytes | None) -> pb.FetchRequest:
    preset = pb.ReplayPreset.CUSTOM if position else pb.ReplayPreset.LATEST
    return pb.FetchRequest(topic_name=topic, replay_preset=preset, replay_id=position or b"", num_requested=WINDOW)


def _metadata(session: Session) -> tuple[tuple[str, str], ...]:
    return (
        ("accesstoken", session.token),
        ("instanceurl", session.instance_url),
        ("tenantid", session.org_id),
    )
