"""Every way through a form that its visibility conditions allow.

Only the questions that conditions look at (the gates) decide the way, so only their answers are enumerated, one for
every answer that could make a difference to visibility or points.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations, islice

from forms.answers import Value
from forms.conditions import Comparison, Emptiness, Literal, Reference, Truth, leaves, operands, parse
from forms.definition import Form, Question, QuestionType
from forms.evaluation import holds, number_of

from scoring.domain.points import QuestionScorer, numbers_to_try
from scoring.domain.profile import ZERO

Test = Comparison | Emptiness | Truth

MAX_WAYS = 1000
_MAX_SELECTION_CHOICES = 8


@dataclass(frozen=True, slots=True)
class Way:
    """One way through a form: what is visible on it, and the answers of the gates that lead there. A visible gate
    without an answer was left unanswered."""

    visible: tuple[str, ...]
    answers: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Ways:
    """Every way through a form, and which of its questions are gates."""

    gates: frozenset[str]
    ways: tuple[Way, ...]


def find_ways(form: Form, scorers: Mapping[str, QuestionScorer]) -> Ways | None:
    """All ways, or None when they are too many or depend on answers that cannot be enumerated."""
    gates: dict[str, list[Value]] = {}
    for key, tests in _tests_by_question(form).items():
        question = form.question(key)
        assert question is not None
        candidates = _candidates(question, tests, scorers.get(key))
        if candidates is None:
            return None
        gates[key] = candidates
    ways = tuple(islice(_walk(form, gates), MAX_WAYS + 1))
    return None if len(ways) > MAX_WAYS else Ways(frozenset(gates), ways)


def _tests_by_question(form: Form) -> dict[str, list[Test]]:
    tests = [leaf for question in form.questions if question.visible_if for leaf in leaves(parse(question.visible_if))]
    found: dict[str, list[Test]] = {}
    for test in tests:
        for key in {operand.question_key for operand in operands(test) if isinstance(operand, Reference)}:
            if form.question(key) is not None:
                found.setdefault(key, []).append(test)
    return found


def _walk(form: Form, gates: Mapping[str, list[Value]]) -> Iterator[Way]:
    """Each way, branching at every gate that is visible."""
    open_ends: list[tuple[int, Way]] = [(0, Way((), {}))]
    while open_ends:
        start, way = open_ends.pop()
        visible = list(way.visible)
        for index in range(start, len(form.questions)):
            question = form.questions[index]
            if question.visible_if and not holds(parse(question.visible_if), way.answers):
                continue
            visible.append(question.key)
            if question.key in gates:
                here = tuple(visible)
                answered = [Way(here, {**way.answers, question.key: value}) for value in gates[question.key]]
                ends = answered if question.required else [Way(here, way.answers), *answered]
                open_ends += [(index + 1, end) for end in reversed(ends)]
                break
        else:
            yield Way(tuple(visible), way.answers)


def _candidates(
    question: Question,
    tests: list[Test],
    scorer: QuestionScorer | None,
) -> list[Value] | None:
    match question.type:
        case QuestionType.BOOLEAN:
            return [True, False]
        case QuestionType.SINGLE_CHOICE:
            return [choice.key for choice in question.choices]
        case QuestionType.MULTIPLE_CHOICE:
            return _selections(question)
        case QuestionType.NUMBER:
            if any(_compares_two_answers(test) for test in tests):
                return None
            literals = [ZERO, *(number for test in tests for number in _numbers(test))]
            return list(numbers_to_try(question, scorer.points.bands if scorer else (), literals))
        case QuestionType.TEXT:
            return ["text"] if all(isinstance(test, Emptiness) for test in tests) else None


def _selections(question: Question) -> list[Value] | None:
    together = [choice.key for choice in question.choices if not choice.exclusive]
    if len(together) > _MAX_SELECTION_CHOICES:
        return None
    most = min(question.max_choices or len(together), len(together))
    alone: list[Value] = [(choice.key,) for choice in question.choices if choice.exclusive]
    return [*alone, *(taken for size in range(1, most + 1) for taken in combinations(together, size))]


def _compares_two_answers(test: Test) -> bool:
    return all(isinstance(operand, Reference) for operand in operands(test)) and isinstance(test, Comparison)


def _numbers(test: Test) -> Iterator[Decimal]:
    for operand in operands(test):
        if isinstance(operand, Reference):
            continue
        items: tuple[Literal, ...] = operand if isinstance(operand, tuple) else (operand,)
        yield from (number for item in items if (number := number_of(item)) is not None)
