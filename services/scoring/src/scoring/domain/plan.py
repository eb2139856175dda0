"""A profile made ready for one form: everything that scoring a submission needs, computed once."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from forms.definition import Form, QuestionType

from scoring.domain.points import QuestionScorer, question_scorer
from scoring.domain.profile import ZERO, PercentOf, Profile, SectionFunction, TotalOver, UnansweredPolicy
from scoring.domain.totals import section_points, total


@dataclass(frozen=True, slots=True)
class Bounds:
    """Least and most raw points."""

    minimum: Decimal
    maximum: Decimal


NO_BOUNDS = Bounds(ZERO, ZERO)


@dataclass(frozen=True, slots=True)
class Span:
    """Points one question may give where it counts; `droppable` when it may also not count at all."""

    minimum: Decimal
    maximum: Decimal
    droppable: bool = False


@dataclass(frozen=True)
class ScoringPlan:
    """Immutable, safe to share and keep. Scoring by it takes time that grows with the number of questions, and with how
    many of them its sections name, and with nothing else.

    `scorers` holds the questions that can give points, by key, in the form's order, `spans` what each may give.
    `bounds` are those of the whole profile, over every way through the form; `section_best` takes all questions of a
    section at their best.
    """

    form: Form
    profile: Profile
    scorers: Mapping[str, QuestionScorer]
    spans: Mapping[str, Span]
    bounds: Bounds
    section_best: Mapping[str, Decimal]

    @property
    def size(self) -> int:
        """What it takes to keep, in questions, choices and bands."""
        return sum(1 + len(q.choices) for q in self.form.questions) + sum(
            len(points.choices) + len(points.bands) for points in self.profile.questions
        )

    def unanswered_points(self, scorer: QuestionScorer) -> Decimal | None:
        """What a question without an answer gives; None when it does not count (skip) or prevents a score (block)."""
        return _unanswered_points(self.profile, scorer)

    def bounds_of(self, visible: tuple[str, ...]) -> Bounds:
        """What percentages are of: the bounds of the profile, or of the questions shown where the profile says so."""
        if self.profile.percent_of is PercentOf.PROFILE:
            return self.bounds
        return hull(self.profile, {key: self.spans[key] for key in visible if key in self.spans})

    def section_maxima(self, visible: tuple[str, ...]) -> Mapping[str, Decimal]:
        """The most points of each section, of all its questions, or of those shown where the profile says so."""
        if self.profile.percent_of is PercentOf.PROFILE:
            return self.section_best
        return _section_best(self.profile, {key: self.scorers[key] for key in visible if key in self.scorers})


def compile_plan(form: Form, profile: Profile, bounds: Bounds) -> ScoringPlan:
    """The plan of a profile that passed `lint_profile` for this form; entries for unknown questions are left out.
    `bounds` were worked out for its publication."""
    points = {each.question_key: each for each in profile.questions}
    scorers = {
        question.key: question_scorer(question, points[question.key])
        for question in form.questions
        if question.key in points and question.type is not QuestionType.TEXT
    }
    spans = {key: _span(profile, scorer) for key, scorer in scorers.items()}
    return ScoringPlan(form, profile, scorers, spans, bounds, _section_best(profile, scorers))


def _section_best(profile: Profile, scorers: Mapping[str, QuestionScorer]) -> dict[str, Decimal]:
    best = {key: scorer.maximum for key, scorer in scorers.items()}
    found = ((section.key, section_points(profile, section, best)) for section in profile.sections)
    return {key: most for key, most in found if most is not None}


def _unanswered_points(profile: Profile, scorer: QuestionScorer) -> Decimal | None:
    match profile.unanswered:
        case UnansweredPolicy.ZERO:
            return ZERO
        case UnansweredPolicy.DEFAULT:
            return scorer.clamp(profile.unanswered_points * scorer.points.weight)
        case UnansweredPolicy.SKIP | UnansweredPolicy.BLOCK:
            return None


def _span(profile: Profile, scorer: QuestionScorer) -> Span:
    """Points of a visible question over all its answers, and over none when it is optional."""
    if scorer.question.required:
        return Span(scorer.minimum, scorer.maximum)
    missing = _unanswered_points(profile, scorer)
    if missing is None:
        return Span(scorer.minimum, scorer.maximum, droppable=profile.unanswered is UnansweredPolicy.SKIP)
    return Span(min(scorer.minimum, missing), max(scorer.maximum, missing))


def adds_up(profile: Profile) -> bool:
    """Whether the total is a plain sum, where a question that drops out is the same as one that gives 0."""
    return profile.total_over is TotalOver.QUESTIONS or all(
        section.function is SectionFunction.SUM for section in profile.sections
    )


def hull(profile: Profile, spans: Mapping[str, Span]) -> Bounds:
    """Bounds of the total, never narrower than the truth.

    The mean, least and greatest of some points lie between the least and greatest of them all, so a section
    of which questions may drop out is bounded by its extremes.
    """
    lows = {key: min(span.minimum, ZERO) if span.droppable else span.minimum for key, span in spans.items()}
    highs = {key: max(span.maximum, ZERO) if span.droppable else span.maximum for key, span in spans.items()}
    if adds_up(profile) or not any(span.droppable for span in spans.values()):
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
