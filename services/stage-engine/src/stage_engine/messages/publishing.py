"""What this service says of pipelines that are published."""

from collections.abc import Iterable
from datetime import datetime

from stagecraft.stage.v1 import pipeline_published_pb2 as pb

from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.policies import SkipPolicy
from stage_engine.domain.rules import RuleMode
from stage_engine.domain.stages import Criterion, Need
from stage_engine.messages.telling import CATEGORIES

_MODES = {
    RuleMode.OFF: pb.RULE_MODE_OFF,
    RuleMode.SHADOW: pb.RULE_MODE_SHADOW,
    RuleMode.PROPOSE: pb.RULE_MODE_PROPOSE,
    RuleMode.AUTO: pb.RULE_MODE_AUTO,
}
_POLICIES = {
    SkipPolicy.FORBID: pb.SKIP_POLICY_FORBID,
    SkipPolicy.IF_GUARDS_HOLD: pb.SKIP_POLICY_IF_GUARDS_HOLD,
}


def pipeline_published(pipeline: Pipeline, published_at: datetime) -> pb.PipelinePublished:
    """A version of a pipeline that is in force from now on."""
    return pb.PipelinePublished(
        pipeline_key=pipeline.key,
        version=pipeline.version,
        name=pipeline.name,
        stages=[
            pb.Stage(
                key=s.key,
                name=s.name,
                category=CATEGORIES[s.category],
                description=s.description,
                assessment_keys=s.assessment_keys,
                entry=_criteria(s.entry),
                exit=_criteria(s.exit),
            )
            for s in pipeline.stages
        ],
        rules=[
            pb.Rule(
                rule_id=r.rule_id,
                from_stage=r.from_stage or "",
                to_stage=r.to_stage,
                conditions=[pb.Condition(fact=c.fact, cell=c.cell) for c in r.conditions],
                mode=_MODES[r.mode],
                priority=r.priority,
                reason_code=r.reason_code,
            )
            for r in pipeline.rules
        ],
        skip_policy=_POLICIES[pipeline.skip_policy],
        is_default=pipeline.is_default,
        object_type=pipeline.object_type,
        currency=pipeline.currency,
        published_at=published_at,
        assessment_versions=[
            pb.AssessmentVersion(assessment_key=key, version=version)
            for key, version in sorted(pipeline.assessment_versions.items())
        ],
    )


def _criteria(criteria: Iterable[Criterion]) -> list[pb.Criterion]:
    return [
        pb.Criterion(
            key=each.key,
            name=each.name,
            required=each.need is Need.REQUIRED,
            help=each.help,
            playbook_url=each.playbook_url,
            supplied_by=each.supplied_by,
        )
        for each in criteria
    ]
