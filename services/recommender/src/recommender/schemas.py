"""The API's documents."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from kit.contracts.wire import PlainDecimal
from pydantic import BaseModel, ConfigDict, Field

from recommender.domain.model import Abstention, Level

Key = Annotated[str, Field(min_length=1, max_length=200)]


class Alternative(BaseModel):
    """A stage and the smoothed share of such opportunities that ended up there."""

    stage_key: str
    probability: float = Field(ge=0, le=1)


class Reasons(BaseModel):
    """What an estimate rests on."""

    assessment_key: str
    band: str = Field(description="the scores counted as one class; `incomplete` when the score was blocked")
    level: Level = Field(description="the finest level with enough cases: cell, assessment in the stage, stage")
    support: int = Field(description="past cases at that level, the opportunity's own left out")
    counts: dict[str, int] = Field(description="past cases at that level by the stage they led to")
    lower_bound: float = Field(description="5 % credible bound of the most probable stage")
    runner_up: float = Field(description="probability of the second; the bound must exceed it")


class Advised(BaseModel):
    """A recommended stage, or the code of an abstention, with its reasons. It never moves a stage."""

    pipeline_key: str
    stage_at_capture: str = Field(description="where the opportunity was when the assessment was captured")
    recommended_stage: str | None = Field(description="null when abstained; may be the stage of the capture")
    abstention_code: Abstention | None
    reasons: Reasons
    alternatives: list[Alternative] = Field(description="every stage of the pipeline, most probable first")
    model_version: str


class StageRecommendation(Advised):
    """A recommendation as it was made, beside the opportunity's present stage and what the rules decided."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "recommendation_id": "6c2b7f0e-3a53-5d0f-9b57-1f1f4a0e7c11",
                    "opportunity_id": "006A0000001",
                    "recommendation_no": 2,
                    "submission_id": "0198c0de-0000-7000-8000-000000000001",
                    "pipeline_key": "sales",
                    "stage_at_capture": "prospecting",
                    "recommended_stage": "discovery",
                    "abstention_code": None,
                    "reasons": {
                        "assessment_key": "prospecting",
                        "band": "70",
                        "level": "band",
                        "support": 412,
                        "counts": {"discovery": 371, "closed_lost": 41},
                        "lower_bound": 0.87,
                        "runner_up": 0.1,
                    },
                    "alternatives": [
                        {"stage_key": "discovery", "probability": 0.9},
                        {"stage_key": "closed_lost", "probability": 0.1},
                    ],
                    "model_version": "champion-0.4b825dc642cb",
                    "current_stage": "discovery",
                    "claimed_stage": "prospecting",
                    "crm_deleted": False,
                    "engine_outcome": "accepted",
                    "engine_stage": "discovery",
                    "captured_at": "2026-03-02T09:00:00Z",
                    "recommended_at": "2026-03-02T09:00:01Z",
                }
            ]
        }
    )

    recommendation_id: UUID
    opportunity_id: str
    recommendation_no: int = Field(description="counts the opportunity's recommendations")
    submission_id: str
    current_stage: str | None = Field(description="the opportunity's stage now")
    claimed_stage: str | None = Field(description="the stage the CRM shows now; null when unmapped or unknown")
    crm_deleted: bool
    engine_outcome: str | None = Field(description="the stage engine's decision on the same submission")
    engine_stage: str | None = Field(description="where its rules moved, or propose to move, the opportunity")
    captured_at: datetime
    recommended_at: datetime


class RecommendationPreview(BaseModel):
    """Evidence to try: what would be recommended for it?"""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"stage_key": "prospecting", "assessment_key": "prospecting", "score": "70"}]},
    )

    pipeline_key: Key | None = Field(None, description="the tenant's default pipeline when left out")
    stage_key: Key
    assessment_key: Key
    score: PlainDecimal | None = Field(
        None, max_digits=20, description="in the scale of the assessment's newest profile; null: blocked"
    )


class PriorStrengths(BaseModel):
    """What is set by hand in the model; strengths are in cases."""

    uniform_strength: float = Field(description="of the uniform distribution, in a stage's")
    stage_strength: float = Field(description="of a stage's distribution, in its assessments'")
    assessment_strength: float = Field(description="of an assessment's distribution, in its score bands'")
    support_floor: int = Field(description="cases below which a level is not used")
    closed_floor: int = Field(description="won and lost opportunities, each, from which a pipeline is no longer cold")
    visits_floor: int = Field(description="or ended visits with evidence, if they come first")
    tail: float = Field(description="probability below the credible bound")


class CellVerdicts(BaseModel):
    """In how many cells of the table the model would recommend, and in how many it would abstain, by code."""

    recommending: int
    abstaining: dict[Abstention, int]


class PipelineModel(BaseModel):
    """What the model knows of one pipeline."""

    pipeline_key: str
    name: str
    pipeline_version: int
    is_default: bool
    model_version: str
    is_cold: bool = Field(description="every recommendation abstains with COLD_START while this is true")
    ended_visits: int
    won: int
    lost: int
    abandoned: int
    cases: int = Field(description="scored submissions whose visit ended, by which the model counts")
    cells: CellVerdicts


class ModelState(BaseModel):
    """The model as it is now."""

    priors: PriorStrengths
    pipelines: list[PipelineModel]
    waiting: dict[str, int] = Field(
        description="submissions not yet recommended on, by what they wait for: `profile`, `visit`, `pipeline`"
    )


class ModelCell(BaseModel):
    """One cell of the table: what was known at capture, where such opportunities went, and what the model would say."""

    assessment_key: str
    assessment_title: str
    band: str
    cases: int
    counts: dict[str, int]
    recommended_stage: str | None
    abstention_code: Abstention | None
    level: Level
    support: int
    alternatives: list[Alternative]
