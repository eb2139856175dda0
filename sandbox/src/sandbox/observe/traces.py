"""The newest traces in memory: which there are, and one of them as a waterfall."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

TRACES = 2_000
SPANS_PER_TRACE = 1_000
SPANS = 100_000
SUBJECT = "stagecraft.subject"


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened within a span, such as an exception."""

    name: str
    at_ns: int
    attributes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Span:
    """One operation of one service. Ids are hexadecimal; times are unix nanoseconds of that service's clock."""

    trace_id: str
    span_id: str
    parent_id: str
    service: str
    name: str
    kind: str
    start_ns: int
    end_ns: int
    error: bool = False
    status: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    events: tuple[SpanEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a waterfall. `offset_ms` counts from the start of the trace.

    `parent_missing`: its parent was not received. `ahead_ms`: how long before its parent it began, which only
    clocks that differ can bring about.
    """

    span: Span
    depth: int
    offset_ms: float
    duration_ms: float
    parent_missing: bool
    ahead_ms: float


@dataclass(frozen=True, slots=True)
class Summary:
    """A line of the list of traces. `services` in the order in which the trace reached them."""

    trace_id: str
    name: str
    started_at: float
    duration_ms: float
    services: tuple[str, ...]
    spans: int
    errors: int
    subjects: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which traces to list. `text` is found in the trace id, in names and in attributes."""

    service: str = ""
    text: str = ""
    at_least_ms: float = 0.0
    errors: bool = False


@dataclass
class _Trace:
    spans: dict[str, Span] = field(default_factory=dict)
    refused: int = 0


class TraceStore:
    """Holds the newest `traces` traces and at most `spans` spans; the trace that began to arrive first goes first."""

    def __init__(self, traces: int = TRACES, spans: int = SPANS, per_trace: int = SPANS_PER_TRACE) -> None:
        self._limits = (traces, spans, per_trace)
        self._traces: OrderedDict[str, _Trace] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return len(self._traces)

    def add(self, spans: Iterable[Span]) -> int:
        """Keep the spans; how many were refused because their traces are full. One that comes again is kept once."""
        most_traces, most_spans, per_trace = self._limits
        refused = 0
        for span in spans:
            trace = self._traces.setdefault(span.trace_id, _Trace())
            if span.span_id not in trace.spans:
                if len(trace.spans) >= per_trace:
                    trace.refused += 1
                    refused += 1
                    continue
                self._count += 1
            trace.spans[span.span_id] = span
            while len(self._traces) > most_traces or self._count > most_spans:
                _, evicted = self._traces.popitem(last=False)
                self._count -= len(evicted.spans)
        return refused

    def services(self) -> list[str]:
        """Every service that sent spans."""
        return sorted({span.service for trace in self._traces.values() for span in trace.spans.values()})

    def list(self, wanted: Wanted, limit: int) -> list[Summary]:
        """The traces asked for, the newest first."""
        found: list[Summary] = []
        for trace_id, trace in reversed(self._traces.items()):
            if _matches(trace_id, trace.spans.values(), wanted):
                summary = summary_of(list(trace.spans.values()))
                if summary.duration_ms >= wanted.at_least_ms:
                    found.append(summary)
        found.sort(key=lambda summary: summary.started_at, reverse=True)
        return found[:limit]

    def spans(self, trace_id: str) -> Sequence[Span]:
        """Those of one trace; none when it is unknown or was evicted."""
        trace = self._traces.get(trace_id)
        return list(trace.spans.values()) if trace else []

    def refused(self, trace_id: str) -> int:
        """How many spans of a trace were not kept because it has too many."""
        trace = self._traces.get(trace_id)
        return trace.refused if trace else 0


def summary_of(spans: Sequence[Span]) -> Summary:
    """What a list shows of a trace: it is named after the span at its root that began first."""
    by_start = sorted(spans, key=lambda span: span.start_ns)
    known = {span.span_id for span in spans}
    roots = [span for span in by_start if span.parent_id not in known]
    start, end = by_start[0].start_ns, max(span.end_ns for span in spans)
    subjects = dict.fromkeys(value for span in by_start for key, value in span.attributes if key == SUBJECT and value)
    return Summary(
        trace_id=spans[0].trace_id,
        name=(roots or by_start)[0].name,
        started_at=start / 1e9,
        duration_ms=(end - start) / 1e6,
        services=tuple(dict.fromkeys(span.service for span in by_start)),
        spans=len(spans),
        errors=sum(span.error for span in spans),
        subjects=tuple(subjects),
    )


def waterfall(spans: Sequence[Span]) -> list[Row]:
    """Every span once, each below its parent, siblings by their start. Spans without a parent here come first level."""
    if not spans:
        return []
    known = {span.span_id: span for span in spans}
    children: dict[str, list[Span]] = {}
    tops: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start_ns, span.end_ns, span.span_id)):
        if span.parent_id in known and span.parent_id != span.span_id:
            children.setdefault(span.parent_id, []).append(span)
        else:
            tops.append(span)
    start = min(span.start_ns for span in spans)
    placed: set[str] = set()
    rows = [_row(*at, known, start) for top in tops for at in _below(top, children, placed)]
    # What is left hangs in a circle of parents, which only a broken sender makes.
    for span in sorted(spans, key=lambda span: span.start_ns):
        if span.span_id not in placed:
            rows += [_row(*at, known, start) for at in _below(span, children, placed)]
    return rows


def _below(top: Span, children: dict[str, list[Span]], placed: set[str]) -> Iterator[tuple[Span, int]]:
    """The span and all below it with their depths; a stack, because a broken sender may nest without end."""
    waiting = [(top, 0)]
    while waiting:
        span, depth = waiting.pop()
        if span.span_id in placed:
            continue
        placed.add(span.span_id)
        yield span, depth
        waiting += [(child, depth + 1) for child in reversed(children.get(span.span_id, []))]


def _row(span: Span, depth: int, known: dict[str, Span], start: int) -> Row:
    parent = known.get(span.parent_id)
    return Row(
        span=span,
        depth=depth,
        offset_ms=(span.start_ns - start) / 1e6,
        duration_ms=max(0, span.end_ns - span.start_ns) / 1e6,
        parent_missing=bool(span.parent_id) and parent is None,
        ahead_ms=max(0, parent.start_ns - span.start_ns) / 1e6 if parent else 0.0,
    )


def _matches(trace_id: str, spans: Iterable[Span], wanted: Wanted) -> bool:
    spans = list(spans)
    if wanted.service and all(span.service != wanted.service for span in spans):
        return False
    if wanted.errors and not any(span.error for span in spans):
        return False
    text = wanted.text.strip().lower()
    return not text or text in trace_id or any(_mentions(span, text) for span in spans)


def _mentions(span: Span, text: str) -> bool:
    return text in span.name.lower() or any(text in value.lower() for _, value in span.attributes)
