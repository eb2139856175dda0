"""How this service refuses.

NotFoundProblem
├── PipelineNotFound, PipelineNotPublished, TemplateNotFound
├── OpportunityNotFound
├── PartnerFeedNotFound
└── DecisionNotFound
ConflictProblem
├── PipelineExists
├── StagesInUse            opportunities are in stages that the new version has no more
├── DefaultTaken           another pipeline is the default
└── PartnerFeedExists
InvalidProblem
├── PipelineInvalid        publication refused: the pipeline has errors
├── StageUnknown           the opportunity's pipeline has no such stage
└── PartnerTopicMissing    the broker does not know the topic
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from kit.http.problems import ConflictProblem, FieldError, InvalidProblem, NotFoundProblem

from stage_engine.domain.finding import LintFinding


class PipelineNotFound(NotFoundProblem):
    code = "pipeline_not_found"

    def __init__(self, key: str) -> None:
        super().__init__(f"There is no pipeline {key!r}.")


class TemplateNotFound(NotFoundProblem):
    code = "template_not_found"

    def __init__(self, key: str) -> None:
        super().__init__(f"There is no template {key!r}.")


class OpportunityNotFound(NotFoundProblem):
    code = "opportunity_not_found"

    def __init__(self, opportunity_id: str) -> None:
        super().__init__(f"There is no opportunity {opportunity_id!r}.")


class PartnerFeedNotFound(NotFoundProblem):
    code = "partner_feed_not_found"

    def __init__(self, partner_key: str) -> None:
        super().__init__(f"There is no feed for the partner {partner_key!r}.")


class DecisionNotFound(NotFoundProblem):
    code = "decision_not_found"

    def __init__(self, decision_id: UUID) -> None:
        super().__init__(f"There is no decision {decision_id}.")


class PipelineNotPublished(NotFoundProblem):
    code = "pipeline_not_found"

    def __init__(self, key: str | None) -> None:
        super().__init__(f"No pipeline {key!r} is published." if key else "No default pipeline is published.")


class PipelineExists(ConflictProblem):
    code = "pipeline_exists"

    def __init__(self, key: str) -> None:
        super().__init__(f"There is a pipeline {key!r} already.")


class StagesInUse(ConflictProblem):
    code = "stages_in_use"

    def __init__(self, opportunities: Mapping[str, int]) -> None:
        named = ", ".join(f"{count} in {key!r}" for key, count in sorted(opportunities.items()))
        super().__init__(
            f"Open opportunities are in stages that the draft does not have: {named}. Keep these stages, or move the "
            "opportunities first."
        )


class DefaultTaken(ConflictProblem):
    code = "default_taken"

    def __init__(self, key: str, opportunities: int) -> None:
        super().__init__(
            f"{key!r} is the default pipeline, with {opportunities} open opportunities. They would stay there, and new "
            "ones would come here. Publish with `take_over_default`, or make the draft no default."
        )


class PartnerFeedExists(ConflictProblem):
    code = "partner_feed_exists"

    def __init__(self, partner_key: str) -> None:
        super().__init__(f"The partner {partner_key!r} has a feed already.")


class PipelineInvalid(InvalidProblem):
    code = "pipeline_invalid"

    def __init__(self, findings: Sequence[LintFinding]) -> None:
        errors = [FieldError(each.pointer, each.code, each.message) for each in findings]
        super().__init__(f"The pipeline has {len(errors)} errors.", errors=errors)


class StageUnknown(InvalidProblem):
    code = "stage_unknown"

    def __init__(self, pipeline_key: str, stage_key: str) -> None:
        detail = f"The pipeline {pipeline_key!r} has no stage {stage_key!r}."
        super().__init__(detail, errors=[FieldError("/to_stage", self.code, detail)])


class FactInvalid(InvalidProblem):
    code = "fact_invalid"

    def __init__(self, index: int, member: str, detail: str) -> None:
        super().__init__(detail, errors=[FieldError(f"/facts/{index}/{member}", self.code, detail)])


class PartnerTopicMissing(InvalidProblem):
    code = "partner_topic_missing"

    def __init__(self, topic: str) -> None:
        detail = f"The broker has no topic {topic!r}. Create it, let this service write to it, and try again."
        super().__init__(detail, errors=[FieldError("/partner_key", self.code, detail)])
