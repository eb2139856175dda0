"""One span for each event of a batch, and an exporter that does not repeat itself."""

import logging
import socket
from uuid import UUID

import pytest
from kit.contracts.events import Event, Received, decode
from kit.observability import spans
from kit.observability.spans import AnnouncedExporter, consumer_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, get_current_span
from stagecraft.stage.v1.stage_changed_pb2 import StageChanged

TRACES = [f"{number:032x}" for number in (1, 2, 3)]


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(spans, "_tracer", provider.get_tracer("test"))
    return exporter


def received(traceparent: str, offset: int = 0) -> Received[StageChanged]:
    event = Event("acme", StageChanged(opportunity_id="006A", revision=1), 1, traceparent, id=UUID(int=7))
    return decode(event.record("stage-engine"), 4, offset)  # pyright: ignore[reportReturnType]


def parent(trace: str, flags: str = "01") -> str:
    return f"00-{trace}-00000000000000ff-{flags}"


def test_each_recorded_trace_of_a_batch_has_its_span(exported: InMemorySpanExporter) -> None:
    batch = [received(parent(trace), place) for place, trace in enumerate(TRACES)]
    with consumer_spans("process X", batch) as continued:
        pass
    finished = exported.get_finished_spans()
    assert [f"{span.context.trace_id:032x}" for span in finished] == TRACES
    assert {span.parent.span_id for span in finished if span.parent} == {0xFF}
    assert [event.traceparent for event in continued] == [
        f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01" for span in finished
    ]


def test_a_span_says_of_which_event_it_is(exported: InMemorySpanExporter) -> None:
    with consumer_spans("process X", [received(parent(TRACES[0]), 12)]):
        pass
    (span,) = exported.get_finished_spans()
    assert dict(span.attributes or {}) == {
        "messaging.system": "kafka",
        "messaging.destination.name": "stagecraft.stage.changed.v1",
        "messaging.destination.partition.id": "4",
        "messaging.kafka.offset": 12,
        "messaging.message.id": str(UUID(int=7)),
        "messaging.batch.message_count": 1,
        "stagecraft.tenant": "acme",
        "stagecraft.subject": "006A",
    }


def test_a_trace_that_is_not_recorded_goes_on_as_it_came(exported: InMemorySpanExporter) -> None:
    batch = [received(parent(TRACES[0], "00")), received(parent(TRACES[1], "00")), received(parent(TRACES[2], "03"))]
    with consumer_spans("process X", batch) as continued:
        pass
    (span,) = exported.get_finished_spans()
    assert f"{span.context.trace_id:032x}" == TRACES[2]
    assert [event.traceparent for event in continued[:2]] == [event.traceparent for event in batch[:2]]


def test_the_first_event_s_trace_is_that_of_the_log_lines(exported: InMemorySpanExporter) -> None:
    with consumer_spans("process X", [received(parent(TRACES[0])), received(parent(TRACES[1]))]):
        assert f"{get_current_span().get_span_context().trace_id:032x}" == TRACES[0]
    assert not get_current_span().get_span_context().is_valid


def test_without_an_exporter_nothing_changes() -> None:
    batch = [received(parent(TRACES[0])), received("")]
    with consumer_spans("process X", batch) as continued:
        pass
    assert continued == batch


def test_an_error_marks_every_span(exported: InMemorySpanExporter) -> None:
    batch = [received(parent(TRACES[0])), received(parent(TRACES[1]))]
    with pytest.raises(ValueError, match="bad"), consumer_spans("process X", batch):
        raise ValueError("bad")
    assert [(span.status.status_code, span.status.description) for span in exported.get_finished_spans()] == [
        (StatusCode.ERROR, "ValueError: bad")
    ] * 2


class TestAnnouncedExporter:
    def test_a_collector_that_is_away_is_logged_once(self, caplog: pytest.LogCaptureFixture) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
        exporter = AnnouncedExporter(OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", timeout=0.2), endpoint)
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        with caplog.at_level(logging.DEBUG, "kit.observability.spans"):
            for _ in range(3):
                provider.get_tracer("test").start_span("one").end()
        provider.shutdown()
        said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert said == [f"traces cannot be sent to {endpoint} and are dropped until it answers"]

    def test_a_failure_is_logged_once_and_so_is_its_end(self, caplog: pytest.LogCaptureFixture) -> None:
        class Fails(SpanExporter):
            outcomes = [SpanExportResult.FAILURE] * 3 + [SpanExportResult.SUCCESS] * 2

            def export(self, spans: object) -> SpanExportResult:
                return self.outcomes.pop(0)

        exporter = AnnouncedExporter(Fails(), "http://127.0.0.1:9")
        with caplog.at_level(logging.INFO, "kit.observability.spans"):
            for _ in range(5):
                exporter.export([])
        assert [record.getMessage() for record in caplog.records] == [
            "traces cannot be sent to http://127.0.0.1:9 and are dropped until it answers",
            "traces are sent to http://127.0.0.1:9 again",
        ]
