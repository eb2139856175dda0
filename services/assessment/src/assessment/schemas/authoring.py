"""Drafts, versions and templates."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from forms.definition import MAX_CHOICE_KEY, MAX_QUESTION_KEY, Question, QuestionType
from kit.contracts.wire import PlainDecimal
from kit.http.read_back import ReadBack
from kit.http.texts import Shape, refusal
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

MAX_QUESTIONS = 500
MAX_CHOICES = 200
# Of a whole definition: the events that carry it on have room for as much.
MAX_CHOICES_TOGETHER = 2_000
MAX_CHARACTERS = 200_000
_QUESTIONS = TypeAdapter(tuple[Question, ...])

_EXAMPLE: dict[str, Any] = {
    "title": "Prospecting assessment",
    "questions": [
        {"key": "compliance", "text": "Are there compliance implications?", "type": "boolean", "required": True}
    ],
}
AssessmentKey = Annotated[
    str,
    Shape(
        r"[A-Za-z][A-Za-z0-9_-]{0,63}",
        "An assessment's key has 1 to 64 letters, digits, '_' and '-', and starts with a letter.",
    ),
    Field(
        description="stable for ever; rules name its score as `<key>.score`",
        examples=["prospecting"],
    ),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _without_points(cls, data: Any) -> Any:
        if isinstance(data, dict) and "points" in data:
            words = "A form has no points: leave them out here, and write them in a scoring profile of its version."
            raise refusal("points_elsewhere", words)
        return data


class ChoiceBody(_Strict):
    """One choice of a question. It has no points: those are in the scoring profile."""

    key: str = Field(max_length=MAX_CHOICE_KEY, examples=["over_5"])
    text: str = Field(max_length=1000, examples=["More than 5 hours"])
    exclusive: bool = Field(False, description="taking it excludes every other choice")


class QuestionBody(_Strict):
    """One question of an assessment."""

    key: str = Field(max_length=MAX_QUESTION_KEY, examples=["hours"])
    text: str = Field(max_length=2000, examples=["How many hours a week do they lose to this?"])
    type: QuestionType
    required: bool = False
    help_text: str = Field("", max_length=2000)
    section: str = Field("", max_length=200, description="groups questions on the page and in section scores")
    choices: list[ChoiceBody] = Field(default=[], max_length=MAX_CHOICES)
    visible_if: str = Field("", max_length=2000, examples=["{hours} = 'over_5'"])
    minimum: PlainDecimal | None = Field(None, max_digits=38, description="inclusive bound of a number")
    maximum: PlainDecimal | None = Field(None, max_digits=38, description="inclusive bound of a number")
    max_choices: int = Field(0, ge=0, le=MAX_CHOICES, description="0: as many as there are")
    max_length: int = Field(0, ge=0, le=10_000, description="characters of a text; 0: the platform's limit")


class DraftBody(_Strict, ReadBack):
    """What an author may change before publishing. A draft may still have errors; publishing refuses them. The other
    members of an assessment may be sent back as they were read, and change nothing."""

    only_read = frozenset(
        {"key", "latest_version", "draft_revision", "updated_at", "updated_by", "created_at", "created_by", "findings"}
    )
    title: str = Field(min_length=1, max_length=200, examples=["Prospecting assessment"])
    description: str = Field("", max_length=4000)
    questions: list[QuestionBody] = Field(max_length=MAX_QUESTIONS)

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    @model_validator(mode="after")
    def _not_too_large(self) -> Self:
        choices = [choice for question in self.questions for choice in question.choices]
        if len(choices) > MAX_CHOICES_TOGETHER:
            message = f"All questions together have at most {MAX_CHOICES_TOGETHER} choices; these have {len(choices)}."
            raise refusal("definition_too_large", message)
        texts = [self.title, self.description, *(text for choice in choices for text in (choice.key, choice.text))]
        for question in self.questions:
            texts += [question.key, question.text, question.help_text, question.section, question.visible_if]
        length = sum(map(len, texts))
        if length > MAX_CHARACTERS:
            message = f"All texts together have at most {MAX_CHARACTERS} characters; these have {length}."
            raise refusal("definition_too_large", message)
        return self

    @property
    def definition(self) -> tuple[Question, ...]:
        """The questions as the domain has them."""
        return _QUESTIONS.validate_python([question.model_dump() for question in self.questions])


class NewAssessment(DraftBody):
    """A new assessment under a key of its own."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"key": "prospecting", **_EXAMPLE}]})

    key: AssessmentKey


class Finding(BaseModel):
    """Something wrong (error) or doubtful (warning) in a definition."""

    severity: Literal["error", "warning"]
    code: str = Field(examples=["range_overlap"])
    pointer: str = Field(description="JSON pointer into the draft", examples=["/questions/0/choices"])
    message: str


class AssessmentSummary(BaseModel):
    """An assessment in a list."""

    key: str
    title: str
    latest_version: int = Field(description="0 when it was never published")
    draft_revision: int
    updated_at: datetime
    updated_by: str


class AssessmentOut(AssessmentSummary):
    """An assessment with its draft; the ETag is the draft's revision."""

    description: str
    questions: list[QuestionBody]
    created_at: datetime
    created_by: str
    findings: list[Finding] = Field(description="what publishing would refuse (error) or warn of")


class VersionSummary(BaseModel):
    """A published version in a list."""

    key: str
    version: int
    title: str
    status: Literal["published", "retired"]
    definition_hash: str
    published_at: datetime
    published_by: str
    retired_at: datetime | None


class VersionOut(VersionSummary):
    """A published version as reps receive it; it never changes, save for being retired."""

    description: str
    questions: list[QuestionBody]


class PublishedOut(VersionOut):
    """A version that was published just now, with what the author should look at."""

    warnings: list[Finding]


class TemplateSummary(BaseModel):
    """A definition that is shipped, to start from."""

    key: str
    title: str
    description: str
    question_count: int


class TemplateOut(BaseModel):
    """A shipped definition: send it to POST /v1/assessments."""

    key: str
    title: str
    description: str
    questions: list[QuestionBody]
