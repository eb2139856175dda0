"""Reconciling with what the CRM shows: base is what was last agreed, ours the opportunity's stage, theirs the one
observed."""

from dataclasses import replace
from datetime import datetime

from stage_engine.domain.by_rules import by_rules
from stage_engine.domain.decision import Cause, Code, Outcome, Reason, Ruling
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.inputs import Observation, Occasion
from stage_engine.domain.move import Move, is_against_evidence, moved
from stage_engine.domain.opportunity import AMOUNT, CLOSE_DATE, OWNER, LastObservation, Opportunity, Override
from stage_engine.domain.pipeline import Pipeline

CRM_EDIT = "CRM_EDIT"


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
        visit_opened_at=given.committed_at,
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


def on_observation(before: Opportunity, given: Observation, rules: Ruleset, now: datetime) -> Ruling:
    """The person wins: an edit in the CRM is adopted, also backwards and also a close, and remembered as an override.
    The echo of a write of ours is not an edit."""
    last = before.last_observation
    if last is not None and 0 < given.number < last.number:
        # Replayed from the dead letters, say. What it shows is no longer so.
        text = f"report {given.number} of the CRM came after report {last.number}"
        return Ruling(Outcome.NO_OP, before, (Reason(Code.STALE_REVISION, "", None, text),))
    if given.occasion is Occasion.DELETED:
        # A tombstone carries no facts; the last ones stay for the record.
        gone = replace(last, number=given.number) if last is not None and given.number else last
        return Ruling(Outcome.NO_OP, before.changed(deleted=True, last_observation=gone))
    return _reconciled(before, _observed(before, given), given, rules, now)


def _observed(before: Opportunity, given: Observation) -> Opportunity:
    last = before.last_observation
    if given.number:
        last = LastObservation(given.number, given.stage_key, given.crm_stage, given.changed_by, given.committed_at)
    return before.changed(
        observed_stage=given.crm_stage,
        amount=given.amount,
        close_date=given.close_date,
        owner_id=given.owner_id,
        deleted=False,
        quarantined=False,
        last_observation=last,
    )


def _reconciled(
    before: Opportunity, observed: Opportunity, given: Observation, rules: Ruleset, now: datetime
) -> Ruling:
    pipeline, ours, theirs = rules.pipeline, observed.stage_key, given.stage_key
    if theirs not in pipeline or given.pipeline_key not in ("", pipeline.key):
        text = f"the CRM's stage {given.crm_stage!r} is not mapped to a stage of {pipeline.key}"
        reason = Reason(Code.UNMAPPED_STAGE, "", None, text)
        return Ruling(Outcome.REJECTED, observed.changed(quarantined=True), (reason,))
    if not ours:
        return _adopted(observed, given, pipeline, now)
    if theirs == ours:
        return _resumed(before, _agreed(observed, theirs, observed.revision), rules, now, rewrite=False)
    if theirs == observed.base_stage:
        # The CRM still shows the base. Usually our write is on its way; after a conflict or a quarantine it is not.
        rewrite = given.occasion is Occasion.CONFLICT or before.quarantined or before.deleted
        return _resumed(before, observed, rules, now, rewrite=rewrite)
    own = [revision for revision, stage in observed.in_flight if stage == theirs]
    if own:
        return _resumed(before, _agreed(observed, theirs, max(own)), rules, now, rewrite=True)
    return _adopted(observed, given, pipeline, now)


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
    first = not observed.stage_key
    override = None
    if not first and is_against_evidence(observed, pipeline, given.stage_key):
        override = Override(given.stage_key, at, given.changed_by, "crm", CRM_EDIT, "", None)
    reasons: tuple[Reason, ...] = ()
    if not first and observed.stage_key != observed.base_stage:
        by = given.changed_by or "a person"
        text = f"{observed.stage_key} was on its way to the CRM when {by} set {given.stage_key}"
        reasons = (Reason(Code.SUPERSEDED, "", None, text),)
    move = Move(
        given.stage_key,
        Cause.IMPORT if given.occasion is Occasion.IMPORTED else Cause.CRM,
        at,
        actor=given.changed_by,
        reason_code="" if first else CRM_EDIT,
        override=override,
    )
    after, transition = moved(observed, pipeline, move)
    return Ruling(Outcome.ACCEPTED, after, reasons, transition=transition)


def _resumed(before: Opportunity, observed: Opportunity, rules: Ruleset, now: datetime, *, rewrite: bool) -> Ruling:
    """Both sides agree on the stage, or will once our write is confirmed; changed facts may complete a rule."""
    fields = ((AMOUNT, before.amount, observed.amount), (CLOSE_DATE, before.close_date, observed.close_date),
              (OWNER, before.owner_id, observed.owner_id))  # fmt: skip
    changed = frozenset(fact for fact, old, new in fields if old != new)
    if not changed or not rules.pipeline.is_open(observed.stage_key):
        return Ruling(Outcome.NO_OP, observed, write=rewrite)
    ruling = by_rules(observed, rules, now, changed)
    if ruling.outcome is Outcome.ACCEPTED:
        return ruling
    if ruling.outcome is Outcome.PROPOSED:
        return replace(ruling, write=rewrite)
    return Ruling(Outcome.NO_OP, ruling.opportunity, ruling.reasons, write=rewrite)
