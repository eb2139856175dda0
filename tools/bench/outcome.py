"""The figures of a run of submissions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """From the first submission's beginning to the last one's end: how many a second; and the seconds that 99 of 100
    stayed below."""

    per_s: float
    p99_s: float


def outcome_of(began: Mapping[str, float], ended: Mapping[str, float]) -> Outcome:
    """The same submissions' beginnings and ends, in seconds of one clock, two or more. Raises ValueError when they
    are not the same."""
    if began.keys() != ended.keys():
        raise ValueError(f"{len(began.keys() ^ ended.keys())} submissions only began or only ended")
    latencies = [ended[key] - began[key] for key in began]
    return Outcome(len(began) / (max(ended.values()) - min(began.values())), quantile(latencies, 0.99))


def quantile(values: list[float], share: float) -> float:
    """The value below which this share lies, between its neighbours in proportion, as percentile_cont of
    PostgreSQL."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
