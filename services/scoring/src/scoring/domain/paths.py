"""Every way through a form that its visibility conditions allow.

Only the questions that conditions look at (the gates) decide the way, so only their answers are enumerated, one for
every answer that could make a difference to visibility or points.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import combinations

from forms.answers import Value
from forms.conditions import Comparison, Emptiness, Literal, Operand, Reference, Truth, leaves, operands, parse
from forms.definition import Form, Question, QuestionType
from forms.evaluation import holds, number_of

from scoring.domain.points import QuestionScorer, numbers_to_try
from scoring.domain.profile import ZERO

MAX_PATHS = 1000
_MAX_SELECTION_CHOICES = 8

# Weighted points of the scored gates on a path; None means a gate left unanswered.
GatePoints = tuple[tuple[str, Decimal | None], ...]
# By the visible questions: the different points that the gates can give there.
Paths = Mapping[tuple[str, ...], frozenset[GatePoints]]


def find_paths(form: Form, scorers: Mapping[str, QuestionScorer]) -> Paths | None:
    """All paths, or None when they are too many or depend on answers that cannot be enumerated."""
    tests = [leaf for question in form.questions if question.visible_if for leaf in leaves(parse(question.visible_if))]
    gates: dict[str, list[Value]] = {}
    for question in form.questions:
        touching = [leaf for leaf in tests if any(_refers(operand, question) for operand in operands(leaf))]
        if touching:
            candidates = _candidates(question, touching, scorers.get(question.key))
            if candidates is None:
                return None
            gates[question.key] = candidates
    paths: dict[tuple[str, ...], set[GatePoints]] = {}
    for count, (visible, answers) in enumerate(_walk(form, gates, 0, (), {})):
        if count == MAX_PATHS:
            return None
        points = tuple(
            (key, scorers[key].score(answers[key]) if key in answers else None)
            for key in visible
            if key in gates and key in scorers
        )
        paths.setdefault(visible, set()).add(points)
    return {visible: frozenset(points) for visible, points in paths.items()}


def _walk(
    form: Form,
    gates: Mapping[str, list[Value]],
    index: int,
    visible: tuple[str, ...],
    answers: Mapping[str, Value],
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Value]]]:
    while index < len(form.questions):
        question = form.questions[index]
        index += 1
        if question.visible_if and not holds(parse(question.visible_if), answers):
            continue
        visible = (*visible, question.key)
        if question.key in gates:
            for value in gates[question.key]:
                yield from _walk(form, gates, index, visible, {**answers, question.key: value})
            if question.required:
                return
    yield visible, answers


def _refers(operand: Operand, question: Question) -> bool:
    return isinstance(operand, Reference) and operand.question_key == question.key


def _candidates(
    question: Question,
    tests: list[Comparison | Emptiness | Truth],
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


def _compares_two_answers(test: Comparison | Emptiness | Truth) -> bool:
    return all(isinstance(operand, Reference) for operand in operands(test)) and isinstance(test, Comparison)


def _numbers(test: Comparison | Emptiness | Truth) -> Iterator[Decimal]:
    for operand in operands(test):
        if isinstance(operand, Reference):
            continue
        items: tuple[Literal, ...] = operand if isinstance(operand, tuple) else (operand,)
        yield from (number for item in items if (number := number_of(item)) is not None)
