"""Events out: decisions and changes as the contracts have them."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored
from stagecraft.stage.v1 import stage_changed_pb2 as changed
from stagecraft.stage.v1 import stage_decided_pb2 as decided

from stage_engine.domain.decision import Cause, Decision, Outcome, TransitionKind
from stage_engine.domain.grammar import plain
from stage_engine.domain.inputs import Input, Observation, Submission
from stage_engine.domain.pipeline import Pipeline, category_proto

_OUTCOMES = {
    Outcome.ACCEPTED: decided.OUTCOME_ACCEPTED,
    Outcome.PROPOSED: decided.OUTCOME_PROPOSED,
    Outcome.REJECTED: decided.OUTCOME_REJECTED,
    Outcome.NO_OP: decided.OUTCOME_NO_OP,
}
_KINDS = {
    TransitionKind.ADVANCE: changed.TRANSITION_KIND_ADVANCE,
    TransitionKind.SKIP: changed.TRANSITION_KIND_SKIP,
    TransitionKind.REGRESS: changed.TRANSITION_KIND_REGRESS,
    TransitionKind.CLOSE_WON: changed.TRANSITION_KIND_CLOSE_WON,
    TransitionKind.CLOSE_LOST: changed.TRANSITION_KIND_CLOSE_LOST,
    TransitionKind.WALK_AWAY: changed.TRANSITION_KIND_WALK_AWAY,
    TransitionKind.REOPEN: changed.TRANSITION_KIND_REOPEN,
    TransitionKind.ADOPT: changed.TRANSITION_KIND_ADOPT,
}
_CAUSES = {
    Cause.RULE: changed.CAUSE_RULE,
    Cause.PERSON: changed.CAUSE_PERSON,
    Cause.CRM: changed.CAUSE_CRM,
    Cause.IMPORT: changed.CAUSE_IMPORT,
}


def stage_changed(
    decision: Decision, transition_id: UUID, decision_id: UUID, pipeline: Pipeline
) -> changed.StageChanged:
    """The move of an accepted decision."""
    move, deal = decision.transition, decision.instance
    assert move is not None and deal is not None
    return changed.StageChanged(
        transition_id=str(transition_id),
        opportunity_id=deal.opportunity_id,
        pipeline_key=pipeline.key,
        pipeline_version=pipeline.version,
        revision=move.revision,
        kind=_KINDS[move.kind],
        from_stage=move.from_stage,
        to_stage=move.to_stage,
        to_category=category_proto(pipeline.stage(move.to_stage).category),
        skipped_stages=move.skipped,
        visit_no=move.visit_no,
        cycle_no=move.cycle_no,
        cause=_CAUSES[move.cause],
        rule_id=move.rule_id,
        submission_id=move.submission_id,
        decision_id=str(decision_id),
        actor=move.actor,
        reason_code=move.reason_code,
        earned_stage=deal.earned_stage,
        changed_at=_timestamp(move.changed_at),
    )


def stage_decided(
    decision: Decision,
    decision_id: UUID,
    given: Input,
    evidence: SubmissionScored | None,
    change: changed.StageChanged | None,
) -> decided.StageDecided:
    """The decision, with the evidence it rests on and the change it made."""
    deal = decision.instance
    assert deal is not None
    return decided.StageDecided(
        decision_id=str(decision_id),
        opportunity_id=deal.opportunity_id,
        pipeline_key=decision.pipeline_key,
        pipeline_version=decision.pipeline_version,
        decision_no=deal.decision_no,
        outcome=_OUTCOMES[decision.outcome],
        reasons=[
            decided.Reason(code=r.code, fact=r.fact, margin=_number(r.margin), message=r.message)
            for r in decision.reasons
        ],
        rule_id=decision.rule_id,
        from_stage=decision.from_stage,
        to_stage=decision.to_stage,
        proposed_stage=decision.proposed_stage,
        earned_stage=deal.earned_stage,
        revision=deal.revision,
        margin=_number(decision.margin),
        near_misses=[
            decided.NearMiss(
                rule_id=m.rule_id,
                to_stage=m.to_stage,
                fact=m.fact,
                cell=m.cell,
                actual=plain(m.actual),
                margin=plain(m.margin),
                question_keys=m.question_keys,
            )
            for m in decision.near_misses
        ],
        input_kind=_input_kind(given),
        input_id=given.input_id,
        submission=evidence,
        change=change,
        decided_at=_timestamp(decision.decided_at),
        actor=decision.actor,
        crm_target_stage=decision.crm_target_stage,
        crm_expected_stage=decision.crm_expected_stage,
    )


def _input_kind(given: Input) -> decided.InputKind:
    if isinstance(given, Submission):
        return decided.INPUT_KIND_SUBMISSION
    return decided.INPUT_KIND_OBSERVATION if isinstance(given, Observation) else decided.INPUT_KIND_COMMAND


def _number(value: Decimal | None) -> str:
    return "" if value is None else plain(value)


def _timestamp(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment.astimezone(UTC).replace(tzinfo=None))
    return stamp
