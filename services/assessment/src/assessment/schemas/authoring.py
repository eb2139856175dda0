"""Drafts, versions and templates."""

from datetime import datetime
from typing import Annotated, Literal

from forms.definition import Question, QuestionType
from kit.wire import PlainDecimal
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

MAX_QUESTIONS = 500
MAX_CHOICES = 200
_QUESTIONS = TypeAdapter(tuple[Question, ...])

AssessmentKey = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$",
        description="stable for ever; rules name its score as `<key>.score`",
        examples=["prospecting"],
    ),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ChoiceBody(_Strict):
    """One choice of a question. It has no points: those are in the scoring profile."""

    key: str = Field(max_length=100, examples=["over_5"])
    text: str = Field(max_length=1000, examples=["More than 5 hours"])
    exclusive: bool = Field(False, description="taking it excludes every other choice")


class QuestionBody(_Strict):
    """One question of an assessment."""

    key: str = Field(max_length=100, examples=["hours"])
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


class DraftBody(_Strict):
    """What an author may change before publishing. A draft may still have errors; publishing refuses them."""

    title: str = Field(min_length=1, max_length=200, examples=["Prospecting assessment"])
    description: str = Field("", max_length=4000)
    questions: list[QuestionBody] = Field(max_length=MAX_QUESTIONS)

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "title": "Prospecting assessment",
                    "questions": [
                        {
                            "key": "compliance",
                            "text": "Are there compliance implications?",
                            "type": "boolean",
                            "required": True,
                        }
                    ],
                }
            ]
        },
    )

    @property
    def definition(self) -> tuple[Question, ...]:
        """The questions as the domain has them."""
        return _QUESTIONS.validate_python([question.model_dump() for question in self.questions])


class NewAssessment(DraftBody):
    """A new assessment under a key of its own."""

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
