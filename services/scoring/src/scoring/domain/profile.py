"""A scoring profile: how many points each answer of one assessment version gives, and how they add up."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Any

from kit.numbers import plain

ZERO = Decimal(0)
ONE = Decimal(1)
DEFAULT_QUANTUM = Decimal("0.01")


class Scale(StrEnum):
    RAW = "raw"
    PERCENT = "percent"


class PercentOf(StrEnum):
    """What 100 percent is: the most that the profile can give at all, or that the questions shown can give."""

    PROFILE = "profile"
    PATH = "path"


class SectionFunction(StrEnum):
    SUM = "sum"
    MEAN = "mean"
    MIN = "min"
    MAX = "max"


class TotalOver(StrEnum):
    QUESTIONS = "questions"
    SECTIONS = "sections"


class UnansweredPolicy(StrEnum):
    """What a visible scored question without an answer does to the score.

    SKIP leaves it out of the total, where a mean then is of the others; ZERO gives no points; DEFAULT gives the
    profile's points, never more than the question can give nor less; BLOCK leaves the submission without a score.
    """

    SKIP = "skip"
    ZERO = "zero"
    DEFAULT = "default"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class Band:
    """Points for numbers from `lower` (inclusive) up to `upper` (exclusive); None is unbounded."""

    lower: Decimal | None
    upper: Decimal | None
    points: Decimal

    def holds(self, number: Decimal) -> bool:
        return (self.lower is None or self.lower <= number) and (self.upper is None or number < self.upper)


@dataclass(frozen=True, slots=True)
class QuestionPoints:
    """Points of one question by its type; what is not listed gives 0.

    Cap and floor bound the sum of a multiple choice before the weight applies. The weight is positive.
    """

    question_key: str
    weight: Decimal = ONE
    choices: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    points_if_true: Decimal | None = None
    points_if_false: Decimal | None = None
    bands: tuple[Band, ...] = ()
    cap_points: Decimal | None = None
    floor_points: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Section:
    key: str
    function: SectionFunction
    question_keys: tuple[str, ...]


@dataclass(frozen=True)
class Profile:
    """One version of the points of one assessment version, immutable once published.

    `quantum` is the step to which means, percentages and the final score are rounded, half up.
    """

    assessment_key: str
    assessment_version: int
    scale: Scale
    questions: tuple[QuestionPoints, ...]
    sections: tuple[Section, ...] = ()
    total_over: TotalOver = TotalOver.QUESTIONS
    unanswered: UnansweredPolicy = UnansweredPolicy.ZERO
    unanswered_points: Decimal = ZERO
    minimum_answered: int = 0
    floor_zero: bool = False
    quantum: Decimal = DEFAULT_QUANTUM
    percent_of: PercentOf = PercentOf.PROFILE

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical JSON, hexadecimal: equal for equal profiles however they were written."""
        document = profile_to_json(self) | {
            "assessment_key": self.assessment_key,
            "assessment_version": self.assessment_version,
        }
        canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()


def _text(number: Decimal | None) -> str | None:
    return None if number is None else plain(number)


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def profile_to_json(profile: Profile) -> dict[str, Any]:
    """The points as plain JSON, numbers as decimal strings, without the assessment that they are for."""
    return {
        "scale": profile.scale.value,
        "questions": [
            {
                "question_key": points.question_key,
                "weight": plain(points.weight),
                "choices": [{"choice_key": key, "points": plain(number)} for key, number in points.choices.items()],
                "points_if_true": _text(points.points_if_true),
                "points_if_false": _text(points.points_if_false),
                "bands": [
                    {"lower": _text(band.lower), "upper": _text(band.upper), "points": plain(band.points)}
                    for band in points.bands
                ],
                "cap_points": _text(points.cap_points),
                "floor_points": _text(points.floor_points),
            }
            for points in profile.questions
        ],
        "sections": [
            {
                "key": section.key,
                "function": section.function.value,
                "question_keys": list(section.question_keys),
            }
            for section in profile.sections
        ],
        "total_over": profile.total_over.value,
        "unanswered": {"policy": profile.unanswered.value, "points": plain(profile.unanswered_points)},
        "minimum_answered": profile.minimum_answered,
        "floor_zero": profile.floor_zero,
        "quantum": plain(profile.quantum),
        "percent_of": profile.percent_of.value,
    }


def profile_from_json(assessment_key: str, assessment_version: int, document: Mapping[str, Any]) -> Profile:
    """The profile in a stored document, which was checked at the edge."""
    return Profile(
        assessment_key=assessment_key,
        assessment_version=assessment_version,
        scale=Scale(document["scale"]),
        questions=tuple(
            QuestionPoints(
                question_key=points["question_key"],
                weight=Decimal(points["weight"]),
                choices={choice["choice_key"]: Decimal(choice["points"]) for choice in points["choices"]},
                points_if_true=_number(points["points_if_true"]),
                points_if_false=_number(points["points_if_false"]),
                bands=tuple(
                    Band(_number(band["lower"]), _number(band["upper"]), Decimal(band["points"]))
                    for band in points["bands"]
                ),
                cap_points=_number(points["cap_points"]),
                floor_points=_number(points["floor_points"]),
            )
            for points in document["questions"]
        ),
        sections=tuple(
            Section(section["key"], SectionFunction(section["function"]), tuple(section["question_keys"]))
            for section in document["sections"]
        ),
        total_over=TotalOver(document["total_over"]),
        unanswered=UnansweredPolicy(document["unanswered"]["policy"]),
        unanswered_points=Decimal(document["unanswered"]["points"] or 0),
        minimum_answered=document["minimum_answered"],
        floor_zero=document["floor_zero"],
        quantum=Decimal(document["quantum"]),
        percent_of=PercentOf(document["percent_of"]),
    )
