"""Spans as exporters send them, the store that holds them, and a trace as a waterfall."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from google.rpc.status_pb2 import Status
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from sandbox.observe.app import Observed, page_app
from sandbox.observe.command import PageServer
from sandbox.observe.logs import lines_of
from sandbox.observe.otlp import BODY_BYTES, PROTOBUF
from sandbox.observe.query import NoPrometheus
from sandbox.observe.traces import Span, TraceStore, Wanted, summary_of, waterfall
from sandbox.stack.ports import free_ports

MS = 1_000_000
TRACE = "0af7651916cd43dd8448eb211c80319c"


def span(number: int, parent: int = 0, start_ms: float = 0, took_ms: float = 1, **changed: Any) -> Span:
    """A span whose id is its number."""
    given: dict[str, Any] = {"trace_id": TRACE, "service": "scoring", "name": f"span {number}", "kind": "internal"}
    return Span(
        **given
        | {
            "span_id": f"{number:016x}",
            "parent_id": f"{parent:016x}" if parent else "",
            "start_ns": int(start_ms * MS),
            "end_ns": int((start_ms + took_ms) * MS),
        }
        | changed
    )


@pytest.fixture
def observed(tmp_path: Path) -> Observed:
    return Observed(prometheus=NoPrometheus("none here"), logs=tmp_path, scrape_seconds=5)


@pytest.fixture
async def client(observed: Observed) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(page_app(observed))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield client


@pytest.fixture
async def url(observed: Observed) -> AsyncIterator[str]:
    """The receiver as a real server."""
    (port,) = free_ports(1)
    config = uvicorn.Config(page_app(observed), host="127.0.0.1", port=port, lifespan="off", log_level="warning")
    server = PageServer(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - the server raises no event
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await serving


async def post(client: httpx.AsyncClient, body: bytes, **headers: str) -> httpx.Response:
    sent = {"content-type": PROTOBUF} | {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post("/v1/traces", content=body, headers=sent)


def words_of(reply: httpx.Response) -> str:
    assert reply.headers["content-type"] == PROTOBUF
    return Status.FromString(reply.content).message


def request_of(trace_id: bytes = bytes.fromhex(TRACE), span_id: bytes = b"12345678") -> bytes:
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    spans.add(trace_id=trace_id, span_id=span_id, name="one")
    return request.SerializeToString()


class TestReceiver:
    @pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
    async def test_what_the_sdk_exports_arrives(self, observed: Observed, url: str, compression: Compression) -> None:
        def export() -> str:
            provider = TracerProvider(resource=Resource.create({"service.name": "stage-engine"}))
            exporter = OTLPSpanExporter(endpoint=f"{url}/v1/traces", compression=compression)
            provider.add_span_processor(SimpleSpanProcessor(exporter))
            tracer = provider.get_tracer("test")
            with tracer.start_as_current_span("submit", kind=trace.SpanKind.SERVER) as top:
                top.set_attributes({"whole": 7, "share": 0.5, "yes": True, "several": ["a", "b"]})
                try:
                    with tracer.start_as_current_span("decide"):
                        raise ValueError("no rule")
                except ValueError:
                    pass
            provider.shutdown()
            return f"{top.get_span_context().trace_id:032x}"

        trace_id = await asyncio.to_thread(export)
        child, top = sorted(observed.store.spans(trace_id), key=lambda span: span.name)
        assert (top.service, top.name, top.kind, top.parent_id, top.error) == (
            *("stage-engine", "submit", "server", ""),
            False,
        )
        assert dict(top.attributes) == {"whole": "7", "share": "0.5", "yes": "true", "several": "a, b"}
        assert (child.parent_id, child.error, child.status) == (top.span_id, True, "ValueError: no rule")
        (event,) = child.events
        assert (event.name, dict(event.attributes)["exception.message"]) == ("exception", "no rule")
        assert top.start_ns <= child.start_ns <= child.end_ns <= top.end_ns

    async def test_a_malformed_body_is_refused_in_words(self, observed: Observed, client: httpx.AsyncClient) -> None:
        reply = await post(client, b"\xff\xff not protobuf")
        assert reply.status_code == 400
        assert "no ExportTraceServiceRequest" in words_of(reply)
        assert len(observed.store) == 0

    @pytest.mark.parametrize("body", [request_of(trace_id=b"short"), request_of(span_id=b"")], ids=["trace", "span"])
    async def test_ids_of_the_wrong_length_are_refused(self, client: httpx.AsyncClient, body: bytes) -> None:
        reply = await post(client, body)
        assert reply.status_code == 400
        assert "trace_id of 16 bytes" in words_of(reply)

    async def test_json_is_refused_with_what_to_set(self, client: httpx.AsyncClient) -> None:
        reply = await post(client, b"{}", content_type="application/json")
        assert reply.status_code == 415
        assert "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf" in words_of(reply)

    async def test_an_unknown_encoding_is_refused(self, client: httpx.AsyncClient) -> None:
        reply = await post(client, request_of(), content_encoding="zstd")
        assert (reply.status_code, "zstd" in words_of(reply)) == (415, True)

    async def test_a_gzip_bomb_is_not_unpacked(self, client: httpx.AsyncClient) -> None:
        bomb = gzip.compress(bytes(50 * BODY_BYTES), 1)
        assert len(bomb) < BODY_BYTES
        reply = await post(client, bomb, content_encoding="gzip")
        assert (reply.status_code, "8 MiB" in words_of(reply)) == (413, True)

    async def test_a_body_that_is_too_large_is_refused(self, client: httpx.AsyncClient) -> None:
        reply = await post(client, bytes(BODY_BYTES + 1))
        assert reply.status_code == 413

    @pytest.mark.parametrize("body", [b"not gzip", gzip.compress(request_of())[:-9]], ids=["other bytes", "cut off"])
    async def test_broken_gzip_is_refused(self, client: httpx.AsyncClient, body: bytes) -> None:
        reply = await post(client, body, content_encoding="gzip")
        assert (reply.status_code, "is not gzip" in words_of(reply)) == (400, True)

    async def test_spans_beyond_what_a_trace_holds_are_reported(self, observed: Observed) -> None:
        observed.store = TraceStore(per_trace=1)
        transport = httpx.ASGITransport(page_app(observed))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            await post(client, request_of())
            reply = await post(client, request_of(span_id=b"87654321"))
        assert reply.status_code == 200
        assert ExportTraceServiceResponse.FromString(reply.content).partial_success.rejected_spans == 1


class TestStore:
    def test_the_oldest_trace_goes_first(self) -> None:
        store = TraceStore(traces=2)
        for number in (1, 2, 3):
            store.add([span(1, trace_id=f"{number:032x}")])
        assert [bool(store.spans(f"{number:032x}")) for number in (1, 2, 3)] == [False, True, True]

    def test_spans_are_bounded_over_all_traces(self) -> None:
        store = TraceStore(spans=5)
        store.add(span(number, trace_id=f"{trace:032x}") for trace in (1, 2, 3) for number in range(2))
        assert len(store) == 2
        assert sum(len(store.spans(f"{trace:032x}")) for trace in (1, 2, 3)) == 4

    def test_spans_of_one_trace_are_bounded(self) -> None:
        store = TraceStore(per_trace=3)
        assert store.add(span(number) for number in range(1, 6)) == 2
        assert (len(store.spans(TRACE)), store.refused(TRACE)) == (3, 2)

    def test_a_span_that_comes_again_is_kept_once(self) -> None:
        store = TraceStore(spans=2)
        for _ in range(5):
            store.add([span(1), span(2)])
        assert len(store.spans(TRACE)) == 2

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            (Wanted(), ["b", "a"]),
            (Wanted(service="recommender"), ["b"]),
            (Wanted(service="nothing"), []),
            (Wanted(errors=True), ["b"]),
            (Wanted(at_least_ms=4), ["b"]),
            (Wanted(text="006A"), ["a"]),
            (Wanted(text=" 006a "), ["a"]),
            (Wanted(text="b" * 8), ["b"]),
            (Wanted(text="SPAN 1"), ["b", "a"]),
        ],
    )
    def test_traces_are_found(self, wanted: Wanted, found: list[str]) -> None:
        store = TraceStore()
        store.add([span(1, trace_id="a" * 32, attributes=(("stagecraft.subject", "006A"),))])
        store.add([span(1, trace_id="b" * 32, start_ms=10, took_ms=5)])
        store.add([span(2, trace_id="b" * 32, start_ms=10, service="recommender", error=True)])
        assert [summary.trace_id[0] for summary in store.list(wanted, 10)] == found
        assert [summary.trace_id[0] for summary in store.list(wanted, 1)] == found[:1]

    def test_a_summary_names_the_root_and_the_way(self) -> None:
        spans = [
            span(3, 2, 30, 5, service="stage-engine", error=True),
            span(2, 1, 20, 5, attributes=(("stagecraft.subject", "006A"),)),
            span(1, 9, 10, 2, service="assessment", name="PUT /v1/submissions/{submission_id}"),
        ]
        found = summary_of(spans)
        assert (found.name, found.duration_ms) == ("PUT /v1/submissions/{submission_id}", 25)
        assert found.services == ("assessment", "scoring", "stage-engine")
        assert (found.spans, found.errors, found.subjects) == (3, 1, ("006A",))


class TestWaterfall:
    def rows(self, *spans: Span) -> list[tuple[int, int]]:
        return [(int(row.span.span_id, 16), row.depth) for row in waterfall(spans)]

    def test_children_come_below_their_parents_by_start(self) -> None:
        found = self.rows(span(4, 2, 4), span(3, 1, 3), span(1), span(2, 1, 2))
        assert found == [(1, 0), (2, 1), (4, 2), (3, 1)]

    def test_offsets_count_from_the_first_span(self) -> None:
        first, second = waterfall([span(1, 0, 100, 50), span(2, 1, 120, 10)])
        assert (first.offset_ms, first.duration_ms) == (0, 50)
        assert (second.offset_ms, second.duration_ms) == (20, 10)

    def test_a_span_whose_parent_is_missing_comes_first_level_and_says_so(self) -> None:
        rows = waterfall([span(1), span(2, 77, 5), span(3, 2, 6)])
        assert [(row.depth, row.parent_missing) for row in rows] == [(0, False), (0, True), (1, False)]

    def test_a_child_before_its_parent_shows_that_clocks_differ(self) -> None:
        parent, child = waterfall([span(1, 0, 100, 10), span(2, 1, 93, 10)])
        assert (parent.offset_ms, child.offset_ms, child.depth) == (7, 0, 1)
        assert (parent.ahead_ms, child.ahead_ms) == (0, 7)

    def test_a_circle_of_parents_shows_every_span_once(self) -> None:
        found = self.rows(span(1, 2, 1), span(2, 1, 2), span(3, 3, 3), span(4))
        assert sorted(number for number, _ in found) == [1, 2, 3, 4]

    def test_deep_nesting_is_no_problem(self) -> None:
        rows = waterfall([span(number, number - 1, number) for number in range(1, 5001)])
        assert rows[-1].depth == 4999

    def test_an_end_before_the_start_is_no_duration(self) -> None:
        (row,) = waterfall([span(1, start_ms=5, took_ms=-3)])
        assert row.duration_ms == 0

    def test_nothing_gives_nothing(self) -> None:
        assert waterfall([]) == []


class TestPages:
    async def test_a_trace_comes_with_its_log_lines(self, observed: Observed, client: httpx.AsyncClient) -> None:
        observed.store.add([span(1), span(2, 1, 5)])
        line = {"at": "2026-01-01T00:00:00+00:00", "level": "INFO", "service": "scoring", "message": "scored"}
        with (observed.logs / "scoring.log").open("w") as log:
            log.write("not json\n" + json.dumps(line | {"trace_id": TRACE, "points": 7}) + "\n")
            log.write(json.dumps(line | {"trace_id": "other", "message": TRACE}) + "\n")
        found = (await client.get(f"/api/traces/{TRACE.upper()}")).json()
        assert [row["name"] for row in found["rows"]] == ["span 1", "span 2"]
        (logged,) = found["logs"]
        assert (logged["message"], logged["rest"]) == ("scored", {"points": "7"})

    async def test_an_unknown_trace_is_refused_in_words(self, client: httpx.AsyncClient) -> None:
        reply = await client.get("/api/traces/abc")
        assert (reply.status_code, "no trace 'abc' here" in reply.json()["error"]) == (404, True)

    async def test_the_list_says_what_it_holds(self, observed: Observed, client: httpx.AsyncClient) -> None:
        observed.store.add([span(1)])
        found = (await client.get("/api/traces", params={"min_ms": "99"})).json()
        assert found == {"traces": [], "services": ["scoring"], "held": 1}

    @pytest.mark.parametrize("given", ["soon", "-1", "nan", "inf"])
    async def test_a_wrong_duration_is_refused(self, client: httpx.AsyncClient, given: str) -> None:
        reply = await client.get("/api/traces", params={"min_ms": given})
        assert (reply.status_code, "'min_ms' must be a number" in reply.json()["error"]) == (400, True)


def test_log_lines_are_in_order_over_all_services(tmp_path: Path) -> None:
    for place, service in enumerate(("scoring", "assessment")):
        line = {"at": f"2026-01-01T00:00:0{place}", "service": service, "message": "x", "trace_id": TRACE}
        (tmp_path / f"{service}.log").write_text(json.dumps(line) + "\n")
    assert [line.service for line in lines_of(TRACE, tmp_path)] == ["scoring", "assessment"]
