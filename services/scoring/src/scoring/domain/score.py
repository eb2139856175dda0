"""The score of one submission: a pure function of profile, visible questions and answers."""

import hashlib
import json
from dataclasses import dataclass
from decimal import Decimal

from forms.answers import Answers, Value, is_answered
from kit.numbers import plain

from scoring.domain.plan import ScoringPlan
from scoring.domain.profile import ZERO, Scale, UnansweredPolicy
from scoring.domain.totals import percent_of, quantise, section_points, total


@dataclass(frozen=True, slots=True)
class Contribution:
    """One visible question's part; points are weighted, `max_points` is the most the question can give."""

    question_key: str
    value: Value | None
    points: Decimal
    max_points: Decimal
    unanswered: bool


@dataclass(frozen=True, slots=True)
class SectionScore:
    section: str
    points: Decimal
    max_points: Decimal
    percent: Decimal


@dataclass(frozen=True, slots=True)
class Score:
    """A score with everything it rests on.

    `score` is the figure rules compare, in the profile's scale and rounded to its quantum, or None when an
    unanswered question blocks it or too few are answered; `raw` is exact. `inputs_hash` proves what went in.
    """

    score: Decimal | None
    raw: Decimal
    reachable_min: Decimal
    reachable_max: Decimal
    percent: Decimal
    complete: bool
    sections: tuple[SectionScore, ...]
    contributions: tuple[Contribution, ...]
    inputs_hash: str


def score(plan: ScoringPlan, visible_questions: tuple[str, ...], answers: Answers) -> Score:
    """Answers to questions that are not visible have no effect."""
    profile = plan.profile
    points: dict[str, Decimal] = {}
    contributions: list[Contribution] = []
    answered = missing = 0
    for key in visible_questions:
        value = answers.get(key)
        if not is_answered(value):
            value = None
        scorer = plan.scorers.get(key)
        given: Decimal | None = None
        if scorer is not None:
            if value is None:
                missing += 1
                given = plan.unanswered_points(scorer)
            else:
                answered += 1
                given = scorer.score(value)
            if given is not None:
                points[key] = given
        contributions.append(Contribution(key, value, given or ZERO, scorer.maximum if scorer else ZERO, value is None))
    complete = answered >= profile.minimum_answered and not (missing and profile.unanswered is UnansweredPolicy.BLOCK)
    raw = total(profile, points)
    bounds = plan.bounds_of(visible_questions)
    percent = percent_of(raw, bounds.maximum, profile.quantum)
    figure = percent if profile.scale is Scale.PERCENT else quantise(raw, profile.quantum)
    return Score(
        score=figure if complete else None,
        raw=raw,
        reachable_min=bounds.minimum,
        reachable_max=bounds.maximum,
        percent=percent,
        complete=complete,
        sections=_sections(plan, visible_questions, points),
        contributions=tuple(contributions),
        inputs_hash=_inputs_hash(profile.fingerprint, contributions),
    )


def _sections(plan: ScoringPlan, visible: tuple[str, ...], points: dict[str, Decimal]) -> tuple[SectionScore, ...]:
    """Scores of the sections that count here."""
    maxima = plan.section_maxima(visible) if plan.profile.sections else {}
    scores: list[SectionScore] = []
    for section in plan.profile.sections:
        own = section_points(plan.profile, section, points)
        if own is not None:
            most = maxima[section.key]
            scores.append(SectionScore(section.key, own, most, percent_of(own, most, plan.profile.quantum)))
    return tuple(scores)


def _inputs_hash(fingerprint: str, contributions: list[Contribution]) -> str:
    """SHA-256 over the profile and every visible question with its answer, hexadecimal."""
    inputs = [fingerprint, [[each.question_key, _canonical(each.value)] for each in contributions]]
    return hashlib.sha256(json.dumps(inputs, separators=(",", ":")).encode()).hexdigest()


def _canonical(value: Value | None) -> object:
    if isinstance(value, Decimal):
        return {"number": plain(value)}
    return sorted(value) if isinstance(value, tuple) else value
