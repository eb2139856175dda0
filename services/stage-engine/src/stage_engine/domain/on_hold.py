"""Deciding on a person's wish to put an opportunity off, or to go on with it."""

from dataclasses import replace
from datetime import datetime

from stage_engine.domain.by_rules import all_facts, by_rules
from stage_engine.domain.calendar import start_of
from stage_engine.domain.clocks import Hold
from stage_engine.domain.decision import Code, Outcome, Reason, Ruling
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.facts import AMOUNT, CLOSE_DATE, OWNER
from stage_engine.domain.grammar import CellError
from stage_engine.domain.holds import ends_hold, resumed
from stage_engine.domain.known_facts import facts_in_force
from stage_engine.domain.on_facts import asked_meanwhile, objection_to_rules
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.parsed import read_condition
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.requests import HoldRequest, ResumeRequest
from stage_engine.domain.stages import Condition

_ALWAYS_READ = frozenset({AMOUNT, CLOSE_DATE, OWNER})


def on_hold(opportunity: Opportunity, given: HoldRequest, rules: Ruleset, now: datetime) -> Ruling:
    """The stage stays, clocks rest, and rules move nothing until it goes on. Holding what is on hold changes until
    when, and not since when."""
    pipeline, was = rules.pipeline, opportunity.hold
    until = given.until if given.until_day is None else start_of(pipeline.calendar, given.until_day)
    since = now if was is None else was.since
    hold = Hold(since, until, given.fact, given.cell, given.reason, given.actor, given.until_day)
    after = opportunity.changed(hold=hold)
    objection = _general_objection(opportunity, given, rules) or _objection(after, hold, pipeline, now)
    if objection is not None:
        return Ruling(Outcome.REJECTED, opportunity, (objection,))
    return Ruling(Outcome.ACCEPTED, after)


def on_resume(opportunity: Opportunity, given: ResumeRequest, rules: Ruleset, now: datetime) -> Ruling:
    """The opportunity goes on, and all that came in the meantime counts."""
    objection = _general_objection(opportunity, given, rules)
    if objection is None and opportunity.hold is None:
        objection = _failed("hold", "the opportunity is not on hold: there is nothing to resume")
    if objection is not None:
        return Ruling(Outcome.REJECTED, opportunity, (objection,))
    after = resumed(opportunity, rules.pipeline, now)
    ruling = asked_meanwhile(by_rules(after, rules, now, all_facts(after, rules.pipeline, now), given))
    return ruling if ruling.outcome is not Outcome.NO_OP else replace(ruling, outcome=Outcome.ACCEPTED)


def _failed(name: str, text: str) -> Reason:
    return Reason(Code.FAILED, f"command.{name}", None, text)


def _general_objection(opportunity: Opportunity, given: HoldRequest | ResumeRequest, rules: Ruleset) -> Reason | None:
    if given.expected_revision != opportunity.revision:
        text = f"it is at revision {opportunity.revision}, the command was meant for {given.expected_revision}"
        return Reason(Code.STALE_REVISION, "", None, text)
    return objection_to_rules(opportunity, rules)


def _objection(held: Opportunity, hold: Hold, pipeline: Pipeline, now: datetime) -> Reason | None:
    """Why nothing could be put off so."""
    if not hold.reason.strip():
        return Reason(Code.MISSING, "command.reason", None, "a hold needs a reason")
    if hold.until is not None and hold.until <= now:
        text = f"{hold.until_day or hold.until.isoformat()} has passed; hold until a later time, or do not hold it"
        return _failed("until", text)
    if not hold.fact:
        return None
    if hold.fact not in pipeline.reads | _ALWAYS_READ:
        text = f"nothing in {pipeline.key} reads {hold.fact}, so it would never come; hold until a time instead"
        return Reason(Code.FACT_UNREAD, "command.until_fact", None, text)
    try:
        read_condition(Condition(hold.fact, hold.cell), pipeline)
    except CellError as fault:
        return _failed("until_fact", str(fault))
    if ends_hold(held, pipeline, facts_in_force(held, pipeline, now)):
        return _failed("until_fact", f"{hold.fact} meets {hold.cell} already")
    return None
