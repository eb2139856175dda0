"""How this service refuses.

NotFoundProblem
├── PipelineNotFound, TemplateNotFound
├── OpportunityNotFound
└── DecisionNotFound
ConflictProblem
├── PipelineExists
└── PartnerFeedExists
InvalidProblem
├── PipelineInvalid        publication refused: the pipeline has errors
├── StageUnknown           the deal's pipeline has no such stage
├── PartnerTopicForeign    the topic is not one of this tenant's
└── PartnerTopicMissing    the broker does not know the topic
"""

from collections.abc import Sequence

from kit.http.problems import ConflictProblem, FieldError, InvalidProblem, NotFoundProblem

from stage_engine.domain.finding import LintFinding


class PipelineNotFound(NotFoundProblem):
    code = "pipeline_not_found"


class TemplateNotFound(NotFoundProblem):
    code = "template_not_found"


class OpportunityNotFound(NotFoundProblem):
    code = "opportunity_not_found"


class DecisionNotFound(NotFoundProblem):
    code = "decision_not_found"


class PipelineExists(ConflictProblem):
    code = "pipeline_exists"


class PartnerFeedExists(ConflictProblem):
    code = "partner_feed_exists"


class PipelineInvalid(InvalidProblem):
    code = "pipeline_invalid"

    def __init__(self, findings: Sequence[LintFinding]) -> None:
        errors = [FieldError(f"/draft{each.pointer}", each.code, each.message) for each in findings]
        super().__init__(f"the pipeline has {len(errors)} errors", errors=errors)


class StageUnknown(InvalidProblem):
    code = "stage_unknown"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, errors=[FieldError("/body/to_stage", self.code, detail)])


class PartnerTopicForeign(InvalidProblem):
    code = "partner_topic_foreign"

    def __init__(self, prefix: str) -> None:
        detail = f"a partner's topic starts with {prefix!r}"
        super().__init__(detail, errors=[FieldError("/body/topic", self.code, detail)])


class PartnerTopicMissing(InvalidProblem):
    code = "partner_topic_missing"

    def __init__(self, topic: str) -> None:
        detail = f"the broker has no topic {topic!r}: create it first, or every event after it would wait"
        super().__init__(detail, errors=[FieldError("/body/topic", self.code, detail)])
