"""A form with a question of every type, and a profile with points for it."""

import dataclasses
from decimal import Decimal

from forms.answers import Value
from forms.check import visible_questions
from forms.definition import Choice, Form, Question, QuestionType
from scoring.domain.plan import ScoringPlan
from scoring.domain.profile import (
    Band,
    Profile,
    QuestionPoints,
    Scale,
    profile_from_json,
)
from scoring.domain.reach import survey
from scoring.domain.score import Score, score
from scoring.templates import profile_templates

from tests.builders import shipped_form

D = Decimal


def shipped(key: str) -> ScoringPlan:
    return survey(shipped_form(key), profile_from_json(key, 1, profile_templates()[key].profile)).plan


def choices(*keys: str) -> tuple[Choice, ...]:
    return tuple(Choice(key, key, exclusive=key == "none") for key in keys)


FORM = Form(
    "f",
    1,
    "",
    "",
    (
        Question("single", "", QuestionType.SINGLE_CHOICE, choices=choices("a", "b", "c")),
        Question("multi", "", QuestionType.MULTIPLE_CHOICE, choices=choices("a", "b", "c", "none"), max_choices=2),
        Question("number", "", QuestionType.NUMBER, minimum=D(0), maximum=D(10)),
        Question("flag", "", QuestionType.BOOLEAN),
        Question("text", "", QuestionType.TEXT),
    ),
)


PROFILE = Profile(
    "f",
    1,
    Scale.RAW,
    (
        QuestionPoints("single", choices={"a": D(10), "b": D(4)}),
        QuestionPoints("multi", weight=D(2), choices={"a": D(3), "b": D(2), "c": D(-1), "none": D(1)}),
        QuestionPoints("number", bands=(Band(None, D(3), D(1)), Band(D(3), D(5), D(5)))),
        QuestionPoints("flag", points_if_true=D(7)),
    ),
)


def run(answers: dict[str, Value], form: Form = FORM, **changes: object) -> Score:
    plan = survey(form, dataclasses.replace(PROFILE, **changes)).plan
    return score(plan, visible_questions(form, answers), answers)
