"""Which totals can occur at all, over every path through a form: what a threshold is checked against."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from math import prod

from scoring.domain.paths import GatePoints
from scoring.domain.plan import Bounds, ScoringPlan, Span
from scoring.domain.profile import ZERO, Scale, SectionFunction, TotalOver, UnansweredPolicy
from scoring.domain.totals import percent_of, quantise, section_points, total

MAX_COMBINATIONS = 5000


@dataclass(frozen=True, slots=True)
class Reachable:
    """Bounds of the raw total of complete submissions.

    `scores` lists every figure that can occur, ascending, in the profile's scale; empty when there are too many
    combinations. `exact` is False when the bounds may be wider than what can really occur, never narrower.
    """

    minimum: Decimal
    maximum: Decimal
    scores: tuple[Decimal, ...]
    exact: bool


def reachable(plan: ScoringPlan) -> Reachable:
    """Zero bounds and no scores when no submission can be complete, which `lint_profile` reports."""
    listed = _enumerate(plan)
    if listed is None:
        return _bounds_only(plan)
    if not listed:
        return Reachable(ZERO, ZERO, (), exact=True)
    raws = [raw for raw, _ in listed]
    return Reachable(min(raws), max(raws), tuple(sorted({figure for _, figure in listed})), exact=True)


# The points of a question, or None where it is left unanswered and does not count.
_Option = tuple[Decimal | None, bool]


def _options(plan: ScoringPlan, key: str) -> Sequence[_Option] | None:
    """Each outcome of a question that is no gate, with whether it is answered; None when too many to list."""
    scorer = plan.scorers[key]
    if not scorer.outcomes:
        return None
    options: list[_Option] = [(points, True) for points in scorer.outcomes]
    if not scorer.question.required and plan.profile.unanswered is not UnansweredPolicy.BLOCK:
        options.append((plan.unanswered_points(scorer), False))
    return options


def _enumerate(plan: ScoringPlan) -> set[tuple[Decimal, Decimal]] | None:
    """Every raw total with its figure in the profile's scale, or None when there are too many to try."""
    if plan.paths is None:
        return None
    work: list[tuple[tuple[str, ...], GatePoints, list[str], list[Sequence[_Option]]]] = []
    combinations = 0
    for visible, gate_combinations in plan.paths.items():
        for gates in gate_combinations:
            keys = _free_keys(plan, visible, gates)
            options = [_options(plan, key) for key in keys]
            listed = [each for each in options if each is not None]
            if len(listed) < len(options):
                return None
            combinations += prod(map(len, listed))
            if combinations > MAX_COMBINATIONS:
                return None
            work.append((visible, gates, keys, listed))
    return {found for item in work for found in _totals(plan, *item)}


def _free_keys(plan: ScoringPlan, visible: tuple[str, ...], gates: GatePoints) -> list[str]:
    gate_keys = {key for key, _ in gates}
    return [key for key in visible if key in plan.scorers and key not in gate_keys]


def _totals(
    plan: ScoringPlan,
    visible: tuple[str, ...],
    gates: GatePoints,
    keys: list[str],
    options: list[Sequence[_Option]],
) -> Iterator[tuple[Decimal, Decimal]]:
    profile = plan.profile
    gate_points = plan.gate_points(gates)
    if gate_points is None:
        return
    gates_answered = sum(given is not None for _, given in gates)
    for chosen in product(*options):
        if gates_answered + sum(answered for _, answered in chosen) < profile.minimum_answered:
            continue
        points = gate_points | {key: given for key, (given, _) in zip(keys, chosen, strict=True) if given is not None}
        raw = total(profile, points)
        if profile.scale is Scale.PERCENT:
            maximum = plan.bounds(visible, frozenset(points)).maximum
            yield raw, percent_of(raw, maximum, profile.quantum)
        else:
            yield raw, quantise(raw, profile.quantum)


def _bounds_only(plan: ScoringPlan) -> Reachable:
    exact = plan.paths is not None and plan.profile.minimum_answered == 0
    found: list[Bounds] = []
    for spans in _span_sets(plan):
        exact = exact and (_adds_up(plan) or not any(span.droppable for span in spans.values()))
        found.append(_hull(plan, spans))
    if not found:
        return Reachable(ZERO, ZERO, (), exact=True)
    return Reachable(min(each.minimum for each in found), max(each.maximum for each in found), (), exact)


def _span_sets(plan: ScoringPlan) -> Iterator[Mapping[str, Span]]:
    """For each path the span of each question on it; without paths, one set where conditional ones may be missing."""
    if plan.paths is None:
        spans = {key: plan.span(key) for key in plan.scorers}
        yield {
            key: Span(span.minimum, span.maximum, span.droppable or bool(plan.scorers[key].question.visible_if))
            for key, span in spans.items()
        }
        return
    for visible, gate_combinations in plan.paths.items():
        for gates in gate_combinations:
            gate_points = plan.gate_points(gates)
            if gate_points is not None:
                fixed = {key: Span(points, points) for key, points in gate_points.items()}
                yield fixed | {key: plan.span(key) for key in _free_keys(plan, visible, gates)}


def _adds_up(plan: ScoringPlan) -> bool:
    """Whether the total is a plain sum, where a question that drops out is the same as one that gives 0."""
    profile = plan.profile
    return profile.total_over is TotalOver.QUESTIONS or all(
        section.function is SectionFunction.SUM for section in profile.sections
    )


def _hull(plan: ScoringPlan, spans: Mapping[str, Span]) -> Bounds:
    """Bounds of the total, never narrower than the truth.

    The mean, least and greatest of some points lie between the least and greatest of them all, so a section
    of which questions may drop out is bounded by its extremes.
    """
    profile = plan.profile
    lows = {key: min(span.minimum, ZERO) if span.droppable else span.minimum for key, span in spans.items()}
    highs = {key: max(span.maximum, ZERO) if span.droppable else span.maximum for key, span in spans.items()}
    if _adds_up(plan) or not any(span.droppable for span in spans.values()):
        return Bounds(total(profile, lows), total(profile, highs))
    minimum = maximum = ZERO
    for section in profile.sections:
        own = [key for key in section.question_keys if key in spans]
        if not own:
            continue
        if section.function is SectionFunction.SUM:
            minimum += section_points(profile, section, lows) or ZERO
            maximum += section_points(profile, section, highs) or ZERO
        else:
            minimum += min(lows[key] for key in own)
            maximum += max(highs[key] for key in own)
    if profile.floor_zero:
        minimum, maximum = max(minimum, ZERO), max(maximum, ZERO)
    return Bounds(minimum, maximum)
