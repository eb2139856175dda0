"""The one function behind every way a stage can change.

    Submission   evidence: rules may move the opportunity, propose to, or say what is short
    Observation  what the CRM holds: adopt, converge, quarantine
    Command      a person: move, override, close, reopen
    FactChange   what a source says of facts: rules that read those that changed may move the opportunity
    Migration    another version of the pipeline: the stage that the plan names
    TimerFired   a moment that was set: rules that read the timer may move the opportunity
    HoldRequest, ResumeRequest   a person: put it off, go on with it
    Reassignment another pipeline: the stage that its mapping names
    Hop          a move by a rule, where the pipeline lets a move lead to the next
    VoidRequest  a person: a submission must not count
    ReleaseRequest   a person: the quarantine of a contested stage ends
    Assignment   who was chosen for it, by rules or by a person
    ApprovalAnswer, ProposalAnswer   a person: yes or no to a move that waits for it, or that a rule proposes

Every input costs exactly one decision, also when nothing moves; at most one transition follows from it.
"""

from datetime import datetime

from stage_engine.domain.acting import with_actions
from stage_engine.domain.decision import Code, Decision, Outcome, Reason, Ruling
from stage_engine.domain.earning import with_support
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.inputs import (
    Assignment,
    Command,
    FactChange,
    Hop,
    Input,
    Migration,
    Observation,
    Reassignment,
    Submission,
    TimerFired,
)
from stage_engine.domain.lasting import with_lasting
from stage_engine.domain.obligations import with_obligations
from stage_engine.domain.on_approval import on_approval
from stage_engine.domain.on_assignment import on_assignment, with_owner_of_crm
from stage_engine.domain.on_command import on_command
from stage_engine.domain.on_facts import on_facts
from stage_engine.domain.on_first_sight import as_creation
from stage_engine.domain.on_hold import on_hold, on_resume
from stage_engine.domain.on_hop import on_hop
from stage_engine.domain.on_migration import on_migration
from stage_engine.domain.on_observation import on_observation, unplaced
from stage_engine.domain.on_proposal import on_proposal
from stage_engine.domain.on_reassignment import on_reassignment
from stage_engine.domain.on_release import on_release
from stage_engine.domain.on_submission import on_submission
from stage_engine.domain.on_timer import on_timer
from stage_engine.domain.on_void import on_void
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.requests import (
    ApprovalAnswer,
    HoldRequest,
    ProposalAnswer,
    ReleaseRequest,
    ResumeRequest,
    VoidRequest,
)
from stage_engine.domain.timers import with_clocks
from stage_engine.domain.tugs import with_tugs
from stage_engine.domain.with_pending import carried_over, with_pending


def decide(opportunity: Opportunity | None, given: Input, rules: Ruleset, now: datetime) -> Decision:
    """The decision on one input. Total and pure: the same arguments give the same decision, byte for byte.

    Only an observation makes an opportunity known; anything else about an unknown one is refused.
    """
    if isinstance(given, Observation):
        opportunity = opportunity or unplaced(given, rules.pipeline)
        given = as_creation(given, waits=opportunity.made_here and not opportunity.stage_key)
    if opportunity is None:
        reason = Reason(Code.MISSING, "opportunity", None, f"{given.opportunity_id} was never observed in the CRM")
        ruling = Ruling(Outcome.REJECTED, None, (reason,))
    else:
        ruling = _ruling(opportunity.changed(decision_no=opportunity.decision_no + 1), given, rules, now)
    return _completed(ruling, opportunity, given, rules, now)


def _ruling(opportunity: Opportunity, given: Input, rules: Ruleset, now: datetime) -> Ruling:
    pipeline = rules.pipeline
    if isinstance(given, Migration):
        ruling = on_migration(opportunity, given, pipeline, now)
        ruling = carried_over(given, ruling, pipeline)
        return _timed(opportunity, given, ruling, pipeline, now)
    if isinstance(given, Reassignment):
        ruling = on_reassignment(opportunity, given, pipeline, now)
        ruling = with_pending(opportunity, ruling, rules, now)
        ruling = with_actions(opportunity, given, ruling, pipeline, now, given.left)
        return _timed(opportunity, given, ruling, pipeline, now)
    if (opportunity.pipeline_key, opportunity.pipeline_version) != (pipeline.key, pipeline.version):
        text = f"the opportunity is pinned to {opportunity.pipeline_key}@{opportunity.pipeline_version}"
        return Ruling(Outcome.REJECTED, opportunity, (Reason(Code.VERSION_MISMATCH, "", None, text),))
    override = opportunity.override
    lapsed = override is not None and override.expires_at is not None and override.expires_at <= now
    if lapsed:
        opportunity = opportunity.changed(override=None)
    # Each step adds to the ruling of those before it: what stops the move comes before what the move asks for, and what
    # is owed before the timers that say when.
    ruling = _handled(opportunity, given, rules, now, unblocked=lapsed)
    ruling = with_tugs(opportunity, given, ruling, pipeline, now)
    ruling = with_lasting(opportunity, ruling, rules, now)
    ruling = with_owner_of_crm(opportunity, given, ruling)
    ruling = with_pending(opportunity, ruling, rules, now)
    ruling = with_actions(opportunity, given, ruling, pipeline, now)
    ruling = _timed(opportunity, given, ruling, pipeline, now)
    return with_support(opportunity, given, ruling, rules, now)


def _timed(opportunity: Opportunity, given: Input, ruling: Ruling, pipeline: Pipeline, now: datetime) -> Ruling:
    """The ruling with what is owed and the timers as they are to run after it."""
    ruling = with_obligations(opportunity, given, ruling, pipeline, now)
    return with_clocks(opportunity, ruling, pipeline, now)


def _handled(opportunity: Opportunity, given: Input, rules: Ruleset, now: datetime, *, unblocked: bool) -> Ruling:
    if isinstance(given, Submission):
        return on_submission(opportunity, given, rules, now, unblocked=unblocked)
    if isinstance(given, Observation):
        return on_observation(opportunity, given, rules, now, unblocked=unblocked)
    if isinstance(given, FactChange):
        return on_facts(opportunity, given, rules, now, unblocked=unblocked)
    if isinstance(given, TimerFired):
        return on_timer(opportunity, given, rules, now, unblocked=unblocked)
    if isinstance(given, Assignment):
        return on_assignment(opportunity, given)
    if isinstance(given, HoldRequest):
        return on_hold(opportunity, given, rules, now)
    if isinstance(given, ResumeRequest):
        return on_resume(opportunity, given, rules, now)
    if isinstance(given, Hop):
        return on_hop(opportunity, given, rules, now)
    if isinstance(given, VoidRequest):
        return on_void(opportunity, given, rules, now)
    if isinstance(given, ReleaseRequest):
        return on_release(opportunity, given, rules, now)
    if isinstance(given, ApprovalAnswer):
        return on_approval(opportunity, given, rules, now)
    if isinstance(given, ProposalAnswer):
        return on_proposal(opportunity, given, rules, now)
    assert isinstance(given, Command)
    return on_command(opportunity, given, rules, now)


def _completed(ruling: Ruling, before: Opportunity | None, given: Input, rules: Ruleset, now: datetime) -> Decision:
    pipeline = rules.pipeline
    after, reasons, explanation = ruling.opportunity, ruling.reasons, ruling.explanation
    target = expected = ""
    version = 0
    if ruling.write and after is not None:
        target, expected = after.stage_key, after.base_stage
        version = after.base_version if after.base_version != pipeline.version else 0
        if after.sync_error is not None:
            text = f"the CRM refused {after.sync_error.stage_key}: {after.sync_error.code}"
            reasons = (*reasons, Reason(Code.SYNC_BLOCKED, "", None, text))
    # Two dozen names cost a call more than all that it does with the values: they are in the order of the declaration.
    return Decision(
        ruling.outcome,
        reasons,
        explanation.near_misses,
        explanation.rule_id,
        explanation.margin,
        explanation.facts,
        pipeline.key,
        pipeline.version,
        before.stage_key if before is not None else "",
        after.stage_key if after is not None else "",
        ruling.proposed_stage,
        ruling.transition,
        target,
        expected,
        given.actor,
        now,
        after,
        version,
        rules.modes_revision,
        pipeline.calendar.name,
        ruling.move,
        ruling.actions,
        ruling.lapsed,
        ruling.owed,
        ruling.assigned,
        ruling.ended_requests,
        ruling.ended_proposals,
    )
