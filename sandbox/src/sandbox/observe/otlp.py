"""Takes spans as OpenTelemetry exporters send them: OTLP over HTTP, protobuf, gzip or plain.

A refusal is the protobuf message Status, as the protocol says, so that the exporter logs its words.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2
from starlette.requests import Request
from starlette.responses import Response

from sandbox.observe.traces import Span, SpanEvent, TraceStore

PROTOBUF = "application/x-protobuf"
BODY_BYTES = 8 * 2**20
TEXT_LENGTH = 2_000


class TracesRefused(Exception):
    """What is wrong with a request, and the HTTP status that says so."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class Receiver:
    """`POST /v1/traces` into a store."""

    def __init__(self, store: TraceStore) -> None:
        self._store = store

    async def receive(self, request: Request) -> Response:
        try:
            spans = list(decode_spans(await _body(request)))
        except TracesRefused as refused:
            return Response(Status(message=str(refused)).SerializeToString(), refused.status, media_type=PROTOBUF)
        full = self._store.add(spans)
        reply = ExportTraceServiceResponse()
        if full:
            reply.partial_success.rejected_spans = full
            reply.partial_success.error_message = "these traces hold as many spans as are kept"
        return Response(reply.SerializeToString(), media_type=PROTOBUF)


def decode_spans(body: bytes) -> Iterator[Span]:
    """The spans of an ExportTraceServiceRequest. Raises TracesRefused."""
    try:
        request = ExportTraceServiceRequest.FromString(body)
    except DecodeError as error:
        raise TracesRefused(400, f"the body is no ExportTraceServiceRequest: {error}") from error
    for resource in request.resource_spans:
        service = dict(_pairs(resource.resource.attributes)).get("service.name") or "unknown"
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield _span(span, service)


def _span(span: trace_pb2.Span, service: str) -> Span:
    if len(span.trace_id) != 16 or len(span.span_id) != 8:
        raise TracesRefused(400, f"span {span.name[:100]!r} needs a trace_id of 16 bytes and a span_id of 8")
    return Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        service=service,
        name=span.name[:TEXT_LENGTH],
        kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower() if span.kind < 6 else "",
        start_ns=span.start_time_unix_nano,
        end_ns=max(span.start_time_unix_nano, span.end_time_unix_nano),
        error=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        status=span.status.message[:TEXT_LENGTH],
        attributes=tuple(_pairs(span.attributes)),
        events=tuple(
            SpanEvent(event.name[:TEXT_LENGTH], event.time_unix_nano, tuple(_pairs(event.attributes)))
            for event in span.events
        ),
    )


def _pairs(attributes: Iterable[KeyValue]) -> Iterator[tuple[str, str]]:
    for pair in attributes:
        yield pair.key[:TEXT_LENGTH], _text(pair.value)[:TEXT_LENGTH]


def _text(value: AnyValue) -> str:
    kind = value.WhichOneof("value")
    if kind == "bool_value":
        return str(value.bool_value).lower()
    if kind == "array_value":
        return ", ".join(_text(item) for item in value.array_value.values)
    if kind == "kvlist_value":
        return ", ".join(f"{pair.key}={_text(pair.value)}" for pair in value.kvlist_value.values)
    if kind == "bytes_value":
        return value.bytes_value.hex()
    return "" if kind is None else str(getattr(value, kind))


async def _body(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != PROTOBUF:
        raise TracesRefused(
            415, f"send {PROTOBUF} (OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf), not {kind or 'nothing'}"
        )
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
        raise TracesRefused(415, f"the body may be sent as it is or with gzip, not with {encoding[:40]}")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES:
            raise _too_large()
    return _unzipped(bytes(body)) if encoding == "gzip" else bytes(body)


def _unzipped(body: bytes) -> bytes:
    """At most BODY_BYTES are ever unpacked, whatever the body claims to hold."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(body, BODY_BYTES + 1)
    except zlib.error as error:
        raise TracesRefused(400, f"the body is not gzip: {error}") from error
    if len(unpacked) > BODY_BYTES:
        raise _too_large()
    if not unpacker.eof:
        raise TracesRefused(400, "the body is not gzip: it ends too early")
    return unpacked


def _too_large() -> TracesRefused:
    return TracesRefused(413, f"a request may hold {BODY_BYTES // 2**20} MiB of spans; send smaller batches")
