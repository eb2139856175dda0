"""Reconciling with what the CRM shows: base is what was last agreed, ours the opportunity's stage, theirs the one
observed."""

from dataclasses import replace
from datetime import datetime

from stage_engine.domain.by_rules import all_facts, by_rules
from stage_engine.domain.crm_edits import CRM_EDIT, verdict, written_back
from stage_engine.domain.decision import Cause, Code, Outcome, Reason, Ruling
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.facts import AMOUNT, CLOSE_DATE, OWNER
from stage_engine.domain.inputs import IN_THE_CRM, Observation, Occasion
from stage_engine.domain.move import Move, is_against_evidence, moved
from stage_engine.domain.on_first_sight import on_first_sight
from stage_engine.domain.opportunity import LastObservation, Opportunity, Override
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.policies import OtherPipelinePolicy, SkipPolicy
from stage_engine.domain.taking import taken
from stage_engine.domain.tugs import contested


def unplaced(given: Observation, pipeline: Pipeline) -> Opportunity:
    """An opportunity observed for the first time, before anything is known of its stage."""
    return Opportunity(
        opportunity_id=given.opportunity_id,
        pipeline_key=pipeline.key,
        pipeline_version=pipeline.version,
        stage_key="",
        earned_stage=pipeline.first_stage(),
        base_stage="",
        base_revision=0,
        observed_stage=given.crm_stage,
        visit_no=0,
        visit_opened_at=given.in_stage_since or given.committed_at,
        cycle_no=1,
        revision=0,
        decision_no=0,
        quarantined=False,
        deleted=False,
        amount=None,
        close_date="",
        owner_id="",
        override=None,
        scores={},
        in_flight=(),
        sync_error=None,
    )


def on_observation(
    before: Opportunity, given: Observation, rules: Ruleset, now: datetime, *, unblocked: bool = False
) -> Ruling:
    """The person wins: an edit in the CRM is adopted, also backwards and also a close, and remembered as an override.
    The echo of a write of ours is not an edit. Evidence that came while the opportunity was blocked is asked about
    again as soon as it is not: `unblocked` says that something else has just gone."""
    last = before.last_observation
    if last is not None and 0 < given.number < last.number:
        # Replayed from the dead letters, say. What it shows is no longer so.
        text = f"report {given.number} of the CRM came after report {last.number}"
        return Ruling(Outcome.NO_OP, before, (Reason(Code.STALE_REVISION, "", None, text),))
    if given.occasion is Occasion.DELETED:
        # A tombstone carries no facts; the last ones stay for the record.
        gone = replace(last, number=given.number) if last is not None and given.number else last
        return Ruling(Outcome.NO_OP, before.changed(deleted=True, last_observation=gone))
    unblocked = unblocked or before.quarantined or before.deleted
    # The CRM's clock must not date a fact into the future; its reports are numbered.
    facts = [replace(fact, observed_at=now) if fact.observed_at > now else fact for fact in given.facts]
    found = taken(_observed(before, given, rules.pipeline), rules.pipeline, facts, now)
    changed = found.changed | _changed(before, found.opportunity)
    if _still_shows_the_base(before, given):
        ruling = _resumed(found.opportunity, given, rules, now, changed, rewrite=False)
    else:
        ruling = _reconciled(found.opportunity, changed, given, rules, now, unblocked=unblocked, was=before)
    warnings = (*_warnings(given, rules.pipeline), *found.reasons)
    if not warnings:
        return ruling
    return replace(ruling, reasons=(*ruling.reasons, *warnings))


def _warnings(given: Observation, pipeline: Pipeline) -> tuple[Reason, ...]:
    """Why facts that the CRM holds are unknown here."""
    unread = [
        Reason(Code.FACT_UNREADABLE, fact, None, f"what the CRM holds as {fact} cannot be read: it counts as unknown")
        for fact in given.unread
    ]
    if given.amount is not None and not pipeline.compares(given.currency):
        of = f"compares amounts in {pipeline.currency}" if pipeline.currency else "names no currency"
        text = f"the amount is in {given.currency}, and {pipeline.key} {of}: it counts as unknown"
        unread.append(Reason(Code.OTHER_CURRENCY, AMOUNT, None, text))
    return tuple(unread)


def _observed(before: Opportunity, given: Observation, pipeline: Pipeline) -> Opportunity:
    last = before.last_observation
    if given.number:
        last = LastObservation(given.number, given.stage_key, given.crm_stage, given.changed_by, given.committed_at)
    elsewhere = bool(before.other_pipeline) and pipeline.on_other_pipeline is OtherPipelinePolicy.QUARANTINE
    return before.changed(
        account_id=given.account_id,
        account_type=given.account_type,
        observed_stage=given.crm_stage,
        amount=given.amount,
        currency=given.currency,
        amount_counts=pipeline.compares(given.currency),
        close_date=given.close_date,
        owner_id=given.owner_id,
        deleted=False,
        quarantined=before.contested or elsewhere,
        last_observation=last,
        made_here=before.made_here or given.occasion is Occasion.CREATED,
    )


def _reconciled(
    observed: Opportunity, triggers: frozenset[str], given: Observation, rules: Ruleset, now: datetime, *,
    unblocked: bool, was: Opportunity,
) -> Ruling:  # fmt: skip
    pipeline, ours, theirs = rules.pipeline, observed.stage_key, given.stage_key
    if observed.contested:
        after = observed.changed(base_stage=theirs) if theirs in pipeline else observed
        return Ruling(Outcome.REJECTED, after, (contested(after),))
    if theirs not in pipeline:
        text = f"the CRM's stage {given.crm_stage!r} is not mapped to a stage of {pipeline.key}"
        reason = Reason(Code.UNMAPPED_STAGE, "", None, text)
        return Ruling(Outcome.REJECTED, observed.changed(quarantined=True), (reason,))
    if observed.quarantined:
        text = f"{observed.other_pipeline} applies to its facts, and says no place for {ours or 'a new one'}"
        return Ruling(Outcome.REJECTED, observed, (Reason(Code.OTHER_PIPELINE, "", None, text),))
    if not ours:
        return on_first_sight(observed, given, rules, now)
    if unblocked and pipeline.is_open(ours):
        triggers |= all_facts(observed, pipeline, now)
    if theirs == ours:
        return _resumed(_agreed(observed, theirs, observed.revision), given, rules, now, triggers, rewrite=False)
    if theirs == observed.base_stage:
        # The CRM still shows the base. Usually our write is on its way; after a conflict or a quarantine it is not.
        rewrite = given.occasion is Occasion.CONFLICT or was.quarantined or was.deleted
        return _resumed(observed, given, rules, now, triggers, rewrite=rewrite)
    own = [revision for revision, stage in observed.in_flight if stage == theirs]
    if own:
        return _resumed(_agreed(observed, theirs, max(own)), given, rules, now, triggers, rewrite=True)
    found = verdict(observed, given, rules, now)
    if not found.adopted:
        return written_back(observed, given, found, pipeline, now)
    ruling = _adopted(observed, given, pipeline, now)
    if not found.reasons:
        return ruling
    return replace(ruling, reasons=(*ruling.reasons, *found.reasons), proposed_stage=found.proposed_stage)


def _still_shows_the_base(before: Opportunity, given: Observation) -> bool:
    """Whether the CRM shows what it did before a migration whose write is on its way: the stage that its name means
    in this version says nothing."""
    waits = before.in_flight and not before.quarantined and not before.deleted
    migrated = before.base_version != before.pipeline_version
    expected = given.occasion is not Occasion.CONFLICT and given.stage_key != before.stage_key
    return bool(waits and migrated and expected and given.crm_stage == before.observed_stage)


def _agreed(observed: Opportunity, stage: str, revision: int) -> Opportunity:
    return observed.changed(
        base_stage=stage,
        base_revision=max(revision, observed.base_revision),
        in_flight=tuple(w for w in observed.in_flight if w[0] > revision),
        sync_error=None if revision >= observed.revision else observed.sync_error,
    )


def _adopted(observed: Opportunity, given: Observation, pipeline: Pipeline, now: datetime) -> Ruling:
    # The CRM's clock must not date an edit into the future: it would outlive evidence captured after it.
    at = min(given.committed_at, now)
    override = None
    if is_against_evidence(observed, pipeline, given.stage_key):
        override = Override(given.stage_key, at, given.changed_by, IN_THE_CRM, CRM_EDIT, "", None)
    reasons: tuple[Reason, ...] = ()
    if observed.stage_key != observed.base_stage:
        by = given.changed_by or "a person"
        text = f"{observed.stage_key} was on its way to the CRM when {by} set {given.stage_key}"
        reasons = (Reason(Code.SUPERSEDED, "", None, text),)
    skipped = pipeline.skipped(observed.stage_key, given.stage_key)
    if skipped and pipeline.is_open(given.stage_key) and pipeline.skip_policy is SkipPolicy.FORBID:
        text = f"the edit skips {', '.join(skipped)}, which the pipeline's skip policy forbids; a person's edit counts"
        reasons = (*reasons, Reason(Code.SKIP_FORBIDDEN, "", None, text))
    move = Move(
        given.stage_key,
        Cause.IMPORT if given.occasion is Occasion.IMPORTED else Cause.CRM,
        at,
        actor=given.changed_by,
        reason_code=CRM_EDIT,
        override=override,
    )
    after, transition = moved(observed, pipeline, move)
    return Ruling(Outcome.ACCEPTED, after, reasons, transition=transition)


def _changed(before: Opportunity, observed: Opportunity) -> frozenset[str]:
    amounts = ((each.amount, each.currency) for each in (before, observed))
    fields = ((AMOUNT, *amounts), (CLOSE_DATE, before.close_date, observed.close_date),
              (OWNER, before.owner_id, observed.owner_id))  # fmt: skip
    return frozenset(fact for fact, old, new in fields if old != new)


def _resumed(
    observed: Opportunity, given: Observation, rules: Ruleset, now: datetime, triggers: frozenset[str], *, rewrite: bool
) -> Ruling:
    """Both sides agree on the stage, or will once our write is confirmed; the triggering facts may complete a rule."""
    if not triggers or not rules.pipeline.is_open(observed.stage_key):
        return Ruling(Outcome.NO_OP, observed, write=rewrite)
    ruling = by_rules(observed, rules, now, triggers, given)
    if ruling.outcome is Outcome.ACCEPTED:
        return ruling
    if ruling.outcome is Outcome.PROPOSED:
        return replace(ruling, write=rewrite)
    return Ruling(Outcome.NO_OP, ruling.opportunity, ruling.reasons, write=rewrite)
