"""Which totals can occur at all, over every way through a form: what a threshold is checked against."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from itertools import product
from math import prod

from forms.definition import Form

from scoring.domain.paths import Way, Ways, find_ways
from scoring.domain.plan import NO_BOUNDS, Bounds, ScoringPlan, Span, adds_up, compile_plan, hull
from scoring.domain.profile import ZERO, Profile, Scale, UnansweredPolicy
from scoring.domain.totals import percent_of, quantise, total

MAX_COMBINATIONS = 5000
# Points added up over all combinations together: about a second.
MAX_STEPS = 400_000


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

    @property
    def bounds(self) -> Bounds:
        """What percentages are of."""
        return Bounds(self.minimum, self.maximum)


@dataclass(frozen=True)
class Survey:
    """A plan seen over every way through its form."""

    plan: ScoringPlan
    ways: Ways | None

    @cached_property
    def reachable(self) -> Reachable:
        """Zero bounds and no scores when no submission can be complete, which `lint_profile` reports."""
        listed = self._enumerate()
        if listed is None:
            return self._bounds_only()
        if not listed:
            return Reachable(ZERO, ZERO, (), exact=True)
        raws = [raw for raw, _ in listed]
        bounds = Bounds(min(raws), max(raws))
        plan = replace(self.plan, bounds=bounds)
        figures = {self._figure(plan, raw, visible) for raw, visible in listed}
        return Reachable(bounds.minimum, bounds.maximum, tuple(sorted(figures)), exact=True)

    def spans_on(self, way: Way) -> Mapping[str, Span] | None:
        """What each question may give on this way, where its gates are answered; None when it has no score."""
        spans: dict[str, Span] = {}
        for key in way.visible:
            scorer = self.plan.scorers.get(key)
            if scorer is None:
                continue
            if self.ways is None or key not in self.ways.gates:
                spans[key] = self.plan.spans[key]
                continue
            points = scorer.score(way.answers[key]) if key in way.answers else self.plan.unanswered_points(scorer)
            if points is not None:
                spans[key] = Span(points, points)
            elif self.plan.profile.unanswered is UnansweredPolicy.BLOCK:
                return None
        return spans

    @staticmethod
    def _figure(plan: ScoringPlan, raw: Decimal, visible: tuple[str, ...]) -> Decimal:
        if plan.profile.scale is Scale.RAW:
            return quantise(raw, plan.profile.quantum)
        return percent_of(raw, plan.bounds_of(visible).maximum, plan.profile.quantum)

    def best_figure(self, way: Way) -> Decimal | None:
        """The most that this way can give, in the profile's scale."""
        spans = self.spans_on(way)
        return None if spans is None else self._figure(self.plan, hull(self.plan.profile, spans).maximum, way.visible)

    @cached_property
    def _outcomes(self) -> Mapping[str, tuple[Decimal, ...]]:
        return {key: scorer.outcomes() for key, scorer in self.plan.scorers.items()}

    def _options(self, key: str) -> Sequence["_Option"] | None:
        """Each outcome of a question that is no gate, with whether it is answered; None when too many to list."""
        scorer = self.plan.scorers[key]
        outcomes = self._outcomes[key]
        if not outcomes:
            return None
        options: list[_Option] = [(points, True) for points in outcomes]
        if not scorer.question.required and self.plan.profile.unanswered is not UnansweredPolicy.BLOCK:
            options.append((self.plan.unanswered_points(scorer), False))
        return options

    def _enumerate(self) -> set[tuple[Decimal, tuple[str, ...]]] | None:
        """Every raw total with what was visible, or None when there are too many to try."""
        if self.ways is None:
            return None
        work: list[tuple[Way, list[str], list[Sequence[_Option]]]] = []
        combinations = 0
        named = sum(len(section.question_keys) for section in self.plan.profile.sections)
        for way in self.ways.ways:
            keys = [key for key in way.visible if key in self.plan.scorers and key not in self.ways.gates]
            options = [options for key in keys if (options := self._options(key)) is not None]
            if len(options) < len(keys):
                return None
            combinations += prod(map(len, options))
            if combinations > MAX_COMBINATIONS or combinations * (len(self.plan.scorers) + named) > MAX_STEPS:
                return None
            work.append((way, keys, options))
        return {found for item in work for found in self._totals(*item)}

    def _totals(
        self, way: Way, keys: list[str], options: list[Sequence["_Option"]]
    ) -> Iterator[tuple[Decimal, tuple[str, ...]]]:
        profile, spans = self.plan.profile, self.spans_on(way)
        if spans is None:
            return
        gate_points = {key: span.minimum for key, span in spans.items() if key not in keys}
        gates_answered = sum(key in self.plan.scorers for key in way.answers)
        for chosen in product(*options):
            if gates_answered + sum(answered for _, answered in chosen) < profile.minimum_answered:
                continue
            free = {key: given for key, (given, _) in zip(keys, chosen, strict=True) if given is not None}
            yield total(profile, gate_points | free), way.visible

    def _bounds_only(self) -> Reachable:
        exact = self.ways is not None and self.plan.profile.minimum_answered == 0
        found: list[Bounds] = []
        for spans in self._span_sets():
            exact = exact and (adds_up(self.plan.profile) or not any(span.droppable for span in spans.values()))
            found.append(hull(self.plan.profile, spans))
        if not found:
            return Reachable(ZERO, ZERO, (), exact=True)
        return Reachable(min(each.minimum for each in found), max(each.maximum for each in found), (), exact)

    def _span_sets(self) -> Iterator[Mapping[str, Span]]:
        """The spans on each way; without ways, one set in which conditional questions may be missing."""
        if self.ways is not None:
            yield from (spans for way in self.ways.ways if (spans := self.spans_on(way)) is not None)
            return
        yield {
            key: replace(span, droppable=span.droppable or bool(self.plan.scorers[key].question.visible_if))
            for key, span in self.plan.spans.items()
        }


# The points of a question, or None where it is left unanswered and does not count; and whether it is answered.
_Option = tuple[Decimal | None, bool]


def survey(form: Form, profile: Profile) -> Survey:
    """The profile over every way through the form, with its bounds. May take seconds for a large form."""
    plan = compile_plan(form, profile, NO_BOUNDS)
    ways = find_ways(form, plan.scorers)
    found = Survey(plan, ways).reachable
    return Survey(replace(plan, bounds=found.bounds), ways)
