"""Rules that act only once their conditions have held for a while, so that a stage is not lost to what passes by.

Counting begins when the conditions are first seen to hold in a visit, ends with the visit or as soon as they do not
hold, and rests on hold. A timer of the engine's own says when it has been long enough.
"""

from dataclasses import replace
from datetime import datetime

from stage_engine.domain.decision import Code, Reason, Ruling
from stage_engine.domain.evaluate import Ruleset, all_hold
from stage_engine.domain.known_facts import facts_of
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.parsed import ParsedRule

LASTING = "@lasting/"


def with_lasting(before: Opportunity, ruling: Ruling, rules: Ruleset, now: datetime) -> Ruling:
    """The ruling with the rules of its stage whose conditions hold now, and since when they do."""
    after = ruling.opportunity
    if after is None or not (rules.lasting or after.lasting):
        return ruling
    found: dict[str, datetime] = {}
    counted = rules.lasting.get(after.stage_key, ()) if not after.deleted else ()
    if counted:
        facts = facts_of(after, rules.pipeline, after.stage_key, now)
        known = after.lasting if after.visit_no == before.visit_no else {}
        found = {p.rule.rule_id: known.get(p.rule.rule_id, now) for p in counted if all_hold(p.tests, facts)}
    if found == after.lasting:
        return ruling
    counting = after.changed(lasting=found)
    begun = (p for p in counted if p.acts and p.rule.rule_id in found.keys() - after.lasting.keys())
    said = tuple(reason for p in begun if (reason := not_yet(counting, p)) is not None)
    return replace(ruling, opportunity=counting, reasons=(*ruling.reasons, *said))


def has_lasted(opportunity: Opportunity, parsed: ParsedRule) -> bool:
    """Whether a rule that holds has held for long enough: the timer of this visit has fired."""
    if not parsed.rule.lasting:
        return True
    running = opportunity.timers.get(LASTING + parsed.rule.rule_id)
    return running is not None and running.fired > 0 and running.visit_no == opportunity.visit_no


def not_yet(opportunity: Opportunity, parsed: ParsedRule) -> Reason | None:
    """Why a rule whose conditions hold does not act yet."""
    since = opportunity.lasting.get(parsed.rule.rule_id)
    if since is None or has_lasted(opportunity, parsed):
        return None
    rule = parsed.rule
    text = f"{rule.rule_id} has held since {since:%Y-%m-%d %H:%M} UTC and acts once that has lasted {rule.lasting}"
    return Reason(Code.NOT_LASTING, "", None, text)


def rule_of_timer(timer_key: str) -> str | None:
    """The rule that has lasted long enough when this timer fires; None of another timer."""
    return timer_key.removeprefix(LASTING) if timer_key.startswith(LASTING) else None
