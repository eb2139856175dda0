"""What one opportunity went through, and the cases the model may learn from it.

A case pairs what was known when an assessment was captured (stage, assessment, score band) with where the
opportunity durably ended up next. Cases are a pure function of the set of facts in the history, so the order in
which topics deliver those facts cannot change the final counts.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum


class Category(StrEnum):
    OPEN = "open"
    WON = "won"
    LOST = "lost"
    ABANDONED = "abandoned"


class VisitEntry(StrEnum):
    """How a visit began, as far as it changes what earlier visits taught."""

    MOVE = "move"
    REGRESS = "regress"
    REOPEN = "reopen"


@dataclass(frozen=True, slots=True)
class Visit:
    """One stay in one stage. It ends when the next visit begins."""

    visit_no: int
    stage_key: str
    category: Category
    entry: VisitEntry
    pipeline_key: str
    pipeline_version: int
    cycle_no: int
    revision: int
    entered_at: datetime


@dataclass(frozen=True, slots=True)
class Evidence:
    """A scored submission as of its capture. Without `band` its scoring profile has not arrived yet."""

    submission_id: str
    score_id: str
    assessment_key: str
    band: str | None
    stage_key: str
    visit_no: int
    captured_at: datetime
    attempt_no: int
    received_at: datetime
    scored_at: datetime

    @property
    def order(self) -> tuple[int, datetime, str]:
        """Of two captures of one assessment in one visit, the greater replaces the other.

        The order is that of the stage engine: the attempts of a device, then arrival. A device's clock decides nothing.
        """
        return self.attempt_no, self.received_at, self.submission_id


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """What was known at capture: the finest place where the model counts."""

    pipeline_key: str
    stage_key: str
    assessment_key: str
    band: str


class Total(StrEnum):
    """Per pipeline: visits the model learned from, and closed opportunities by outcome."""

    ENDED_VISITS = "ended_visits"
    WON = "won"
    LOST = "lost"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class Lessons:
    """What opportunities add to the model: cases by (cell, stage it led to) and totals by (pipeline, total)."""

    cases: Counter[tuple[Cell, str]] = field(default_factory=Counter)
    totals: Counter[tuple[str, Total]] = field(default_factory=Counter)

    def add(self, other: "Lessons") -> None:
        self.cases.update(other.cases)
        self.totals.update(other.totals)

    def subtract(self, other: "Lessons") -> None:
        self.cases.subtract(other.cases)
        self.totals.subtract(other.totals)


@dataclass(slots=True)
class History:
    """The facts known of one opportunity, each kept once even if it arrives again."""

    opportunity_id: str
    visits: dict[int, Visit] = field(default_factory=dict)
    evidence: dict[str, Evidence] = field(default_factory=dict)

    def enter(self, visit: Visit) -> bool:
        """Keeps the visit; of two reports of one visit the later revision, with the time and the entry of the first: a
        migration changes what the stage is called while the visit goes on. Says whether anything changed."""
        known = self.visits.get(visit.visit_no)
        if known is not None:
            first, last = sorted((known, visit), key=lambda each: each.revision)
            visit = replace(last, entered_at=min(first.entered_at, last.entered_at), entry=first.entry)
        self.visits[visit.visit_no] = visit
        return visit != known

    def score(self, evidence: Evidence) -> bool:
        """Keeps the score; a later scoring replaces an earlier one. Says whether anything changed."""
        known = self.evidence.get(evidence.submission_id)
        if known is not None and (known.scored_at, known.score_id) >= (evidence.scored_at, evidence.score_id):
            return False
        self.evidence[evidence.submission_id] = evidence
        return True

    @property
    def current(self) -> Visit | None:
        return self.visits[max(self.visits)] if self.visits else None

    def left_at(self, visit: Visit) -> datetime | None:
        """When the visit ended; None while it lasts."""
        successor = self.visits.get(visit.visit_no + 1)
        return successor.entered_at if successor else None

    def led_to(self, visit: Visit) -> str | None:
        """The stage where the opportunity ended up after the visit; None while the visit lasts.

        A move undone by a regress was not earned, and an outcome that was left again, to whatever stage, was none: both
        pass on to the stage the opportunity went to instead.
        """
        successor = self.visits.get(visit.visit_no + 1)
        if successor is None:
            return None
        undo = self.visits.get(successor.visit_no + 1)
        while undo is not None and (undo.entry is not VisitEntry.MOVE or successor.category is not Category.OPEN):
            successor, undo = undo, self.visits.get(undo.visit_no + 1)
        return successor.stage_key


def lessons(history: History) -> Lessons:
    """What the opportunity teaches so far: only from open-stage visits that ended after the evidence was captured.

    Evidence replaced by a later capture of the same assessment in the same visit left the opportunity where it was:
    its label is the visit's own stage. The evidence in force when the visit ended has the stage the opportunity went
    to.
    """
    learned = Lessons()
    for visit in history.visits.values():
        settled = _settled(history, visit)
        if settled:
            learned.totals[visit.pipeline_key, Total.ENDED_VISITS] += 1
            learned.cases.update(settled)
    current = history.current
    if current is not None and current.category is not Category.OPEN:
        learned.totals[current.pipeline_key, Total(current.category.value)] += 1
    return learned


def _settled(history: History, visit: Visit) -> Mapping[tuple[Cell, str], int]:
    left_at, led_to = history.left_at(visit), history.led_to(visit)
    if visit.category is not Category.OPEN or left_at is None or led_to is None:
        return {}
    cases: Counter[tuple[Cell, str]] = Counter()
    in_force: set[str] = set()
    known_then = [
        evidence
        for evidence in history.evidence.values()
        if (evidence.visit_no, evidence.stage_key) == (visit.visit_no, visit.stage_key)
        and evidence.captured_at <= left_at
    ]
    for evidence in sorted(known_then, key=lambda known: known.order, reverse=True):
        label = visit.stage_key if evidence.assessment_key in in_force else led_to
        in_force.add(evidence.assessment_key)
        if evidence.band is not None:
            cell = Cell(visit.pipeline_key, visit.stage_key, evidence.assessment_key, evidence.band)
            cases[cell, label] += 1
    return cases
