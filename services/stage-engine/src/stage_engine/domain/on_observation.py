"""Reconciling with what the CRM shows: base is what was last agreed, ours the deal's stage, theirs the one seen."""

from datetime import datetime

from stage_engine.domain.by_rules import decide_by_rules
from stage_engine.domain.decision import Cause, Code, Decision, Outcome, Reason
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.explain import answer
from stage_engine.domain.inputs import Observation, Sight
from stage_engine.domain.move import moved, stands_against_evidence
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.state import AMOUNT, CLOSE_DATE, OWNER, Instance, LastSeen, Override

CRM_EDIT = "CRM_EDIT"


def unplaced(given: Observation, pipeline: Pipeline) -> Instance:
    """A deal seen for the first time, before anything is known of its stage."""
    return Instance(
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


def on_observation(before: Instance, given: Observation, rules: Ruleset, now: datetime) -> Decision:
    """The person wins: an edit in the CRM is adopted, also backwards and also a close, and remembered as an override.
    The echo of a write of ours is not an edit."""
    last = before.last_seen
    if last is not None and 0 < given.number < last.number:
        # Replayed from the dead letters, say. What it shows is no longer so.
        text = f"number {given.number} of what the CRM told came after number {last.number}"
        reasons = (Reason(Code.STALE_REVISION, "", None, text),)
        kept = before._replace(decision_no=before.decision_no + 1)
        return answer(rules.pipeline, before, kept, Outcome.NO_OP, now, reasons=reasons, actor=given.changed_by)
    return _reconciled(before, given, rules, now)


def _reconciled(before: Instance, given: Observation, rules: Ruleset, now: datetime) -> Decision:
    pipeline, last = rules.pipeline, before.last_seen
    seen = before._replace(
        decision_no=before.decision_no + 1,
        observed_stage=given.crm_stage,
        amount=given.amount,
        close_date=given.close_date,
        owner_id=given.owner_id,
        deleted=False,
        quarantined=False,
        last_seen=_last_seen(before, given),
    )
    theirs = given.stage_key
    if given.sight is Sight.DELETED:
        # A tombstone carries no facts; the last ones stay for the record.
        told = last._replace(number=given.number) if last is not None and given.number else last
        gone = before._replace(decision_no=seen.decision_no, deleted=True, last_seen=told)
        return answer(pipeline, before, gone, Outcome.NO_OP, now, actor=given.changed_by)
    if theirs not in pipeline or given.pipeline_key not in ("", pipeline.key):
        text = f"the CRM's stage {given.crm_stage!r} is not mapped to a stage of {pipeline.key}"
        reasons = (Reason(Code.UNMAPPED_STAGE, "", None, text),)
        held = seen._replace(quarantined=True)
        return answer(pipeline, before, held, Outcome.REJECTED, now, reasons=reasons, actor=given.changed_by)
    if not seen.stage_key or theirs not in (seen.stage_key, seen.base_stage):
        own = [revision for revision, stage in seen.in_flight if stage == theirs]
        if own and seen.stage_key:
            return _resumed(before, _agreed(seen, theirs, max(own)), given, rules, now, rewrite=True)
        return _adopted(before, seen, given, pipeline, now)
    if theirs == seen.stage_key:
        return _resumed(before, _agreed(seen, theirs, seen.revision), given, rules, now, rewrite=False)
    # The CRM still shows the base. Usually our write is on its way; after a conflict or a quarantine it is not.
    rewrite = given.sight is Sight.CONFLICT or before.quarantined or before.deleted
    return _resumed(before, seen, given, rules, now, rewrite=rewrite)


def _last_seen(before: Instance, given: Observation) -> LastSeen | None:
    if not given.number:
        return before.last_seen
    return LastSeen(given.number, given.stage_key, given.crm_stage, given.changed_by, given.committed_at)


def _agreed(seen: Instance, stage: str, revision: int) -> Instance:
    return seen._replace(
        base_stage=stage,
        base_revision=max(revision, seen.base_revision),
        in_flight=tuple(w for w in seen.in_flight if w[0] > revision),
        sync_error=None if revision >= seen.revision else seen.sync_error,
    )


def _adopted(before: Instance, seen: Instance, given: Observation, pipeline: Pipeline, now: datetime) -> Decision:
    # The CRM's clock must not date an edit into the future: it would outlive evidence captured after it.
    at = min(given.committed_at, now)
    first = not seen.stage_key
    override = None
    if not first and stands_against_evidence(seen, pipeline, given.stage_key):
        override = Override(given.stage_key, at, given.changed_by, "crm", CRM_EDIT, "", None)
    reasons: tuple[Reason, ...] = ()
    if not first and seen.stage_key != seen.base_stage:
        text = f"{seen.stage_key} was on its way to the CRM when {given.changed_by or 'somebody'} set {given.stage_key}"
        reasons = (Reason(Code.SUPERSEDED, "", None, text),)
    after, transition = moved(
        seen,
        pipeline,
        given.stage_key,
        cause=Cause.IMPORT if given.sight is Sight.IMPORTED else Cause.CRM,
        at=at,
        actor=given.changed_by,
        reason_code="" if first else CRM_EDIT,
        override=override,
    )
    return answer(
        pipeline,
        before if not first else None,
        after,
        Outcome.ACCEPTED,
        now,
        reasons=reasons,
        transition=transition,
        actor=given.changed_by,
    )


def _resumed(
    before: Instance, seen: Instance, given: Observation, rules: Ruleset, now: datetime, *, rewrite: bool
) -> Decision:
    """Both sides agree on the stage, or will once our write is through; changed facts may complete a rule."""
    pipeline = rules.pipeline
    fields = ((AMOUNT, before.amount, seen.amount), (CLOSE_DATE, before.close_date, seen.close_date),
              (OWNER, before.owner_id, seen.owner_id))  # fmt: skip
    changed = frozenset(fact for fact, old, new in fields if old != new)
    reasons: tuple[Reason, ...] = ()
    if changed and pipeline.is_open(seen.stage_key):
        decision = decide_by_rules(before, seen, rules, now, changed, actor=given.changed_by)
        if decision.outcome is Outcome.ACCEPTED:
            return decision
        if decision.outcome is Outcome.PROPOSED:
            return decision if not rewrite else _with_write(decision)
        reasons = decision.reasons
        seen = decision.instance or seen
    return answer(pipeline, before, seen, Outcome.NO_OP, now, reasons=reasons, write=rewrite, actor=given.changed_by)


def _with_write(decision: Decision) -> Decision:
    deal = decision.instance
    assert deal is not None
    return decision._replace(crm_target_stage=deal.stage_key, crm_expected_stage=deal.base_stage)
