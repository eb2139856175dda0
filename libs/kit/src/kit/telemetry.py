"""Traces and the one table of metrics.

A trace starts at a request and continues through the outbox row and the Kafka headers, so that one trace shows
submit → scored → decided → written to the CRM.
"""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import Counter, Gauge, Histogram

from kit.settings import ServiceSettings

_AGE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)

# Every metric of the platform's runtime, with what a rise of it means. Services add theirs in their own telemetry.
EVENTS_PUBLISHED = Counter("events_published_total", "Events written to the outbox", ["service", "topic"])
EVENTS_RELAYED = Counter("events_relayed_total", "Events the broker acknowledged", ["service"])
RELAY_FAILURES = Counter("relay_failures_total", "Relay rounds that failed and will be repeated", ["service"])
OUTBOX_AGE = Gauge("outbox_oldest_age_seconds", "Age of the oldest unsent event; a rise means the broker is away or refuses", ["service"])  # fmt: skip  # noqa: E501
OUTBOX_DEPTH = Gauge("outbox_events", "Events waiting in the outbox", ["service"])
EVENTS_CONSUMED = Counter("events_consumed_total", "Events handled", ["service", "topic"])
DUPLICATES = Counter("events_duplicate_total", "Events recognised as handled before", ["service", "topic"])
DEAD_LETTERS = Counter("dead_letters_total", "Events put aside as invalid", ["service", "topic", "code"])
DEAD_LETTERS_WAITING = Gauge("dead_letters_waiting", "Events put aside that nobody has replayed or dismissed yet", ["service"])  # fmt: skip  # noqa: E501
EVENT_AGE = Histogram("consumer_event_age_seconds", "Time from an event's making to its being handled", ["service", "topic"], buckets=_AGE_BUCKETS)  # fmt: skip  # noqa: E501
BATCH_SECONDS = Histogram("consumer_batch_seconds", "Time to handle what one poll returned", ["service"], buckets=_AGE_BUCKETS)  # fmt: skip  # noqa: E501
CONSUMER_RETRIES = Counter("consumer_retries_total", "Batches repeated after a passing fault", ["service", "topic"])
CONSUMER_LAG = Gauge("consumer_lag_events", "Events behind the end of the partition", ["service", "topic", "partition"])  # fmt: skip  # noqa: E501
CONSUMER_UP = Gauge("consumer_running", "1 while the consumer runs; 0 when it halted itself", ["service"])

_propagator = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("kit")


def configure_tracing(settings: ServiceSettings) -> TracerProvider:
    """A tracer provider that samples new traces by ratio and follows the decision of incoming ones."""
    sampler = ParentBased(TraceIdRatioBased(settings.trace_sample_ratio))
    provider = TracerProvider(sampler=sampler, resource=Resource.create({"service.name": settings.service}))
    if settings.otel_exporter_otlp_endpoint:
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def current_traceparent() -> str:
    """The W3C traceparent of the current span; empty outside any."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent", "")


def trace_id_of(traceparent: str) -> str:
    """The 32 hexadecimal digits of the trace; empty when there is none."""
    parts = traceparent.split("-")
    return parts[1] if len(parts) == 4 else ""


@contextmanager
def consumer_span(name: str, traceparent: str) -> Iterator[Span]:
    """A span for handling events, as a child of the producer's."""
    context = _propagator.extract({"traceparent": traceparent}) if traceparent else None
    with _tracer.start_as_current_span(name, context, SpanKind.CONSUMER) as span:
        yield span


class JsonFormatter(logging.Formatter):
    """One JSON object a line, with the trace it belongs to. Messages carry ids, never payloads."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            line["trace_id"] = format(context.trace_id, "032x")
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure_logging(settings: ServiceSettings) -> None:
    """JSON lines on standard error for everything, the framework's loggers included."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(settings.service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for name in ("uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # aiokafka reports each lost connection of a broker outage at ERROR; the relay and the consumer say it once.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    # One line per request of ours, with its query in it, is neither news nor fit for a log.
    logging.getLogger("httpx").setLevel(logging.WARNING)
