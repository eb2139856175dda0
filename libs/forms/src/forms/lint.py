"""What is wrong or doubtful about a form, found when it is written instead of when an opportunity is stuck."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from forms.conditions import ConditionSyntaxError, parse, references
from forms.definition import CHOICE_TYPES, Form, Question, QuestionType
from forms.ranges import Hole, inspect_labels

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}")


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """`pointer` is a JSON pointer into the definition. An error forbids publishing, a warning does not."""

    severity: Severity
    code: str
    pointer: str
    message: str


def lint(form: Form) -> list[Finding]:
    findings: list[Finding] = []
    if not form.questions:
        findings.append(_error("no_questions", "/questions", "an assessment needs at least one question"))
    all_keys = {question.key for question in form.questions}
    earlier: set[str] = set()
    for index, question in enumerate(form.questions):
        pointer = f"/questions/{index}"
        findings += _key_findings(question.key, earlier, f"{pointer}/key")
        findings += _choice_findings(question, pointer)
        findings += _limit_findings(question, pointer)
        findings += _condition_findings(question, earlier, all_keys, f"{pointer}/visible_if")
        earlier.add(question.key)
    return findings


def _error(code: str, pointer: str, message: str) -> Finding:
    return Finding(Severity.ERROR, code, pointer, message)


def _warning(code: str, pointer: str, message: str) -> Finding:
    return Finding(Severity.WARNING, code, pointer, message)


def _key_findings(key: str, earlier: set[str], pointer: str) -> Iterator[Finding]:
    if not _KEY.fullmatch(key):
        yield _error("bad_key", pointer, "a key starts with a letter and has letters, digits, '_', '.' and '-'")
    if key in earlier:
        yield _error("duplicate_key", pointer, f"the key {key!r} is used twice")


def _choice_findings(question: Question, pointer: str) -> Iterator[Finding]:
    if question.type not in CHOICE_TYPES:
        if question.choices:
            yield _error("choices_unused", f"{pointer}/choices", f"a {question.type.value} question has no choices")
        return
    if not question.choices:
        yield _error("no_choices", f"{pointer}/choices", "a choice question needs choices")
    earlier: set[str] = set()
    for index, choice in enumerate(question.choices):
        choice_pointer = f"{pointer}/choices/{index}"
        yield from _key_findings(choice.key, earlier, f"{choice_pointer}/key")
        earlier.add(choice.key)
        if not choice.text.strip():
            yield _error("empty_choice", f"{choice_pointer}/text", "a choice needs a text")
    for found in inspect_labels([choice.text for choice in question.choices]):
        if isinstance(found, Hole):
            after = f"between {found.below.label!r} and" if found.below else "below"
            message = f"no choice covers {found.witness}, {after} {found.above.label!r}"
            yield _warning("range_hole", f"{pointer}/choices", message)
        else:
            message = f"{found.witness} is in both {found.first.label!r} and {found.second.label!r}"
            yield _warning("range_overlap", f"{pointer}/choices", message)


def _limit_findings(question: Question, pointer: str) -> Iterator[Finding]:
    if question.minimum is not None and question.maximum is not None and question.minimum > question.maximum:
        yield _error("empty_range", f"{pointer}/minimum", "the minimum is above the maximum")
    if question.type is not QuestionType.NUMBER and (question.minimum, question.maximum) != (None, None):
        yield _error("limit_unused", pointer, "only a number question has a minimum or maximum")
    if question.max_choices < 0 or question.max_length < 0:
        yield _error("negative_limit", pointer, "a limit cannot be negative")


def _condition_findings(question: Question, earlier: set[str], all_keys: set[str], pointer: str) -> Iterator[Finding]:
    if not question.visible_if:
        return
    try:
        condition = parse(question.visible_if)
    except ConditionSyntaxError as error:
        yield _error("bad_condition", pointer, str(error))
        return
    for key in sorted(references(condition) - earlier):
        if key in all_keys:
            yield _error("forward_reference", pointer, f"{key!r} is asked later, so it cannot decide this")
        else:
            yield _error("unknown_reference", pointer, f"there is no question {key!r}")
