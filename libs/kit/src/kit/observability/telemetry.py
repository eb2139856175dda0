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

from kit.observability.spans import AnnouncedExporter
from kit.settings import ServiceSettings

# Operations that machines ask every few seconds: neither logged, nor traced, nor counted.
PROBE_PATHS = frozenset({"/livez", "/readyz", "/metrics", "/statusz"})
_AGE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_DELAY_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)

# fmt: off
# Every metric of the platform's runtime. The help says what a rise means; the runbook of the alert says what to do.
# Services add theirs in their own `telemetry.py`; `docs/metrics.md` lists all of them.
SERVICE_INFO = Gauge("service_info", "Always 1; the label says which version runs", ["service", "version"])
SERVICE_READY = Gauge("service_ready", "1 when the service takes work, 0 when it waits for something; /readyz says for what", ["service"])
SERVICE_CLOCK = Gauge("service_clock_seconds", "Wall clock of the process; a distance from the time of the scrape means that a clock is wrong", ["service"])
EVENT_LOOP_DELAY = Histogram("event_loop_delay_seconds", "How late the event loop wakes; a rise means that something blocks it", ["service"], buckets=_DELAY_BUCKETS)
ISSUER_KEYS_AGE = Gauge("issuer_keys_age_seconds", "Time since the token issuer's keys were read; a rise means that the issuer does not answer", ["service"])
HOUSEKEEPING_AGE = Gauge("housekeeping_age_seconds", "Time since old inbox and idempotency rows were deleted; a rise means that tables grow", ["service"])
HTTP_REQUESTS = Counter("http_requests_total", "Requests by operation, status and problem code; a rise of 5xx means that callers fail", ["service", "operation", "status", "code"])
HTTP_SECONDS = Histogram("http_request_seconds", "Time to answer a request; a rise means a slow database or a busy process", ["service", "operation"], buckets=_REQUEST_BUCKETS)
CONNECTIONS_IN_USE = Gauge("database_connections_in_use", "Connections of the pool in use; at the limit, requests wait", ["service"])
CONNECTIONS_LIMIT = Gauge("database_connections_limit", "Connections that the pool may hold", ["service"])
EVENTS_PUBLISHED = Counter("events_published_total", "Events written to the outbox; a fall to 0 means that nothing happens", ["service", "topic"])
EVENTS_RELAYED = Counter("events_relayed_total", "Events that the broker acknowledged; fewer than published means that the outbox fills", ["service"])
RELAY_FAILURES = Counter("relay_failures_total", "Relay rounds that failed and are repeated; a rise means that the broker is away or refuses", ["service"])
OUTBOX_AGE = Gauge("outbox_oldest_age_seconds", "Age of the oldest unsent event; a rise means that the broker is away or refuses", ["service"])
OUTBOX_DEPTH = Gauge("outbox_events", "Events in the outbox; a rise means that they are sent slower than they are made", ["service"])
EVENTS_CONSUMED = Counter("events_consumed_total", "Events handled; a fall to 0 with lag means that the consumer is stuck", ["service", "topic"])
EVENTS_LOST = Counter("events_lost_total", "Events that the topic no longer kept when the consumer came to them; a rise means that it was away for longer than the retention", ["service", "topic"])
DUPLICATES = Counter("events_duplicate_total", "Events handled before, and dropped; a rise means that a sender or a consumer crashed", ["service", "topic"])
DEAD_LETTERS = Counter("dead_letters_total", "Events set aside: invalid, failed, rejected, or behind one of their key; a rise means a broken producer or handler", ["service", "topic", "code"])
DEAD_LETTERS_WAITING = Gauge("dead_letters_waiting", "Events set aside that wait for a person to replay or dismiss them", ["service"])
WAITING_ITEMS = Gauge("waiting_items", "Work set aside until something arrives or a person acts; a rise means that it does not", ["service", "what"])
WAITING_AGE = Gauge("waiting_oldest_age_seconds", "Age of the oldest work set aside; a rise means that what it waits for does not come", ["service", "what"])
EVENT_AGE = Histogram("consumer_event_age_seconds", "Time from an event's making to its being handled; a rise means that the consumer is behind", ["service", "topic"], buckets=_AGE_BUCKETS)
BATCH_SECONDS = Histogram("consumer_batch_seconds", "Time to handle what one poll returned; a rise means a slow database or large events", ["service"], buckets=_AGE_BUCKETS)
CONSUMER_RETRIES = Counter("consumer_retries_total", "Batches repeated after a passing fault; a rise means that the database is away", ["service", "topic"])
CONSUMER_LAG = Gauge("consumer_lag_events", "Events behind the end of the partition; a rise means that the consumer is too slow or stuck", ["service", "topic", "partition"])
# fmt: on

_propagator = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("kit")


def configure_tracing(settings: ServiceSettings) -> TracerProvider:
    """A tracer provider that samples new traces by ratio and follows the decision of incoming ones."""
    sampler = ParentBased(TraceIdRatioBased(settings.trace_sample_ratio))
    provider = TracerProvider(sampler=sampler, resource=Resource.create({"service.name": settings.service}))
    if settings.otel_exporter_otlp_endpoint:
        exporter = AnnouncedExporter(OTLPSpanExporter(), settings.otel_exporter_otlp_endpoint)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        # The spans of handlers and of what is written to the CRM come from the global provider.
        trace.set_tracer_provider(provider)
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
def consumer_span(name: str, traceparent: str, began_at: datetime | None = None) -> Iterator[Span]:
    """A span for handling events, as a child of the producer's; from now on unless it `began_at` another time."""
    context = _propagator.extract({"traceparent": traceparent}) if traceparent else None
    start = int(began_at.timestamp() * 1e9) if began_at else None
    with _tracer.start_as_current_span(name, context, SpanKind.CONSUMER, start_time=start) as span:
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
        # What a line says besides its message: `log.info("...", extra={"fields": {...}})`.
        line |= getattr(record, "fields", {})
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
