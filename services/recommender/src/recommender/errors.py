"""What this service refuses.

NotFoundProblem
├── RecommendationNotFound   the opportunity has none yet
└── PipelineNotFound         no pipeline of that key, or none at all
InvalidProblem
├── StageUnknown             the pipeline has no such stage
└── AssessmentUnknown        no scoring profile of the assessment is known, so it has no bands
"""

from kit.http.problems import FieldError, InvalidProblem, NotFoundProblem


class RecommendationNotFound(NotFoundProblem):
    code = "recommendation_not_found"


class PipelineNotFound(NotFoundProblem):
    code = "pipeline_not_found"


class StageUnknown(InvalidProblem):
    code = "unknown_stage"

    def __init__(self, pointer: str, stage_key: str, pipeline_key: str) -> None:
        detail = f"The pipeline {pipeline_key} has no stage {stage_key}."
        super().__init__(detail, errors=[FieldError(pointer, self.code, detail)])


class AssessmentUnknown(InvalidProblem):
    code = "unknown_assessment"

    def __init__(self, assessment_key: str) -> None:
        detail = f"No scoring profile of the assessment {assessment_key} is published."
        super().__init__(detail, errors=[FieldError("/assessment_key", self.code, detail)])
