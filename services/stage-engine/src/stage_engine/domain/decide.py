"""The one function behind every way a stage can change.

    Submission   evidence: rules may move the deal, propose to, or tell what is short
    Observation  the CRM's sight of the deal: adopt, converge, quarantine
    Command      a person: move, override, close, reopen

Every input costs exactly one decision, also when nothing moves; at most one transition follows from it.
"""

from datetime import datetime

from stage_engine.domain.decision import Code, Decision, Outcome, Reason
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.explain import answer
from stage_engine.domain.inputs import Input, Observation, Submission
from stage_engine.domain.on_command import on_command
from stage_engine.domain.on_observation import on_observation, unplaced
from stage_engine.domain.on_submission import on_submission
from stage_engine.domain.state import Instance


def decide(instance: Instance | None, given: Input, rules: Ruleset, now: datetime) -> Decision:
    """The answer to one input. Total and pure: the same arguments give the same decision, byte for byte.

    Without an instance only an observation makes one; anything else is refused and leaves the deal unknown.
    """
    pipeline = rules.pipeline
    if instance is None:
        if not isinstance(given, Observation):
            reason = Reason(Code.MISSING, "opportunity", None, f"{given.opportunity_id} was never seen in the CRM")
            return answer(pipeline, None, None, Outcome.REJECTED, now, reasons=(reason,))
        instance = unplaced(given, pipeline)
    if (instance.pipeline_key, instance.pipeline_version) != (pipeline.key, pipeline.version):
        text = f"the deal is pinned to {instance.pipeline_key}@{instance.pipeline_version}"
        held = instance._replace(decision_no=instance.decision_no + 1)
        reason = Reason(Code.VERSION_MISMATCH, "", None, text)
        return answer(pipeline, instance, held, Outcome.REJECTED, now, reasons=(reason,))
    override = instance.override
    if override is not None and override.expires_at is not None and override.expires_at <= now:
        instance = instance._replace(override=None)
    if isinstance(given, Submission):
        return on_submission(instance, given, rules, now)
    if isinstance(given, Observation):
        return on_observation(instance, given, rules, now)
    return on_command(instance, given, rules, now)
