"""Deciding on what a move by a rule leads on to, in pipelines that allow that."""

from datetime import datetime

from stage_engine.domain.by_rules import all_facts, by_rules
from stage_engine.domain.decision import Outcome, Ruling
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.inputs import Hop
from stage_engine.domain.on_facts import asked_meanwhile, objection_to_rules
from stage_engine.domain.opportunity import Opportunity


def on_hop(opportunity: Opportunity, given: Hop, rules: Ruleset, now: datetime) -> Ruling:
    """Rules of the stage that was just entered are asked about all that is known there. They never lead back at once:
    what goes on is no way to fall."""
    objection = objection_to_rules(opportunity, rules)
    if objection is not None:
        return Ruling(Outcome.NO_OP, opportunity, (objection,))
    ruling = asked_meanwhile(by_rules(opportunity, rules, now, all_facts(opportunity, rules.pipeline, now), given))
    move = ruling.transition
    if move is None or not rules.pipeline.is_open(move.to_stage):
        return ruling
    forward = rules.pipeline.rank(move.to_stage) > rules.pipeline.rank(opportunity.stage_key)
    return ruling if forward else Ruling(Outcome.NO_OP, opportunity)
