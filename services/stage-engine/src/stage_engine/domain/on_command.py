"""Deciding on a person's command."""

from dataclasses import replace
from datetime import datetime

from stage_engine.domain.approving import approvals_for, asked_for, is_exempt, steps_of, wish
from stage_engine.domain.by_rules import by_rules, engine_fault, rests_on_own
from stage_engine.domain.decision import Cause, Code, Outcome, Reason, Ruling
from stage_engine.domain.earning import earned_stage
from stage_engine.domain.evaluate import EngineFault, Ruleset
from stage_engine.domain.inputs import IN_THE_CRM, Command
from stage_engine.domain.move import Move, is_against_evidence, moved
from stage_engine.domain.opportunity import Opportunity, Override
from stage_engine.domain.progress import forbidden_skip, lacking
from stage_engine.domain.stages import Category
from stage_engine.domain.taking import taken
from stage_engine.domain.tugs import why_quarantined

_FAULTS = (Code.ENGINE_FAULT, Code.ENGINE_DISAGREEMENT)


def on_command(
    opportunity: Opportunity,
    given: Command,
    rules: Ruleset,
    now: datetime,
    *,
    triggers: frozenset[str] = frozenset(),
    approved: bool = False,
) -> Ruling:
    """A person moves freely backwards and out, with a reason; forwards on evidence, or by an override. Facts that the
    person adds count for the move, and are kept only with it. `triggers` are those that answers have just changed. What
    has to be `approved` waits for that, unless it is."""
    before = opportunity
    try:
        opportunity, reasons = _informed(opportunity, given, rules, now, triggers)
        reasons = reasons or _objections(opportunity, given, rules, now)
    except EngineFault as fault:
        return engine_fault(before, fault)
    if reasons:
        return Ruling(Outcome.REJECTED, before, reasons)
    if given.to_stage == opportunity.stage_key:
        return Ruling(Outcome.NO_OP, opportunity)
    pipeline = rules.pipeline
    approvals = approvals_for(opportunity, pipeline, given.to_stage)
    if approvals and not approved and not is_exempt(pipeline, given.actor, (given.role,)):
        wanted = replace(wish(before, given.to_stage, given.actor, now), command=given)
        return asked_for(before, wanted, approvals, pipeline)
    override = None
    if is_against_evidence(opportunity, rules.pipeline, given.to_stage):
        override = Override(
            given.to_stage, now, given.actor, given.role, given.reason_code, given.text, given.expires_at
        )
    move = Move(given.to_stage, Cause.PERSON, now, actor=given.actor, reason_code=given.reason_code, override=override)
    after, transition = moved(opportunity, rules.pipeline, move)
    return Ruling(Outcome.ACCEPTED, after, transition=transition, write=True)


def _informed(
    opportunity: Opportunity, given: Command, rules: Ruleset, now: datetime, triggers: frozenset[str]
) -> tuple[Opportunity, tuple[Reason, ...]]:
    """The opportunity with the facts that the person adds and all that these and the answers complete and earn, or why
    they cannot be taken."""
    pipeline = rules.pipeline
    if not (given.facts or triggers) or not opportunity.stage_key:
        return opportunity, ()
    unread = tuple(
        Reason(Code.FACT_UNREAD, fact.name, None, f"nothing in {pipeline.key} reads {fact.name}")
        for fact in given.facts
        if fact.name not in pipeline.reads
    )
    found = taken(opportunity, pipeline, given.facts, now)
    if unread or found.reasons:
        return opportunity, (*unread, *found.reasons)
    if not pipeline.is_open(opportunity.stage_key):
        # No rule leads on from where it is closed.
        return found.opportunity, ()
    # As with automation off: rules say what is earned, and the person moves.
    ruling = by_rules(found.opportunity, rules.held_back(), now, triggers | found.changed, given)
    fault = next((reason for reason in ruling.reasons if reason.code in _FAULTS), None)
    after = ruling.opportunity
    if fault is not None or after is None:
        return opportunity, ruling.reasons
    return after.changed(earned_stage=earned_stage(after, rules, now)), ()


def _missing(name: str, given: str, why: str) -> tuple[Reason, ...]:
    return () if given.strip() else (Reason(Code.MISSING, f"command.{name}", None, why),)


def _role(given: Command, what: str) -> tuple[Reason, ...]:
    if given.may_override:
        return ()
    return (Reason(Code.FAILED, "command.role", None, f"{what} takes a command of a role that may override"),)


def _general_objection(opportunity: Opportunity, given: Command, rules: Ruleset) -> Reason | None:
    """Why the opportunity takes no command at all, or not this one."""
    if given.expected_revision != opportunity.revision:
        text = f"it is at revision {opportunity.revision}, the command was meant for {given.expected_revision}"
        return Reason(Code.STALE_REVISION, "", None, text)
    if opportunity.deleted:
        return Reason(Code.TERMINAL, "", None, "the opportunity was deleted in the CRM")
    if not opportunity.stage_key or opportunity.quarantined:
        return why_quarantined(opportunity)
    if given.to_stage not in rules.pipeline:
        text = f"{rules.pipeline.key} has no stage {given.to_stage!r}"
        return Reason(Code.UNMAPPED_STAGE, "command.to_stage", None, text)
    return None


def _objections(opportunity: Opportunity, given: Command, rules: Ruleset, now: datetime) -> tuple[Reason, ...]:
    general = _general_objection(opportunity, given, rules)
    if general is not None:
        return (general,)
    pipeline, source, target = rules.pipeline, opportunity.stage_key, given.to_stage
    if source == target and not given.reopens:
        return ()
    category = pipeline.stage(target).category
    if given.reopens and pipeline.is_open(source):
        return (Reason(Code.FAILED, "command.reopen", None, f"it is open, in {source}: there is nothing to reopen"),)
    if not pipeline.is_open(source):
        if given.role == IN_THE_CRM:
            # An edit there may lead from one end to the other, and needs no role to reopen.
            if given.override:
                return ()
            return (*forbidden_skip(opportunity, rules, target), *lacking(opportunity, rules, target, now))
        if category is not Category.OPEN:
            return (Reason(Code.TERMINAL, "", None, f"the opportunity is closed in {source}; reopen it first"),)
        return _role(given, "reopening") + _missing("reason_code", given.reason_code, "reopening needs a reason")
    gives_up = category in (Category.LOST, Category.ABANDONED)
    if gives_up or pipeline.rank(target) < pipeline.rank(source):
        criteria = () if given.override else lacking(opportunity, rules, target, now)
        return _missing("reason_code", given.reason_code, "going back or giving up needs a reason") + criteria
    return _objections_to_progress(opportunity, given, rules, now)


def _objections_to_progress(
    opportunity: Opportunity, given: Command, rules: Ruleset, now: datetime
) -> tuple[Reason, ...]:
    pipeline = rules.pipeline
    source, target = opportunity.stage_key, given.to_stage
    skipped = pipeline.skipped(source, target) if pipeline.is_open(target) else ()
    if skipped:
        names = ", ".join(skipped)
        forbidden = () if given.override else forbidden_skip(opportunity, rules, target)
        if forbidden:
            return forbidden
        if not given.skip:
            return (Reason(Code.SKIP_FORBIDDEN, "command.skip", None, f"{names} would be skipped; say so"),)
    if given.override:
        return (
            _role(given, "an override")
            + _missing("reason_code", given.reason_code, "an override needs a reason code")
            + _missing("text", given.text, "an override needs an explanation")
        )
    # What is missing comes first: who has to confirm matters once nothing is.
    missing = lacking(opportunity, rules, target, now)
    if missing:
        return missing
    hops = steps_of(rules.pipeline, source, target)
    if not pipeline.confirm_own and any(rests_on_own(opportunity, rules, a, b, given.actor, now) for a, b in hops):
        text = "it rests on answers of your own; another person has to confirm it"
        return (Reason(Code.OWN_PROPOSAL, "command.actor", None, text),)
    return ()
