"""The points of one question: what an answer gives, and everything it could give."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from forms.answers import Value
from forms.definition import Question, QuestionType

from scoring.domain.profile import ZERO, Band, QuestionPoints

# More different sums than this are not listed; their bounds stay exact.
MAX_OUTCOMES = 200


@dataclass(frozen=True, slots=True)
class QuestionScorer:
    """One scored question ready for use. All points are weighted; answers are valid for the question. `bands` are in
    the order of their lower bounds, which `starts` are, but for one without."""

    question: Question
    points: QuestionPoints
    exclusive: frozenset[str]
    bands: tuple[Band, ...]
    starts: tuple[Decimal, ...]
    minimum: Decimal
    maximum: Decimal

    def score(self, value: Value) -> Decimal:
        """Weighted points of an answer; an answer of another type or an unknown choice gives 0."""
        return self._bare_points(value) * self.points.weight

    def _bare_points(self, value: Value) -> Decimal:
        points = self.points
        match self.question.type, value:
            case QuestionType.SINGLE_CHOICE, str():
                return points.choices.get(value, ZERO)
            case QuestionType.MULTIPLE_CHOICE, tuple():
                taken = set(value)
                # An exclusive choice says that none of the others holds, so the others give nothing.
                counted = taken & self.exclusive or taken
                return _within(points, sum((points.choices.get(key, ZERO) for key in counted), ZERO))
            case QuestionType.NUMBER, Decimal():
                place = bisect_right(self.starts, value) - 1 + (len(self.bands) - len(self.starts))
                return self.bands[place].points if place >= 0 and self.bands[place].holds(value) else ZERO
            case QuestionType.BOOLEAN, bool():
                return (points.points_if_true if value else points.points_if_false) or ZERO
            case _:
                return ZERO

    def clamp(self, points: Decimal) -> Decimal:
        return min(max(points, self.minimum), self.maximum)

    def outcomes(self) -> tuple[Decimal, ...]:
        """Every number of points some answer gives, ascending; empty when they are too many."""
        found = _outcomes(self.question, self.points, self.bands)
        if found is None:
            return ()
        weighted = sorted({outcome * self.points.weight for outcome in found})
        return tuple(weighted) if len(weighted) <= MAX_OUTCOMES else ()


def question_scorer(question: Question, points: QuestionPoints) -> QuestionScorer:
    bands = tuple(sorted(points.bands, key=lambda band: (band.lower is not None, band.lower or ZERO)))
    extremes = _extremes(question, points, bands)
    return QuestionScorer(
        question=question,
        points=points,
        exclusive=frozenset(choice.key for choice in question.choices if choice.exclusive),
        bands=bands,
        starts=tuple(band.lower for band in bands if band.lower is not None),
        minimum=min(extremes) * points.weight,
        maximum=max(extremes) * points.weight,
    )


def _within(points: QuestionPoints, total: Decimal) -> Decimal:
    if points.cap_points is not None:
        total = min(total, points.cap_points)
    if points.floor_points is not None:
        total = max(total, points.floor_points)
    return total


def _extremes(question: Question, points: QuestionPoints, bands: Sequence[Band]) -> set[Decimal]:
    """Unweighted points of some answers, the least and the greatest among them."""
    if question.type is not QuestionType.MULTIPLE_CHOICE:
        return _outcomes(question, points, bands) or {ZERO}
    alone, together, most = _selections(question, points)
    return {_within(points, total) for total in alone | _extreme_sums(together, most)} or {ZERO}


def _outcomes(question: Question, points: QuestionPoints, bands: Sequence[Band]) -> set[Decimal] | None:
    """Unweighted points of every possible answer; None when they are too many."""
    match question.type:
        case QuestionType.SINGLE_CHOICE:
            return {points.choices.get(choice.key, ZERO) for choice in question.choices} or {ZERO}
        case QuestionType.MULTIPLE_CHOICE:
            totals = _selection_totals(question, points)
            return None if totals is None else {_within(points, total) for total in totals} or {ZERO}
        case QuestionType.NUMBER:
            return set(_band_points(question, bands)) or {ZERO}
        case QuestionType.BOOLEAN:
            return {points.points_if_true or ZERO, points.points_if_false or ZERO}
        case QuestionType.TEXT:
            return {ZERO}


def _band_points(question: Question, bands: Sequence[Band]) -> Iterator[Decimal]:
    """Points of each band that holds an allowed number, and 0 where an allowed number is in none."""
    low, high = question.minimum, question.maximum
    covered = low
    for band in bands:
        if (high is not None and band.lower is not None and band.lower > high) or (
            low is not None and band.upper is not None and band.upper <= low
        ):
            continue
        yield band.points
        if band.lower is not None and (covered is None or band.lower > covered):
            yield ZERO
        if band.upper is None:
            return
        covered = band.upper
    if high is None or covered is None or covered <= high:
        yield ZERO


def _selections(question: Question, points: QuestionPoints) -> tuple[set[Decimal], list[Decimal], int]:
    """Points of the choices that go alone, of those that go together, and how many may."""
    alone = {points.choices.get(choice.key, ZERO) for choice in question.choices if choice.exclusive}
    together = [points.choices.get(choice.key, ZERO) for choice in question.choices if not choice.exclusive]
    return alone, together, min(question.max_choices or len(together), len(together))


def _selection_totals(question: Question, points: QuestionPoints) -> set[Decimal] | None:
    alone, together, most = _selections(question, points)
    # totals[n] holds the sums of exactly n choices.
    totals: list[set[Decimal]] = [{ZERO}, *(set[Decimal]() for _ in range(most))]
    for choice_points in together:
        for size in range(most, 0, -1):
            totals[size] |= {total + choice_points for total in totals[size - 1]}
        if sum(map(len, totals)) > MAX_OUTCOMES * 10:
            return None
    return alone.union(*totals[1:])


def _extreme_sums(choice_points: Sequence[Decimal], most: int) -> set[Decimal]:
    """Least and greatest sum of one up to `most` of the choices."""
    if not choice_points:
        return set()
    ascending = sorted(choice_points)
    lowest, *other_low = ascending[:most]
    highest, *other_high = ascending[::-1][:most]
    return {
        sum((points for points in other_low if points < 0), lowest),
        sum((points for points in other_high if points > 0), highest),
    }


def numbers_to_try(question: Question, bands: Iterable[Band], literals: Iterable[Decimal]) -> list[Decimal]:
    """At least one allowed number from every stretch between band edges and literals, and each edge itself."""
    edges = {edge for band in bands for edge in (band.lower, band.upper) if edge is not None} | set(literals)
    edges |= {bound for bound in (question.minimum, question.maximum) if bound is not None}
    ordered = sorted(edges)
    if not ordered:
        return [ZERO]
    between = [(low + high) / 2 for low, high in pairwise(ordered)]
    candidates = [ordered[0] - 1, *ordered, *between, ordered[-1] + 1]
    return sorted(
        number
        for number in candidates
        if (question.minimum is None or number >= question.minimum)
        and (question.maximum is None or number <= question.maximum)
    )
