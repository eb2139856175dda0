"""A pipeline as the JSON document that is authored, shipped as a template and stored."""

from collections.abc import Mapping
from typing import Any

from stage_engine.domain.pipeline import Category, Condition, Pipeline, Rule, RuleMode, SkipPolicy, Stage


def to_document(pipeline: Pipeline) -> dict[str, Any]:
    """The content of the pipeline, without its version."""
    return {
        "key": pipeline.key,
        "name": pipeline.name,
        "skip_policy": pipeline.skip_policy.value,
        "is_default": pipeline.is_default,
        "stages": [
            {
                "key": s.key,
                "name": s.name,
                "category": s.category.value,
                "description": s.description,
                "assessment_keys": list(s.assessment_keys),
            }
            for s in pipeline.stages
        ],
        "rules": [
            {
                "rule_id": r.rule_id,
                "from_stage": r.from_stage,
                "to_stage": r.to_stage,
                "conditions": [{"fact": c.fact, "cell": c.cell} for c in r.conditions],
                "mode": r.mode.value,
                "priority": r.priority,
            }
            for r in pipeline.rules
        ],
    }


def from_document(document: Mapping[str, Any], version: int) -> Pipeline:
    """The pipeline version of a document; a rule without a mode only proposes."""
    return Pipeline(
        key=document["key"],
        version=version,
        name=document["name"],
        stages=tuple(
            Stage(
                s["key"],
                s["name"],
                Category(s["category"]),
                tuple(s.get("assessment_keys", ())),
                s.get("description", ""),
            )
            for s in document["stages"]
        ),
        rules=tuple(
            Rule(
                r["rule_id"],
                r.get("from_stage"),
                r["to_stage"],
                tuple(Condition(c["fact"], c["cell"]) for c in r["conditions"]),
                RuleMode(r.get("mode", RuleMode.PROPOSE)),
                r.get("priority", 0),
            )
            for r in document["rules"]
        ),
        skip_policy=SkipPolicy(document["skip_policy"]),
        is_default=document["is_default"],
    )
