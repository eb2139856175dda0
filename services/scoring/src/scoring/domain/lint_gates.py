"""Gates whose worse answer costs nothing, because it hides questions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from forms.answers import Value
from forms.lint import Finding, Severity
from kit.numbers import plain

from scoring.domain.profile import ZERO
from scoring.domain.reach import Survey


@dataclass(slots=True)
class _Outcome:
    """What one answer of a gate leads to: its own points, every scored question that may show, the best score."""

    points: Decimal
    shown: set[str] = field(default_factory=set[str])
    best: Decimal | None = None


def gate_findings(survey: Survey) -> Iterator[Finding]:
    """For each gate the answer that hides the most for nothing: worth no more than another answer, showing less, and
    yet good for at least the same score."""
    if survey.ways is None:
        return
    order = {points.question_key: index for index, points in enumerate(survey.plan.profile.questions)}
    outcomes = _outcomes(survey)
    for gate in (question.key for question in survey.plan.form.questions if question.key in survey.ways.gates):
        gain = _gain(outcomes.get(gate, {}))
        if gain is not None:
            pointer = f"/questions/{order[gate]}" if gate in order else "/questions"
            yield Finding(Severity.WARNING, "hiding_costs_nothing", pointer, _words(gate, *gain))


def _outcomes(survey: Survey) -> Mapping[str, Mapping[Value | None, _Outcome]]:
    """By gate and answer; the answer None is none."""
    assert survey.ways is not None
    plan = survey.plan
    found: dict[str, dict[Value | None, _Outcome]] = {}
    for way in survey.ways.ways:
        best = survey.best_figure(way)
        if best is None:
            continue
        shown = plan.scorers.keys() & set(way.visible)
        for gate in survey.ways.gates.intersection(way.visible):
            answer = way.answers.get(gate)
            scorer = plan.scorers.get(gate)
            points = ZERO
            if scorer is not None:
                points = (plan.unanswered_points(scorer) if answer is None else scorer.score(answer)) or ZERO
            outcome = found.setdefault(gate, {}).setdefault(answer, _Outcome(points))
            outcome.shown |= shown
            outcome.best = best if outcome.best is None else max(best, outcome.best)
    return found


_Side = tuple[Value | None, _Outcome]


def _gain(by_answer: Mapping[Value | None, _Outcome]) -> tuple[_Side, _Side] | None:
    worse_first = sorted(by_answer.items(), key=lambda side: (len(side[1].shown), side[1].points))
    for worse in worse_first:
        for better in reversed(worse_first):
            (_, less), (_, more) = worse, better
            if less.shown < more.shown and less.points <= more.points and _at_least(less.best, more.best):
                return worse, better
    return None


def _at_least(first: Decimal | None, second: Decimal | None) -> bool:
    return first is not None and second is not None and first >= second


def _words(gate: str, worse: _Side, better: _Side) -> str:
    (worse_answer, less), (better_answer, more) = worse, better
    assert less.best is not None and more.best is not None
    hidden = sorted(more.shown - less.shown)
    named = ", ".join(hidden[:3]) + (f" and {len(hidden) - 3} more" if len(hidden) > 3 else "")
    return (
        f"{_answer(worse_answer)} to {gate!r} hides {named} and still gives up to {plain(less.best)}; "
        f"{_answer(better_answer)} gives up to {plain(more.best)}"
    )


def _answer(value: Value | None) -> str:
    if value is None:
        return "no answer"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return plain(value) if isinstance(value, Decimal) else repr(value) if isinstance(value, str) else "+".join(value)
