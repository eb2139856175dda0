"""Deciding on a person's command."""

from datetime import datetime

from stage_engine.domain.by_rules import engine_fault, guard
from stage_engine.domain.decision import Cause, Code, Decision, Outcome, Reason
from stage_engine.domain.evaluate import EngineFault, Ruleset
from stage_engine.domain.explain import answer
from stage_engine.domain.inputs import Command
from stage_engine.domain.move import moved, stands_against_evidence
from stage_engine.domain.pipeline import Category, SkipPolicy
from stage_engine.domain.state import Instance, Override

# Who may put a deal where the evidence does not, or bring a closed one back.
OVERRIDING_ROLES = frozenset({"admin", "manager"})


def on_command(before: Instance, given: Command, rules: Ruleset, now: datetime) -> Decision:
    """A person moves freely backwards and out, with a reason; forwards on evidence, or by an override."""
    pipeline = rules.pipeline
    instance = before._replace(decision_no=before.decision_no + 1)
    try:
        reasons = _objections(before, given, rules)
    except EngineFault as fault:
        return engine_fault(pipeline, before, instance, now, fault, given.actor)
    if reasons:
        return answer(pipeline, before, instance, Outcome.REJECTED, now, reasons=reasons, actor=given.actor)
    if given.to_stage == before.stage_key:
        return answer(pipeline, before, instance, Outcome.NO_OP, now, actor=given.actor)
    override = None
    if stands_against_evidence(before, pipeline, given.to_stage):
        override = Override(
            given.to_stage, now, given.actor, given.role, given.reason_code, given.text, given.expires_at
        )
    after, transition = moved(
        instance,
        pipeline,
        given.to_stage,
        cause=Cause.PERSON,
        at=now,
        actor=given.actor,
        reason_code=given.reason_code,
        override=override,
    )
    return answer(pipeline, before, after, Outcome.ACCEPTED, now, transition=transition, write=True, actor=given.actor)


def _missing(name: str, given: str, why: str) -> tuple[Reason, ...]:
    return () if given.strip() else (Reason(Code.MISSING, f"command.{name}", None, why),)


def _role(given: Command, what: str) -> tuple[Reason, ...]:
    if given.role in OVERRIDING_ROLES:
        return ()
    allowed = " or ".join(sorted(OVERRIDING_ROLES))
    return (Reason(Code.FAILED, "command.role", None, f"{what} takes {allowed}, not {given.role}"),)


def _standing_objection(before: Instance, given: Command, rules: Ruleset) -> Reason | None:
    """Why nobody can command the deal at all, or not this."""
    if given.expected_revision != before.revision:
        text = f"the deal is at revision {before.revision}, the command was meant for {given.expected_revision}"
        return Reason(Code.STALE_REVISION, "", None, text)
    if before.deleted:
        return Reason(Code.TERMINAL, "", None, "the opportunity was deleted in the CRM")
    if not before.stage_key or before.quarantined:
        return Reason(Code.UNMAPPED_STAGE, "", None, f"the CRM's stage {before.observed_stage!r} is not mapped")
    if given.to_stage not in rules.pipeline:
        text = f"{rules.pipeline.key} has no stage {given.to_stage!r}"
        return Reason(Code.UNMAPPED_STAGE, "command.to_stage", None, text)
    return None


def _objections(before: Instance, given: Command, rules: Ruleset) -> tuple[Reason, ...]:
    standing = _standing_objection(before, given, rules)
    if standing is not None:
        return (standing,)
    pipeline, source, target = rules.pipeline, before.stage_key, given.to_stage
    if source == target:
        return ()
    category = pipeline.stage(target).category
    if not pipeline.is_open(source):
        if category is not Category.OPEN:
            return (Reason(Code.TERMINAL, "", None, f"the deal is closed in {source}; reopen it first"),)
        return _role(given, "reopening") + _missing("reason_code", given.reason_code, "reopening needs a reason")
    gives_up = category in (Category.LOST, Category.ABANDONED)
    if gives_up or pipeline.rank(target) < pipeline.rank(source):
        return _missing("reason_code", given.reason_code, "going back or giving up needs a reason")
    return _objections_to_progress(before, given, rules)


def _objections_to_progress(before: Instance, given: Command, rules: Ruleset) -> tuple[Reason, ...]:
    pipeline = rules.pipeline
    source, target = before.stage_key, given.to_stage
    skipped = pipeline.skipped(source, target) if pipeline.is_open(target) else ()
    policy = pipeline.skip_policy
    if skipped:
        names = ", ".join(skipped)
        if policy is SkipPolicy.FORBID or (policy is SkipPolicy.OVERRIDE_ONLY and not given.override):
            return (Reason(Code.SKIP_FORBIDDEN, "", None, f"the pipeline does not let {names} be skipped"),)
        if not given.skip:
            return (Reason(Code.SKIP_FORBIDDEN, "command.skip", None, f"{names} would be skipped; say so"),)
    if given.override:
        return (
            _role(given, "an override")
            + _missing("reason_code", given.reason_code, "an override needs a reason code")
            + _missing("text", given.text, "an override needs an explanation")
        )
    earned = before.earned_stage
    if earned == target or (pipeline.is_open(target) and pipeline.rank(earned) >= pipeline.rank(target)):
        return ()
    hops = zip((source, *skipped), (*skipped, target), strict=True)
    return tuple(dict.fromkeys(reason for a, b in hops for reason in guard(before, rules, a, b)))
