"""Spans of consumed batches, and how they leave.

Events of many traces come in one batch. Each of them gets a span of its own, so that the trace of one submission shows
every service it went through.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from kit.contracts.events import Received

log = logging.getLogger(__name__)
_tracer = trace.get_tracer("kit")
_propagator = TraceContextTextMapPropagator()


@contextmanager
def consumer_spans(name: str, events: Sequence[Received[Any]]) -> Iterator[list[Received[Any]]]:
    """A span for each event whose trace is recorded, as a child of its producer's; the first event's is the current
    one. What is published because of one of the returned events continues its span. An error marks them all."""
    spans = [
        _started(name, event, len(events)) if place == 0 or _is_sampled(event.traceparent) else None
        for place, event in enumerate(events)
    ]
    started = [span for span in spans if span is not None]
    try:
        with trace.use_span(started[0], record_exception=False, set_status_on_exception=False):
            yield [_continued(event, span) for event, span in zip(events, spans, strict=True)]
    except Exception as error:
        for span in started:
            span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        raise
    finally:
        for span in started:
            span.end()


class AnnouncedExporter(SpanExporter):
    """Sends spans with `exporter` and logs only when that begins to fail or to work again; the exporter itself would
    say it for every batch. Spans that cannot be sent are dropped."""

    def __init__(self, exporter: SpanExporter, destination: str) -> None:
        self._exporter = exporter
        self._destination = destination
        self._works = True
        # It reports each attempt of each batch.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        works = result is SpanExportResult.SUCCESS
        if works != self._works:
            self._works = works
            if works:
                log.info("traces are sent to %s again", self._destination)
            else:
                log.warning("traces cannot be sent to %s and are dropped until it answers", self._destination)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _started(name: str, event: Received[Any], batch: int) -> Span:
    parent = _propagator.extract({"traceparent": event.traceparent}) if event.traceparent else None
    span = _tracer.start_span(name, parent, SpanKind.CONSUMER)
    if span.is_recording():
        span.set_attributes(
            {
                "messaging.system": "kafka",
                "messaging.destination.name": event.record.topic,
                "messaging.destination.partition.id": str(event.partition),
                "messaging.kafka.offset": event.offset,
                "messaging.message.id": str(event.id),
                "messaging.batch.message_count": batch,
                "stagecraft.tenant": event.tenant_id,
                "stagecraft.subject": event.record.headers.get("ce_subject", ""),
            }
        )
    return span


def _is_sampled(traceparent: str) -> bool:
    """The lowest bit of the flags, which are the last two hexadecimal digits."""
    return traceparent[-1:] in tuple("13579bdf")


def _continued(event: Received[Any], span: Span | None) -> Received[Any]:
    if span is None or not span.is_recording():
        return event
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, set_span_in_context(span))
    return event._replace(traceparent=carrier["traceparent"])
