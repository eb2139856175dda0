"""Deciding on a timer that fires."""

from datetime import datetime

from stage_engine.domain.by_rules import all_facts, by_rules
from stage_engine.domain.decision import Code, Outcome, Reason, Ruling
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.holds import resumed
from stage_engine.domain.inputs import TimerFired
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
    timer = pipeline.timer(given.key)
    fired = after_firing(running, timer, pipeline, opportunity.decision_no, now)
    over = expired(opportunity, given.key)
    if over is not None:
        return over
    after = opportunity.changed(timers={**opportunity.timers, given.key: fired})
    triggers = frozenset() if timer is None else frozenset({timer.reads})
    if given.key == OVERRIDE:
        after, unblocked = after.changed(override=None), True
    elif given.key == HOLD:
        after, unblocked = resumed(after, pipeline, now), True
    objection = objection_to_rules(after, rules)
    if objection is not None:
        return Ruling(Outcome.NO_OP, after, (objection,))
    if unblocked:
        triggers |= all_facts(after, pipeline, now)
    return asked_meanwhile(by_rules(after, rules, now, triggers, given)) if triggers else Ruling(Outcome.NO_OP, after)
