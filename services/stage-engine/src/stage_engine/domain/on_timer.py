"""Deciding on a timer that fires."""

from dataclasses import replace
from datetime import datetime

from stage_engine.domain.acting import IN_TIME, action_of_timer, settled
from stage_engine.domain.by_rules import all_facts, by_rules
from stage_engine.domain.clocks import Timer
from stage_engine.domain.decision import Code, Lapsed, Outcome, Reason, Ruling
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.holds import resumed
from stage_engine.domain.inputs import TimerFired
from stage_engine.domain.lasting import rule_of_timer
from stage_engine.domain.on_facts import asked_meanwhile, objection_to_rules
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.timers import HOLD, OVERRIDE, after_firing
from stage_engine.domain.with_pending import expired


def on_timer(
    opportunity: Opportunity, given: TimerFired, rules: Ruleset, now: datetime, *, unblocked: bool = False
) -> Ruling:
    """Rules that read the timer are asked; one that was cancelled or set anew in the meantime changes nothing. What an
    override or a hold kept from acting is asked about again when it ends."""
    pipeline, running = rules.pipeline, opportunity.timers.get(given.key)
    if running is None or running.due is None or running.set_by != given.number:
        text = f"the timer {given.key} was cancelled or set anew before it fired"
        return Ruling(Outcome.NO_OP, opportunity, (Reason(Code.SUPERSEDED, "", None, text),))
    action, timer = action_of_timer(given.key), pipeline.timer(given.key)
    if action is not None:
        asked = opportunity.open_actions[action]
        lapsed = Lapsed(action, asked.revision, asked.asked_at, IN_TIME)
        ruling = _asked(settled(opportunity, action, lapsed.revision), frozenset(), given, rules, now, unblocked)
        return replace(ruling, lapsed=(lapsed, *ruling.lapsed))
    fired = after_firing(running, timer, pipeline, opportunity.decision_no, now)
    over = expired(opportunity, given.key)
    if over is not None and over.opportunity is not None:
        ruling = _asked(over.opportunity, frozenset(), given, rules, now, unblocked)
        return replace(
            ruling,
            reasons=(*over.reasons, *ruling.reasons),
            ended_requests=(*over.ended_requests, *ruling.ended_requests),
            ended_proposals=(*over.ended_proposals, *ruling.ended_proposals),
        )
    after = opportunity.changed(timers={**opportunity.timers, given.key: fired})
    triggers = frozenset() if timer is None else frozenset({timer.reads})
    lasted = pipeline.rule(rule_of_timer(given.key) or "")
    if lasted is not None:
        triggers = frozenset(condition.fact for condition in lasted.conditions)
    if given.key == OVERRIDE:
        after, unblocked = after.changed(override=None), True
    elif given.key == HOLD:
        after, unblocked = resumed(after, pipeline, now), True
    ruling = _asked(after, triggers, given, rules, now, unblocked)
    return ruling if timer is None or not timer.actions else _with_actions(ruling, timer, after, rules)


def _with_actions(ruling: Ruling, timer: Timer, after: Opportunity, rules: Ruleset) -> Ruling:
    """The ruling with what the timer itself asks for, unless nothing may act on the subject."""
    if objection_to_rules(after, rules) is not None:
        return ruling
    if not rules.automation:
        text = f"{timer.key} fired, and automation of {rules.pipeline.key} is switched off: it asks for nothing"
        return replace(ruling, reasons=(*ruling.reasons, Reason(Code.AUTOMATION_OFF, "", None, text)))
    return replace(ruling, timed=timer.actions)


def _asked(
    after: Opportunity, triggers: frozenset[str], given: TimerFired, rules: Ruleset, now: datetime, unblocked: bool
) -> Ruling:
    objection = objection_to_rules(after, rules)
    if objection is not None:
        return Ruling(Outcome.NO_OP, after, (objection,))
    if unblocked:
        triggers |= all_facts(after, rules.pipeline, now)
    return asked_meanwhile(by_rules(after, rules, now, triggers, given)) if triggers else Ruling(Outcome.NO_OP, after)
