"""A profile made ready for one form: everything that scoring a submission needs, computed once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from forms.definition import Form, QuestionType

from scoring.domain.paths import GatePoints, Paths, find_paths
from scoring.domain.points import QuestionScorer, question_scorer
from scoring.domain.profile import ZERO, Profile, TotalOver, UnansweredPolicy
from scoring.domain.totals import total

_MAX_CACHED_BOUNDS = 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """Least and most raw points."""

    minimum: Decimal
    maximum: Decimal


@dataclass(frozen=True, slots=True)
class Span:
    """Points one question may give where it counts; `droppable` when it may also not count at all."""

    minimum: Decimal
    maximum: Decimal
    droppable: bool = False


@dataclass(frozen=True)
class ScoringPlan:
    """Immutable except for a bounded cache of bounds; safe to share and keep.

    `scorers` holds the questions that can give points, by key, in the form's order; `paths` is None when the
    ways through the form cannot be enumerated, and bounds then take every visible question by itself.
    """

    form: Form
    profile: Profile
    scorers: Mapping[str, QuestionScorer]
    paths: Paths | None
    _bounds: dict[tuple[tuple[str, ...], frozenset[str]], Bounds] = field(
        default_factory=dict[tuple[tuple[str, ...], frozenset[str]], Bounds], compare=False, repr=False
    )

    def unanswered_points(self, scorer: QuestionScorer) -> Decimal | None:
        """What a question without an answer gives; None when it does not count (skip) or prevents a score (block)."""
        match self.profile.unanswered:
            case UnansweredPolicy.ZERO:
                return ZERO
            case UnansweredPolicy.DEFAULT:
                return scorer.clamp(self.profile.unanswered_points * scorer.points.weight)
            case UnansweredPolicy.SKIP | UnansweredPolicy.BLOCK:
                return None

    def span(self, key: str) -> Span:
        """Points of a visible question over all its answers, and over none when it is optional."""
        scorer = self.scorers[key]
        if scorer.question.required:
            return Span(scorer.minimum, scorer.maximum)
        missing = self.unanswered_points(scorer)
        if missing is None:
            skipped = self.profile.unanswered is UnansweredPolicy.SKIP
            return Span(scorer.minimum, scorer.maximum, droppable=skipped)
        return Span(min(scorer.minimum, missing), max(scorer.maximum, missing))

    def bounds(self, visible: tuple[str, ...], counted: frozenset[str]) -> Bounds:
        """Raw points reachable on the path with these visible questions, of which `counted` make up the total.

        Answers that would lead to another path are left out, so that a rep can really reach the maximum.
        """
        known = self._bounds.get((visible, counted))
        if known is None:
            known = self._work_out_bounds(visible, counted)
            if len(self._bounds) >= _MAX_CACHED_BOUNDS:
                self._bounds.clear()
            self._bounds[visible, counted] = known
        return known

    def _work_out_bounds(self, visible: tuple[str, ...], counted: frozenset[str]) -> Bounds:
        # In the form's order, so that sections see the same mapping whatever the order of a set.
        spans = {key: self.span(key) for key in self.scorers if key in counted}
        least, most = self._extreme_gates(list(self._gate_points(visible, counted)) or [{}])
        lows = {key: span.minimum for key, span in spans.items()}
        highs = {key: span.maximum for key, span in spans.items()}
        return Bounds(
            minimum=min(total(self.profile, lows | gates) for gates in least),
            maximum=max(total(self.profile, highs | gates) for gates in most),
        )

    def _extreme_gates(
        self, combinations: list[dict[str, Decimal]]
    ) -> tuple[list[dict[str, Decimal]], list[dict[str, Decimal]]]:
        """The combinations that can give the least and the greatest total: one each where points simply add up."""
        if self.profile.total_over is TotalOver.SECTIONS:
            return combinations, combinations
        by_sum = sorted(combinations, key=lambda points: sum(points.values(), ZERO))
        return by_sum[:1], by_sum[-1:]

    def _gate_points(self, visible: tuple[str, ...], counted: frozenset[str]) -> Iterator[dict[str, Decimal]]:
        """Points the gates give on this path, for each combination in which exactly the counted ones count."""
        for combination in (self.paths or {}).get(visible, ()):
            points = self.gate_points(combination)
            if points is not None and points.keys() == {key for key, _ in combination if key in counted}:
                yield points

    def gate_points(self, combination: GatePoints) -> dict[str, Decimal] | None:
        """The combination with unanswered gates settled by policy; None when it can have no score."""
        points: dict[str, Decimal] = {}
        for key, given in combination:
            settled = self.unanswered_points(self.scorers[key]) if given is None else given
            if settled is not None:
                points[key] = settled
            elif self.profile.unanswered is UnansweredPolicy.BLOCK:
                return None
        return points


def compile_plan(form: Form, profile: Profile) -> ScoringPlan:
    """The plan of a profile that passed `lint_profile` for this form; entries for unknown questions are left out."""
    points = {each.question_key: each for each in profile.questions}
    scorers = {
        question.key: question_scorer(question, points[question.key])
        for question in form.questions
        if question.key in points and question.type is not QuestionType.TEXT
    }
    return ScoringPlan(form, profile, scorers, find_paths(form, scorers))
