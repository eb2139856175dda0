"""The largest form and profile that the API takes, and the hardest to work out."""

from typing import Any

from forms.definition import Form, Question, QuestionType
from scoring.schemas import ProfileBody

QUESTIONS = 500
_GATES = 9


def largest_form() -> Form:
    """Nine required gates, each with questions that depend on it."""
    return Form(
        "f",
        1,
        "Largest",
        "",
        tuple(
            Question(
                f"q{index}",
                f"Question {index}?",
                QuestionType.BOOLEAN,
                required=index < _GATES,
                visible_if="" if index < _GATES else f"{{q{index % _GATES}}} = true",
            )
            for index in range(QUESTIONS)
        ),
    )


def largest_profile(**changes: Any) -> dict[str, Any]:
    """Points for all of it, means of skipped questions, as many sections as there may be."""
    body = {
        "scale": "percent",
        "questions": [
            {"question_key": f"q{index}", "points_if_true": str(index % 7), "points_if_false": "0"}
            for index in range(QUESTIONS)
        ],
        "sections": [
            {
                "key": f"s{section}",
                "function": "mean",
                "question_keys": [f"q{(section * 5 + index) % QUESTIONS}" for index in range(10)],
            }
            for section in range(100)
        ],
        "total_over": "sections",
        "unanswered": {"policy": "skip"},
        **changes,
    }
    return ProfileBody.model_validate(body).model_dump(mode="json")
