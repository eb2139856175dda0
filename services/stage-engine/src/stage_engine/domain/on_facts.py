"""Deciding on facts that a source reports."""

from dataclasses import replace
from datetime import datetime

from stage_engine.domain.by_rules import all_facts, by_rules
from stage_engine.domain.decision import Code, Outcome, Reason, Ruling
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.inputs import FactChange
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.taking import taken


def on_facts(
    opportunity: Opportunity, given: FactChange, rules: Ruleset, now: datetime, *, unblocked: bool = False
) -> Ruling:
    """Facts are kept whatever the state of the opportunity; rules are asked about those that changed while it can move.
    Refused facts are named, and hold back none of the others."""
    pipeline = rules.pipeline
    found = taken(opportunity, pipeline, given.facts, now)
    after = found.opportunity
    objection = _objection(after, rules)
    triggers = found.changed
    if objection is not None:
        return Ruling(Outcome.NO_OP, after, (objection, *found.reasons))
    if unblocked:
        triggers |= all_facts(after, pipeline, now)
    if not triggers:
        return Ruling(Outcome.REJECTED if found.reasons else Outcome.NO_OP, after, found.reasons)
    ruling = by_rules(after, rules, now, triggers, given)
    outcome = Outcome.NO_OP if ruling.outcome is Outcome.REJECTED else ruling.outcome
    return replace(ruling, outcome=outcome, reasons=(*ruling.reasons, *found.reasons))


def _objection(opportunity: Opportunity, rules: Ruleset) -> Reason | None:
    if opportunity.deleted:
        return Reason(Code.TERMINAL, "", None, "the opportunity was deleted in the CRM")
    if not opportunity.stage_key or opportunity.quarantined:
        return Reason(Code.UNMAPPED_STAGE, "", None, f"the CRM's stage {opportunity.observed_stage!r} is not mapped")
    if not rules.pipeline.is_open(opportunity.stage_key):
        return Reason(Code.TERMINAL, "", None, f"the opportunity is closed in {opportunity.stage_key}")
    return None
