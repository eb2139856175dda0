"""Going to and fro: an opportunity that rules and the CRM, or rules alone, bring back again and again is quarantined
before the next write, with who brought it where and when. A person's command ends the row."""

from dataclasses import replace
from datetime import datetime, timedelta

from stage_engine.domain.decision import Cause, Code, Outcome, Reason, Ruling
from stage_engine.domain.inputs import Input, Observation
from stage_engine.domain.opportunity import Opportunity, Tug
from stage_engine.domain.pipeline import Pipeline

WINDOW = timedelta(hours=1)


def with_tugs(before: Opportunity, given: Input, ruling: Ruling, pipeline: Pipeline, now: datetime) -> Ruling:
    """The ruling with the row of moves that it goes on with. Once they alternate too often, nothing is written."""
    after, move = ruling.opportunity, ruling.transition
    if after is None or not before.stage_key or after.contested:
        return ruling
    if move is not None and move.cause not in (Cause.RULE, Cause.CRM):
        return replace(ruling, opportunity=after.changed(tugs=())) if after.tugs else ruling
    new = _new(before, given, ruling, after, now)
    if not new:
        return ruling
    recent = tuple(tug for tug in after.tugs if now - tug.at <= WINDOW) or (Tug(before.stage_key, now, ""),)
    limit = pipeline.alternations_at_most
    tugs = _alternating((*recent, *new))[-2 * limit - 1 :]
    after = after.changed(tugs=tugs)
    if (len(tugs) - 1) // 2 < limit:
        return replace(ruling, opportunity=after)
    after = after.changed(contested=True, quarantined=True, in_flight=())
    reason = contested(after)
    return replace(ruling, opportunity=after, reasons=(*ruling.reasons, reason), write=False)


def _new(before: Opportunity, given: Input, ruling: Ruling, after: Opportunity, now: datetime) -> tuple[Tug, ...]:
    """What a decision adds: the move of a rule or of the CRM, or an edit there that is about to be undone."""
    move = ruling.transition
    if move is not None:
        return (Tug(move.to_stage, now, move.rule_id or move.actor or "the CRM"),)
    if not isinstance(given, Observation) or given.stage_key in (before.stage_key, before.base_stage):
        return ()
    undone = ruling.outcome is Outcome.REJECTED and any(r.code is Code.EDIT_REVERTED for r in ruling.reasons)
    waits = ruling.outcome is Outcome.PROPOSED and ruling.write
    if not undone and not waits:
        return ()
    return Tug(given.stage_key, now, given.changed_by or "the CRM"), Tug(after.stage_key, now, "")


def _alternating(tugs: tuple[Tug, ...]) -> tuple[Tug, ...]:
    """The end of the row in which two stages take turns."""
    start = len(tugs) - 1
    while start > 0 and tugs[start - 1].stage_key != tugs[start].stage_key:
        if start + 1 < len(tugs) and tugs[start - 1].stage_key != tugs[start + 1].stage_key:
            break
        start -= 1
    return tugs[start:]


def contested(opportunity: Opportunity) -> Reason:
    """Who brought it where, and when, in words."""
    row = "; ".join(
        f"{tug.by or 'Stagecraft'} set {tug.stage_key} at {tug.at:%H:%M:%S} UTC" for tug in opportunity.tugs[1:]
    )
    times = (len(opportunity.tugs) - 1) // 2
    often = "once" if times == 1 else f"{times} times"
    text = f"its stage went to and fro {often}: {row}. Nothing is written until a person releases it"
    return Reason(Code.CONTESTED, "", None, text)


def why_quarantined(opportunity: Opportunity) -> Reason:
    """Why nothing moves an opportunity that is quarantined, or has no stage yet."""
    if opportunity.contested:
        return contested(opportunity)
    text = f"the CRM's stage {opportunity.observed_stage!r} is not mapped"
    return Reason(Code.UNMAPPED_STAGE, "", None, text)
