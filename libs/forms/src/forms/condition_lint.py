"""What is wrong with the conditions of a form: what they look at, what they compare it with, what they cost, and tests
that always or never hold.

A test, and a whole condition, is decided for every answer that could make a difference, as far as those can be listed.
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import combinations, pairwise, product
from math import prod

from forms.answers import Value
from forms.check import MAX_TEXT_LENGTH
from forms.conditions import ConditionSyntaxError, read
from forms.definition import CHOICE_TYPES, Form, Question, QuestionType
from forms.evaluation import holds, number_of, plain_value
from forms.findings import Finding, error, listed, warning
from forms.steps import MAX_STEPS, Size, Steps, TooManySteps, cost, size_of
from forms.syntax import (
    Comparison,
    Condition,
    Emptiness,
    Leaf,
    Literal,
    Operand,
    Reference,
    Truth,
    leaves,
    operands,
    references,
    written,
)

# The answers to try for one condition, and what trying may cost for a whole form.
MOST_TRIES = 200
_STEPS = MAX_STEPS
_MOST_TOGETHER = 5
# Of all conditions of a form together. They are read when the first answers to the form come in.
MOST_CHARACTERS = 30_000

_STEPS_A_CHOICE = 5

Questions = Mapping[str, Question]
Scalar = str | Decimal | bool


def condition_findings(form: Form) -> list[Finding]:
    """What is wrong or doubtful about the conditions."""
    findings: list[Finding] = []
    earlier: dict[str, Question] = {}
    places = {question.key for question in form.questions}
    if sum(len(question.visible_if) for question in form.questions) > MOST_CHARACTERS:
        message = f"All conditions together have at most {MOST_CHARACTERS} characters."
        return [error("conditions_too_complex", "/questions", message)]
    spent, tries = 0, Steps(_STEPS)
    for index, question in enumerate(form.questions):
        if question.visible_if:
            pointer = f"/questions/{index}/visible_if"
            try:
                condition = read(question.visible_if)
            except ConditionSyntaxError as wrong:
                findings.append(error("bad_condition", pointer, f"The condition cannot be read {wrong}."))
            else:
                found = list(_reference_findings(question, condition, earlier, places, pointer))
                found = found or list(_meaning_findings(condition, earlier, tries, pointer))
                findings += found
                before, spent = spent, spent + sum(_worst(leaf, earlier) for leaf in leaves(condition))
                if before <= MAX_STEPS < spent:
                    message = "The conditions up to here compare too many choices and texts: use fewer or simpler ones."
                    findings.append(error("conditions_too_complex", pointer, message))
        earlier[question.key] = question
    return findings


def _reference_findings(
    question: Question, condition: Condition, earlier: Questions, keys: set[str], pointer: str
) -> Iterator[Finding]:
    for key in sorted(references(condition) - earlier.keys()):
        if key == question.key:
            yield error("self_reference", pointer, "A question cannot decide whether it is asked itself.")
        elif key in keys:
            yield error("forward_reference", pointer, f"{key!r} is asked later, so it cannot decide this.")
        else:
            yield error("unknown_reference", pointer, f"There is no question {key!r}.")


def _meaning_findings(condition: Condition, questions: Questions, tries: Steps, pointer: str) -> Iterator[Finding]:
    sound = True
    for leaf in dict.fromkeys(leaves(condition)):
        for finding in _leaf_findings(leaf, questions, tries, pointer):
            sound = False
            yield finding
    outcomes = _outcomes(condition, questions, tries) if sound else frozenset()
    if outcomes == {False}:
        yield error("never_visible", pointer, "No answers make this condition hold, so the question is never asked.")
    elif outcomes == {True}:
        yield warning("always_visible", pointer, "All answers make this condition hold: leave it out.")


def _leaf_findings(leaf: Leaf, questions: Questions, tries: Steps, pointer: str) -> Iterator[Finding]:
    if isinstance(leaf, Truth) and isinstance(leaf.operand, Reference):
        key = leaf.operand.question_key
        if questions[key].type is not QuestionType.BOOLEAN:
            message = f"Only a yes/no question can be a test by itself: compare {{{key}}} with something."
            yield error("bare_reference", pointer, message)
        return
    for question, literal in _unknown_choices(leaf, questions, tries):
        choices = listed(choice.key for choice in question.choices)
        yield error("unknown_choice", pointer, f"{question.key!r} has no choice {literal!r}. Its choices: {choices}.")
        return
    outcomes = _outcomes(leaf, questions, tries)
    if len(outcomes) == 1:
        always = "always" if outcomes == {True} else "never"
        yield error("constant_test", pointer, f"{written(leaf)} {always} holds, whatever is answered.")


def _unknown_choices(leaf: Leaf, questions: Questions, tries: Steps) -> Iterator[tuple[Question, Literal]]:
    if not isinstance(leaf, Comparison) or leaf.operator in {"<", "<=", ">", ">="}:
        return
    for asked, compared in ((leaf.left, leaf.right), (leaf.right, leaf.left)):
        question = questions[asked.question_key] if isinstance(asked, Reference) else None
        if question is None or question.type not in CHOICE_TYPES or isinstance(compared, Reference):
            continue
        if question.type is QuestionType.SINGLE_CHOICE and leaf.operator in {"contains", "notcontains"}:
            continue
        items = [item for item in _literals(compared) if item != ""]
        try:
            named = _named(question, items, tries)
        except TooManySteps:
            return
        yield from ((question, item) for item in items if item not in named)


def _named(question: Question, literals: Iterable[Scalar], tries: Steps) -> dict[Scalar, list[str]]:
    """The keys of choices by the literals that equal them; a literal that equals none is left out."""
    tries.spend(len(question.choices))
    spelled: dict[str, list[str]] = {}
    for choice in question.choices:
        spelled.setdefault(choice.key.strip().lower(), []).append(choice.key)
    named: dict[Scalar, list[str]] = {}
    for literal in literals:
        found = spelled.get(literal.strip().lower(), []) if isinstance(literal, str) else []
        if not found:
            tries.spend(_STEPS_A_CHOICE * len(question.choices))
            found = [choice.key for choice in question.choices if _is_choice(question, choice.key, literal)]
        if found:
            named[literal] = found
    return named


def _is_choice(question: Question, key: str, literal: Literal) -> bool:
    asked = Reference(question.key)
    if question.type is QuestionType.MULTIPLE_CHOICE:
        return holds(Comparison("contains", asked, literal), {question.key: (key,)})
    return holds(Comparison("=", asked, literal), {question.key: key})


def _outcomes(condition: Condition, questions: Questions, tries: Steps) -> frozenset[bool]:
    """Whether the condition can hold and can fail; empty when that is not known."""
    tests = list(leaves(condition))
    found: set[bool] = set()
    try:
        tried = {key: _candidates(questions[key], tests, tries) for key in references(condition)}
        lists = [candidates for candidates in tried.values() if candidates is not None]
        if len(lists) < len(tried) or prod(map(len, lists)) > MOST_TRIES:
            return frozenset()
        for values in product(*lists):
            answers = {key: value for key, value in zip(tried, values, strict=True) if value is not None}
            found.add(holds(condition, answers, tries))
            if len(found) > 1:
                break
    except TooManySteps:
        return frozenset()
    return frozenset(found)


def _candidates(question: Question, tests: list[Leaf], tries: Steps) -> list[Value | None] | None:
    """No answer, and every answer that could make a difference to the tests; None when those cannot be listed."""
    touching = [leaf for leaf in tests if Reference(question.key) in operands(leaf)]
    literals = [literal for leaf in touching for operand in operands(leaf) for literal in _literals(operand)]
    between = any(
        isinstance(leaf, Comparison) and not _literals(leaf.left) + _literals(leaf.right) for leaf in touching
    )
    match question.type:
        case QuestionType.BOOLEAN:
            return [None, True, False]
        case QuestionType.SINGLE_CHOICE:
            return [None, *(choice.key for choice in question.choices)]
        case QuestionType.MULTIPLE_CHOICE:
            return None if between else _selections(question, literals, tries)
        case QuestionType.NUMBER:
            return None if between else [None, *_numbers(question, literals)]
        case QuestionType.TEXT:
            return [None, "text"] if all(isinstance(leaf, Emptiness) for leaf in touching) else None


def _compares_two_answers(leaf: Leaf) -> bool:
    return isinstance(leaf, Comparison) and all(isinstance(operand, Reference) for operand in operands(leaf))


def _literals(operand: Operand) -> tuple[Scalar, ...]:
    if isinstance(operand, Reference):
        return ()
    return operand if isinstance(operand, tuple) else (operand,)


def _selections(question: Question, literals: list[Scalar], tries: Steps) -> list[Value | None] | None:
    keys = {key for found in _named(question, literals, tries).values() for key in found}
    named = [choice for choice in question.choices if choice.key in keys]
    others = [choice for choice in question.choices if choice.key not in keys]
    # One choice that no test names is tried for all of them.
    tried = [*named, *others[:1], *[choice for choice in others[1:] if choice.exclusive][:1]]
    together = [choice.key for choice in tried if not choice.exclusive]
    if len(together) > _MOST_TOGETHER:
        return None
    most = min(question.max_choices or len(together), len(together))
    taken = [keys for count in range(1, most + 1) for keys in combinations(together, count)]
    return [(), *((choice.key,) for choice in tried if choice.exclusive), *taken]


def _numbers(question: Question, literals: list[Scalar]) -> Iterator[Decimal]:
    known = {number for literal in literals if (number := number_of(literal)) is not None} | {Decimal(0)}
    known |= {bound for bound in (question.minimum, question.maximum) if bound is not None}
    ordered = sorted(known)
    beside = [ordered[0] - 1, *((lower + upper) / 2 for lower, upper in pairwise(ordered)), ordered[-1] + 1]
    for number in (*ordered, *beside):
        low_enough = question.maximum is None or number <= question.maximum
        if low_enough and (question.minimum is None or number >= question.minimum):
            yield number


def _worst(leaf: Leaf, questions: Questions) -> int:
    """The most steps that a test can cost."""
    if not isinstance(leaf, Comparison):
        return 1
    return cost(leaf.operator, _largest(leaf.left, questions), _largest(leaf.right, questions))


def _largest(operand: Operand, questions: Questions) -> Size:
    if not isinstance(operand, Reference):
        return size_of(plain_value(operand))
    question = questions.get(operand.question_key)
    if question is None:
        return 1, 0
    lengths = [len(choice.key) for choice in question.choices]
    match question.type:
        case QuestionType.SINGLE_CHOICE:
            return 1, max(lengths, default=0)
        case QuestionType.MULTIPLE_CHOICE:
            return max(len(lengths), 1), sum(lengths)
        case QuestionType.TEXT:
            return 1, question.max_length or MAX_TEXT_LENGTH
        case _:
            return 1, 0
