"""The figures that are measured, their targets, and how results are kept and judged."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """A figure's name, what it says and in which unit, and what it should reach: its ratio to the reference, or
    itself where there is none."""

    name: str
    unit: str
    meaning: str
    at_least: float | None = None
    at_most: float | None = None


FIGURES = (
    Figure("decision", "decisions/s", "with trace and margins, beside the raw rules engine", at_least=0.5),
    Figure("scoring", "submissions/s", "scored with trace, beside a loop that adds points up"),
    Figure("start", "s", "`make up` on an empty folder with everything installed, until all is ready", at_most=30),
    Figure("memory_idle", "MB resident", "the five services together, at rest", at_most=800),
    Figure("pipeline_single", "submissions/s", "one by one through the API to a write intent", at_least=0.6),
    Figure("pipeline_batch", "submissions/s", "offline batches of 100 to write intents", at_least=0.35),
    Figure("pipeline_p99", "ms", "from acceptance to the write intent, at half of pipeline_single", at_most=3),
    Figure("cpu_per_change", "CPU s", "of the five services for 1,000 stage changes"),
    Figure(
        "http_submission", "submissions/s", "the API alone, beside bare FastAPI that inserts the same", at_least=0.5
    ),
    Figure(
        "timers", "timers/s", "due at once and fired, beside a bare loop that claims and writes the same", at_least=0.15
    ),
    Figure("pipeline_org", "submissions/s", "one by one to the confirmation of the simulated Salesforce org"),
    Figure("growth", "submissions/s", "pipeline_batch with very many opportunities, beside few", at_least=0.9),
)
NAMES = tuple(figure.name for figure in FIGURES)


@dataclass(frozen=True)
class Result:
    """A figure as measured: medians over the runs, and the median of the ratios of the pairs."""

    name: str
    ours: float
    reference: float | None
    unit: str
    ratio: float | None
    runs: int


def median_result(figure: Figure, pairs: Sequence[tuple[float, float | None]]) -> Result:
    """The medians of measurements (ours, reference), all with a reference or none."""
    ours = statistics.median(a for a, _ in pairs)
    references = [b for _, b in pairs if b is not None]
    if not references:
        return Result(figure.name, _rounded(ours), None, figure.unit, None, len(pairs))
    ratio = statistics.median(a / b for a, b in pairs if b is not None)
    reference = statistics.median(references)
    return Result(figure.name, _rounded(ours), _rounded(reference), figure.unit, round(ratio, 3), len(pairs))


def reached(figure: Figure, result: Result) -> bool | None:
    """Whether the figure reaches its target; None when it has none."""
    value = result.ours if result.ratio is None else result.ratio
    if figure.at_least is not None:
        return value >= figure.at_least
    if figure.at_most is not None:
        return value <= figure.at_most
    return None


class Report:
    """Collects figures, shows each, and writes the file after each, so that an interrupted run leaves what it
    found."""

    def __init__(self, file: Path, pairs: int) -> None:
        self._file, self.pairs = file, pairs
        self.results: dict[str, Result] = {}

    def measure(self, name: str, pair: Callable[[], tuple[float, float | None]], runs: int | None = None) -> Result:
        """Take a measurement and its reference, several times in turn, and note the medians."""
        figure = FIGURES[NAMES.index(name)]
        say(f"{name}: {figure.meaning}")
        taken: list[tuple[float, float | None]] = []
        for number in range(1, (runs or self.pairs) + 1):
            ours, reference = pair()
            taken.append((ours, reference))
            beside = "" if reference is None else f", reference {reference:,.1f}, ratio {ours / reference:.2f}"
            say(f"  {number}: {ours:,.1f} {figure.unit}{beside}")
        return self._note(median_result(figure, taken))

    def _note(self, result: Result) -> Result:
        self.results[result.name] = result
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps([asdict(found) for found in self.results.values()], indent=1) + "\n")
        return result

    def verdict(self) -> tuple[list[str], list[str]]:
        """A table of the results with their targets, and the names of those that miss theirs."""
        rows = [("figure", "ours", "reference", "unit", "ratio", "target", "")]
        missed: list[str] = []
        for figure in FIGURES:
            if (result := self.results.get(figure.name)) is None:
                continue
            good = reached(figure, result)
            if good is False:
                missed.append(figure.name)
            rows.append((figure.name, *_cells(result), _target(figure), {None: "", True: "ok", False: "MISSED"}[good]))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return lines, missed


def say(line: str) -> None:
    """Progress, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _cells(result: Result) -> tuple[str, str, str, str]:
    reference = "" if result.reference is None else f"{result.reference:,.1f}"
    return f"{result.ours:,.1f}", reference, result.unit, "" if result.ratio is None else f"{result.ratio:.2f}"


def _target(figure: Figure) -> str:
    if figure.at_least is not None:
        return f"≥ {figure.at_least:g}"
    return f"≤ {figure.at_most:g}" if figure.at_most is not None else ""


def _rounded(value: float) -> float:
    return round(value, 3)
