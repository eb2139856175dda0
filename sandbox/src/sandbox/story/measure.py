"""Latencies and throughput of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles in milliseconds, by nearest rank, of `count` measurements; all 0 when there are none."""

    p50: float
    p95: float
    p99: float
    count: int

    @property
    def as_figures(self) -> dict[str, float]:
        return {"p50": self.p50, "p95": self.p95, "p99": self.p99}


def latency_of(seconds: Sequence[float]) -> Latency:
    """The percentiles of durations given in seconds."""
    ordered = sorted(seconds)
    p50, p95, p99 = (round(_nearest_rank(ordered, share) * 1000, 1) for share in (0.50, 0.95, 0.99))
    return Latency(p50, p95, p99, len(ordered))


def _nearest_rank(ordered: Sequence[float], share: float) -> float:
    return ordered[ceil(share * len(ordered)) - 1] if ordered else 0.0
