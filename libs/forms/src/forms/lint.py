"""What is wrong or doubtful about a form, found when it is written instead of when an opportunity is stuck."""

import re
from collections.abc import Iterator
from decimal import Decimal

from forms import widths
from forms.condition_lint import condition_findings
from forms.definition import CHOICE_TYPES, MAX_CHOICE_KEY, MAX_QUESTION_KEY, Form, Question, QuestionType
from forms.findings import Finding, Severity, error, warning
from forms.ranges import Hole, MixedUnits, inspect_labels

__all__ = ["Finding", "Severity", "is_light", "lint"]

LIGHT = 1_000

# What a page could not tell from its own notation in `{key}` is left out.
_QUESTION_KEY = re.compile(r"(?![#$\s])[^{}\[\]\"\x00-\x1f\x7f]*(?<!\s)(?<!\.length)(?<!-unwrapped)")
_CHOICE_KEY = re.compile(r"(?!\s)[^\x00-\x1f\x7f]*(?<!\s)")


def lint(form: Form) -> list[Finding]:
    """What its author should correct or look at, question by question."""
    findings: list[Finding] = []
    if not form.questions:
        findings.append(error("no_questions", "/questions", "An assessment needs at least one question."))
    earlier: set[str] = set()
    for index, question in enumerate(form.questions):
        pointer = f"/questions/{index}"
        findings += _question_key_findings(question.key, f"{pointer}/key")
        findings += _repeated(question.key, earlier, f"{pointer}/key")
        findings += _choice_findings(question, pointer)
        findings += _limit_findings(question, pointer)
        findings += _width_findings(question, pointer)
    return findings + condition_findings(form)


def is_light(form: Form) -> bool:
    """Whether the lint takes a few milliseconds only; what others take, their author decides."""
    choices = sum(len(question.choices) for question in form.questions)
    conditions = sum(len(question.visible_if) for question in form.questions)
    return len(form.questions) + choices + conditions <= LIGHT


def _question_key_findings(key: str, pointer: str) -> Iterator[Finding]:
    if not key or len(key) > MAX_QUESTION_KEY or key == "__proto__" or not _QUESTION_KEY.fullmatch(key):
        message = (
            f"A question's key has 1 to {MAX_QUESTION_KEY} characters: no braces, brackets, double quotes or line "
            "breaks, and no blanks at its ends. It starts with neither # nor $, and ends with neither .length nor "
            "-unwrapped."
        )
        yield error("bad_key", pointer, message)


def _choice_key_findings(key: str, pointer: str) -> Iterator[Finding]:
    if not key or len(key) > MAX_CHOICE_KEY or not _CHOICE_KEY.fullmatch(key):
        message = f"A choice's key has 1 to {MAX_CHOICE_KEY} characters, no line breaks, nor blanks at its ends."
        yield error("bad_key", pointer, message)


def _repeated(key: str, earlier: set[str], pointer: str) -> Iterator[Finding]:
    """Conditions do not tell capital letters from small ones, so keys may not differ in that alone."""
    if key.lower() in earlier:
        yield error("duplicate_key", pointer, f"The key {key!r} is used twice; capital letters make no difference.")
    earlier.add(key.lower())


def _width_findings(question: Question, pointer: str) -> Iterator[Finding]:
    if len(question.key) <= MAX_QUESTION_KEY and not widths.KEY.holds(question.key):
        message = f"the CRM shows the first {widths.KEY.length} characters of a key"
        yield warning("too_long_for_crm", f"{pointer}/key", message)
    if not widths.QUESTION_TEXT.holds(question.text):
        message = f"the CRM shows the first {widths.QUESTION_TEXT.length} characters of a question"
        yield warning("too_long_for_crm", f"{pointer}/text", message)
    for name, bound in (("minimum", question.minimum), ("maximum", question.maximum)):
        if bound is not None and not widths.NUMBER_ANSWER.holds(bound):
            message = f"the CRM holds numbers below {_below(widths.NUMBER_ANSWER)}; larger answers go there as text"
            yield warning("too_large_for_crm", f"{pointer}/{name}", message)


def _below(width: widths.NumberWidth) -> str:
    return f"{Decimal(1).scaleb(width.digits - width.decimals):,f}"


def _choice_findings(question: Question, pointer: str) -> Iterator[Finding]:
    if question.type not in CHOICE_TYPES:
        if question.choices:
            yield error("choices_unused", f"{pointer}/choices", f"A {question.type.value} question has no choices.")
        return
    if not question.choices:
        yield error("no_choices", f"{pointer}/choices", "A choice question needs choices.")
    earlier: set[str] = set()
    for index, choice in enumerate(question.choices):
        choice_pointer = f"{pointer}/choices/{index}"
        yield from _choice_key_findings(choice.key, f"{choice_pointer}/key")
        yield from _repeated(choice.key, earlier, f"{choice_pointer}/key")
        if not choice.text.strip():
            yield error("empty_choice", f"{choice_pointer}/text", "A choice needs a text.")
    yield from _label_findings(question, f"{pointer}/choices")


def _label_findings(question: Question, pointer: str) -> Iterator[Finding]:
    for found in inspect_labels([choice.text for choice in question.choices]):
        if isinstance(found, Hole):
            after = f"between {found.below.label!r} and" if found.below else "below"
            message = f"No choice covers {found.witness:f}, {after} {found.above.label!r}."
            yield warning("range_hole", pointer, message)
        elif isinstance(found, MixedUnits):
            message = f"{found.first.label!r} and {found.second.label!r} count in different units: use one for all."
            yield warning("range_units", pointer, message)
        else:
            message = f"{found.witness:f} is in both {found.first.label!r} and {found.second.label!r}."
            yield warning("range_overlap", pointer, message)


def _limit_findings(question: Question, pointer: str) -> Iterator[Finding]:
    if question.minimum is not None and question.maximum is not None and question.minimum > question.maximum:
        yield error("empty_range", f"{pointer}/minimum", "The minimum is above the maximum.")
    if question.type is not QuestionType.NUMBER and (question.minimum, question.maximum) != (None, None):
        yield error("limit_unused", pointer, "Only a number question has a minimum or maximum.")
    if question.type is not QuestionType.MULTIPLE_CHOICE and question.max_choices:
        yield error("limit_unused", f"{pointer}/max_choices", "Only a multiple choice limits how many are taken.")
    if question.type is not QuestionType.TEXT and question.max_length:
        yield error("limit_unused", f"{pointer}/max_length", "Only a text question has a greatest length.")
    if question.max_choices < 0 or question.max_length < 0:
        yield error("negative_limit", pointer, "A limit cannot be negative.")
    together = sum(not choice.exclusive for choice in question.choices)
    if question.type is QuestionType.MULTIPLE_CHOICE and question.max_choices > max(together, 1):
        message = (
            f"At most {question.max_choices} choices may be taken, but only {together} go together: use 0 for no limit."
        )
        yield warning("max_choices_unreachable", f"{pointer}/max_choices", message)
