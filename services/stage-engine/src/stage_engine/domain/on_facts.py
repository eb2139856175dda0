"""Deciding on facts that a source reports."""

from dataclasses import replace
from datetime import datetime

from stage_engine.domain.by_rules import all_facts, by_rules
from stage_engine.domain.decision import Code, Outcome, Reason, Ruling
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.inputs import FactChange
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.taking import taken
from stage_engine.domain.tugs import why_quarantined


def on_facts(
    opportunity: Opportunity, given: FactChange, rules: Ruleset, now: datetime, *, unblocked: bool = False
) -> Ruling:
    """Facts are kept whatever the state of the opportunity; rules are asked about those that changed while it can move.
    Refused facts are named, and hold back none of the others."""
    pipeline = rules.pipeline
    found = taken(opportunity, pipeline, given.facts, now)
    after = found.opportunity
    objection = objection_to_rules(after, rules)
    triggers = found.changed
    if objection is not None:
        return Ruling(Outcome.NO_OP, after, (objection, *found.reasons))
    if unblocked:
        triggers |= all_facts(after, pipeline, now)
    if not triggers:
        return Ruling(Outcome.REJECTED if found.reasons else Outcome.NO_OP, after, found.reasons)
    ruling = asked_meanwhile(by_rules(after, rules, now, triggers, given))
    return replace(ruling, reasons=(*ruling.reasons, *found.reasons))


def asked_meanwhile(ruling: Ruling) -> Ruling:
    """The ruling of rules on something that was no request to move: that they fall short refuses nothing."""
    return replace(ruling, outcome=Outcome.NO_OP) if ruling.outcome is Outcome.REJECTED else ruling


def objection_to_rules(opportunity: Opportunity, rules: Ruleset) -> Reason | None:
    """Why no rule can move the opportunity, whatever its facts."""
    if opportunity.deleted:
        return Reason(Code.TERMINAL, "", None, "the opportunity was deleted in the CRM")
    if not opportunity.stage_key or opportunity.quarantined:
        return why_quarantined(opportunity)
    if not rules.pipeline.is_open(opportunity.stage_key):
        return Reason(Code.TERMINAL, "", None, f"the opportunity is closed in {opportunity.stage_key}")
    return None
