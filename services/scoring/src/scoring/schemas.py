"""What the API takes and gives. Points are decimal strings on the way out; strings or numbers on the way in."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from kit.contracts.wire import PlainDecimal
from kit.http.read_back import ReadBack
from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator
from pydantic.config import JsonDict

from scoring.domain.profile import PercentOf, Scale, SectionFunction, TotalOver, UnansweredPolicy

# Bounded so that every total, however weighted, has at most 15 digits before the point: the engine takes no more.
Points = Annotated[PlainDecimal, Field(ge=-(10**6), le=10**6, decimal_places=6, examples=["30"])]
Weight = Annotated[PlainDecimal, Field(gt=0, le=1000, decimal_places=4, examples=["1"])]
Number = Annotated[PlainDecimal, Field(ge=-(10**15), le=10**15, decimal_places=10, examples=["5"])]
Figure = Annotated[PlainDecimal, Field(examples=["70"])]
Key = Annotated[str, Field(min_length=1, max_length=100, examples=["prospecting"])]
Title = Annotated[str, Field(max_length=200, examples=["Prospecting points"])]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ChoicePoints(_Body):
    choice_key: Key
    points: Points


class BandPoints(_Body):
    """Points for numbers from `lower` (inclusive) up to `upper` (exclusive); null is unbounded."""

    lower: Number | None = None
    upper: Number | None = None
    points: Points


class QuestionPointsBody(_Body):
    """Points of one question, by its type: `choices`, `bands`, or `points_if_true` and `points_if_false`."""

    question_key: Key
    weight: Weight = Decimal(1)
    choices: list[ChoicePoints] = Field(default_factory=list[ChoicePoints], max_length=200)
    points_if_true: Points | None = None
    points_if_false: Points | None = None
    bands: list[BandPoints] = Field(default_factory=list[BandPoints], max_length=100)
    cap_points: Points | None = Field(None, description="most a multiple choice gives, before the weight")
    floor_points: Points | None = Field(None, description="least a multiple choice gives, before the weight")

    @model_validator(mode="after")
    def _choices_are_distinct(self) -> Self:
        if len({choice.choice_key for choice in self.choices}) < len(self.choices):
            raise ValueError("a choice has points twice")
        return self


class SectionBody(_Body):
    key: Key
    function: SectionFunction = SectionFunction.SUM
    question_keys: list[Key] = Field(max_length=500)


class UnansweredBody(_Body):
    """What a visible question without an answer does; `points` only with the policy `default`."""

    policy: UnansweredPolicy = UnansweredPolicy.ZERO
    points: Points | None = None


_PROSPECTING: JsonDict = {
    "scale": "raw",
    "questions": [
        {
            "question_key": "hours",
            "choices": [
                {"choice_key": "one_to_two", "points": "10"},
                {"choice_key": "two_to_four", "points": "20"},
                {"choice_key": "over_5", "points": "40"},
            ],
        },
        {
            "question_key": "compliance",
            "choices": [{"choice_key": "yes", "points": "30"}, {"choice_key": "no", "points": "0"}],
        },
    ],
}


# Together with 500 questions it bounds what scoring one submission may cost.
MAX_SECTION_QUESTIONS = 1000


class ProfileBody(_Body):
    """How many points each answer gives and how they add up. Sections name at most 1,000 questions together."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_PROSPECTING]})

    scale: Scale = Field(description="what rules compare: raw points, or percent of the maximum")
    questions: list[QuestionPointsBody] = Field(max_length=500)
    sections: list[SectionBody] = Field(default_factory=list[SectionBody], max_length=100)
    total_over: TotalOver = TotalOver.QUESTIONS
    unanswered: UnansweredBody = Field(default_factory=UnansweredBody)
    minimum_answered: int = Field(0, ge=0, le=500, description="with fewer scored answers there is no score")
    floor_zero: bool = Field(False, description="a negative total counts as 0")
    quantum: Literal["1", "0.1", "0.01", "0.001", "0.0001"] = Field("0.01", description="rounding step, half up")
    percent_of: PercentOf = Field(
        PercentOf.PROFILE,
        description="what 100 percent is: the most the profile can give, or `path`, the most of the questions shown; "
        "then an answer that hides questions costs nothing",
    )

    @model_validator(mode="after")
    def _is_of_a_size_to_score(self) -> Self:
        named = sum(len(section.question_keys) for section in self.sections)
        if named > MAX_SECTION_QUESTIONS:
            raise ValueError(f"sections name at most {MAX_SECTION_QUESTIONS} questions together, these name {named}")
        return self


class ProfileDraft(_Body):
    assessment_key: Key
    assessment_version: int = Field(ge=1, le=2**31 - 1, examples=[1])
    title: Title = ""
    profile: ProfileBody


class ProfileChange(_Body, ReadBack):
    only_read = frozenset(
        {"profile_id", "assessment_key", "assessment_version", "status", "revision", "version", "reachable", "findings"}
        | {"created_at", "created_by", "updated_at", "updated_by", "published_at", "published_by"}
    )
    title: Title = ""
    profile: ProfileBody


class ProfileStatus(StrEnum):
    DRAFT = "draft"
    PUBLISHED = "published"


class FindingView(BaseModel):
    """`pointer` leads into the profile. An error forbids publishing, a warning does not."""

    severity: str = Field(examples=["warning"])
    code: str = Field(examples=["unscored_choice"])
    pointer: str = Field(examples=["/questions/0/choices"])
    message: str


class ReachableView(BaseModel):
    """Which totals can occur at all. `scores` is in the profile's scale, empty when too many to list."""

    minimum: Figure
    maximum: Figure
    scores: list[Figure]
    exact: bool = Field(description="false when the bounds may be wider than what can really occur")


class ProfileSummary(BaseModel):
    profile_id: UUID
    assessment_key: str
    assessment_version: int
    version: int | None = Field(description="counted per assessment version; null for a draft")
    status: ProfileStatus
    title: str
    revision: int
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str
    published_at: datetime | None
    published_by: str | None


class ProfileView(ProfileSummary):
    """A profile with what is wrong or doubtful about it; both are null while the assessment is unknown here."""

    profile: ProfileBody
    findings: list[FindingView] | None
    reachable: ReachableView | None = Field(description="null also while the profile has errors")


class TemplateSummary(BaseModel):
    key: str = Field(examples=["prospecting"])
    title: str
    description: str
    assessment_key: str


class TemplateView(TemplateSummary):
    profile: ProfileBody


# Strict, or the number 1 would be taken for true.
AnswerBody = str | StrictBool | Decimal | list[str]
_EXAMPLE_ANSWERS = {"hours": "over_5", "compliance": "yes"}


class PreviewRequest(_Body):
    """Answers by question key: a choice's key, a list of them, a number (also as a string), a text, true or false."""

    answers: dict[str, AnswerBody] = Field(max_length=1000, examples=[_EXAMPLE_ANSWERS])


class _View(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class SectionScoreView(_View):
    section: str
    points: Figure
    max_points: Figure
    percent: Figure


class ContributionView(_View):
    """One visible question's part in the score; a number's answer is a decimal string."""

    question_key: str
    answer: Any = Field(examples=["over_5"])
    points: Figure
    max_points: Figure
    unanswered: bool


class ScoreFigures(_View):
    """A score. `inputs_hash` is over the profile, the visible questions and the answers."""

    score: Figure | None = Field(description="what rules compare, in the scale; null when incomplete")
    scale: Scale
    raw_points: Figure
    reachable_min: Figure
    reachable_max: Figure
    percent: Figure
    complete: bool
    inputs_hash: str


class ScoreTrace(ScoreFigures):
    """A score with everything it rests on."""

    sections: list[SectionScoreView]
    contributions: list[ContributionView]


class ScoreSummaryView(ScoreFigures):
    """A score in a list; its parts are those of `GET /v1/submissions/{id}/score`."""

    score_id: UUID
    submission_id: UUID
    opportunity_id: str
    assessment_key: str
    assessment_version: int
    profile_id: UUID
    profile_version: int
    stage_key: str
    visit_no: int
    attempt_no: int
    submitted_by: str
    captured_at: datetime
    received_at: datetime
    scored_at: datetime


class ScoreView(ScoreSummaryView):
    """The score of a submission with everything it rests on."""

    sections: list[SectionScoreView]
    contributions: list[ContributionView]
