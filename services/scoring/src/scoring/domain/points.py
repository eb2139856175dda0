"""The points of one question: what an answer gives, and everything it could give."""

from collections.abc import Iterable, Sequence
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
    """One scored question ready for use. All points are weighted; answers are valid for the question.

    `outcomes` lists every number of points some answer gives, ascending, or is empty when they are too many.
    """

    question: Question
    points: QuestionPoints
    exclusive: frozenset[str]
    minimum: Decimal
    maximum: Decimal
    outcomes: tuple[Decimal, ...]

    def score(self, value: Value) -> Decimal:
        """Weighted points of an answer; an answer of another type or an unknown choice gives 0."""
        return _bare_points(self.question.type, self.points, self.exclusive, value) * self.points.weight

    def clamp(self, points: Decimal) -> Decimal:
        return min(max(points, self.minimum), self.maximum)


def question_scorer(question: Question, points: QuestionPoints) -> QuestionScorer:
    exclusive = frozenset(choice.key for choice in question.choices if choice.exclusive)
    outcomes = _outcomes(question, points)
    weighted = sorted({outcome * points.weight for outcome in outcomes})
    return QuestionScorer(
        question=question,
        points=points,
        exclusive=exclusive,
        minimum=weighted[0],
        maximum=weighted[-1],
        outcomes=tuple(weighted) if len(weighted) <= MAX_OUTCOMES else (),
    )


def _bare_points(type_: QuestionType, points: QuestionPoints, exclusive: frozenset[str], value: Value) -> Decimal:
    match type_, value:
        case QuestionType.SINGLE_CHOICE, str():
            return points.choices.get(value, ZERO)
        case QuestionType.MULTIPLE_CHOICE, tuple():
            taken = set(value)
            # An exclusive choice says that none of the others holds, so the others give nothing.
            counted = taken & exclusive or taken
            return _within(points, sum((points.choices.get(key, ZERO) for key in counted), ZERO))
        case QuestionType.NUMBER, Decimal():
            return next((band.points for band in points.bands if band.holds(value)), ZERO)
        case QuestionType.BOOLEAN, bool():
            return (points.points_if_true if value else points.points_if_false) or ZERO
        case _:
            return ZERO


def _within(points: QuestionPoints, total: Decimal) -> Decimal:
    if points.cap_points is not None:
        total = min(total, points.cap_points)
    if points.floor_points is not None:
        total = max(total, points.floor_points)
    return total


def _outcomes(question: Question, points: QuestionPoints) -> set[Decimal]:
    """Unweighted points of every possible answer, or of the least and the greatest when they are too many."""
    match question.type:
        case QuestionType.SINGLE_CHOICE:
            return {points.choices.get(choice.key, ZERO) for choice in question.choices} or {ZERO}
        case QuestionType.MULTIPLE_CHOICE:
            return {_within(points, total) for total in _selection_totals(question, points)} or {ZERO}
        case QuestionType.NUMBER:
            return {
                next((band.points for band in points.bands if band.holds(number)), ZERO)
                for number in numbers_to_try(question, points.bands, ())
            } or {ZERO}
        case QuestionType.BOOLEAN:
            return {points.points_if_true or ZERO, points.points_if_false or ZERO}
        case QuestionType.TEXT:
            return {ZERO}


def _selection_totals(question: Question, points: QuestionPoints) -> set[Decimal]:
    alone = {points.choices.get(choice.key, ZERO) for choice in question.choices if choice.exclusive}
    together = [points.choices.get(choice.key, ZERO) for choice in question.choices if not choice.exclusive]
    most = question.max_choices or len(together)
    # totals[n] holds the sums of exactly n choices.
    totals: list[set[Decimal]] = [{ZERO}, *(set[Decimal]() for _ in range(most))]
    for choice_points in together:
        for size in range(min(most, len(together)), 0, -1):
            totals[size] |= {total + choice_points for total in totals[size - 1]}
        if sum(map(len, totals)) > MAX_OUTCOMES * 10:
            return alone | _extremes(together, most)
    return alone.union(*totals[1:])


def _extremes(choice_points: Sequence[Decimal], most: int) -> set[Decimal]:
    """Least and greatest sum of one up to `most` of the choices."""
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
