"""Delivery over HTTP: what is due, what is missing, what became of submissions."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Header, Path, Query, Response
from kit.http.auth import Caller, requires
from kit.http.pagination import Page, Paging
from kit.http.texts import RecordId
from kit.http.web import Uow, router
from kit.ids import fingerprint
from pydantic import TypeAdapter

from assessment.domain.delivery import Due, Opportunity, Waiting
from assessment.domain.outcome import Attempt, Criterion, Standing, missing_for_move, missing_of, outcome_in_words
from assessment.records import TimelineRecord
from assessment.schemas import delivery as schemas
from assessment.schemas.capture import VisitBody
from assessment.service.delivery import Delivery, Work

router = router("delivery")

READ_ANY_WORKLIST = "worklist:read-any"
_VISIT = TypeAdapter(VisitBody | None)
_STAGE = TypeAdapter(schemas.StageOut | None)
_MISSING = TypeAdapter(list[schemas.MissingOut])
_SCORE = TypeAdapter(schemas.ScoreOut | None)
_WAITING = TypeAdapter(schemas.WaitingMoveOut | None)
_PROPOSED = TypeAdapter(list[schemas.ProposedMoveOut])
OpportunityId = Annotated[RecordId, Path(max_length=128, examples=["006Qy00000AbCdEIAV"])]


@router.get(
    "/opportunities/{opportunity_id}/next-assessment",
    response_model=schemas.NextAssessmentOut,
    responses={304: {"description": "Unchanged since the ETag in If-None-Match"}},
    dependencies=[requires("worklist:read")],
)
async def get_next_assessment(
    opportunity_id: OpportunityId,
    uow: Uow,
    caller: Caller,
    response: Response,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Any:
    """Which assessment to answer now and why, or why none is due. Send the pinned version, hash, visit and attempt
    back with the answers."""
    answer = _next(await Delivery(uow, caller).next_assessment(opportunity_id))
    tag = f'"{fingerprint(answer.model_dump(mode="json"))[:32]}"'
    if if_none_match is not None and tag in (part.strip().removeprefix("W/") for part in if_none_match.split(",")):
        return Response(status_code=304, headers={"ETag": tag})
    response.headers["ETag"] = tag
    return answer


@router.get("/worklist", dependencies=[requires("worklist:read")])
async def list_worklist(
    uow: Uow,
    caller: Caller,
    paging: Paging,
    owner_id: Annotated[RecordId | None, Query(max_length=128, description="another's, for a manager")] = None,
) -> Page[schemas.WorklistItem]:
    """A rep's open opportunities by id: the stage, what is due, the last outcome in plain words, what is missing."""
    owner = owner_id or caller.person_id
    if owner != caller.person_id:
        caller.demand(READ_ANY_WORKLIST)
    after = paging.after(str) or ""
    found = await Delivery(uow, caller).worklist(owner, after, paging.limit + 1)
    return paging.page(found, lambda work: [work.opportunity.opportunity_id], _worklist_item)


@router.get("/opportunities/{opportunity_id}/timeline", dependencies=[requires("worklist:read")])
async def list_timeline(
    opportunity_id: OpportunityId, uow: Uow, caller: Caller, paging: Paging
) -> Page[schemas.TimelineItem]:
    """Submissions, scores, decisions and stage changes of an opportunity as they are known here, oldest first."""
    after = paging.after(datetime, str, str)
    found = await Delivery(uow, caller).timeline(opportunity_id, after, paging.limit + 1)
    return paging.page(found, lambda item: [item.at, item.kind, item.id], _timeline_item)


@router.get("/submissions/{submission_id}", dependencies=[requires("submissions:read")])
async def get_submission(submission_id: UUID, uow: Uow, caller: Caller) -> schemas.SubmissionOut:
    """How far a submission has come: received, scored, decided. Poll it to follow one. While its opportunity is not
    yours, it stays received."""
    progress = await Delivery(uow, caller).submission(submission_id)
    attempt = progress.attempt
    if attempt is None:
        found: dict[str, object] = {"attempt_no": None, "status": "received"}
    else:
        found = {
            "visit": _VISIT.validate_python(attempt.visit, from_attributes=True),
            "status": "decided" if attempt.decision else "scored" if attempt.score else "received",
            "score": _SCORE.validate_python(attempt.score, from_attributes=True),
            "decision": _decision(attempt),
        }
    return schemas.SubmissionOut.model_validate(asdict(progress.submission) | found)


def _missing(attempt: Attempt, criteria: Mapping[str, Criterion]) -> list[schemas.MissingOut]:
    """What is missing, with what the criteria say of it."""
    found = _MISSING.validate_python(missing_of(attempt), from_attributes=True)
    for each in found:
        criterion = criteria.get(each.criterion)
        if criterion is None:
            continue
        each.supplied_by, each.help, each.playbook_url = criterion.supplied_by, criterion.help, criterion.playbook_url
        if criterion.question is not None:
            each.question_keys = [criterion.question[1]]
    return found


def _due(due: Due | None) -> schemas.DueOut | None:
    if due is None:
        return None
    return schemas.DueOut(
        assessment_key=due.assessment.assessment_key,
        assessment_version=due.assessment.version,
        title=due.assessment.title,
        definition_hash=due.assessment.definition_hash,
        visit=VisitBody(stage_key=due.visit.stage_key, visit_no=due.visit.visit_no),
        attempt_no=due.attempt_no,
    )


def _standing(standing: Standing, criteria: Mapping[str, Criterion]) -> schemas.StandingOut:
    latest = standing.latest
    return schemas.StandingOut(
        assessment_key=standing.assessment_key,
        standing=standing.kind,
        attempts=standing.attempts,
        submission_id=latest.submission_id if latest else None,
        score=latest.score.score if latest and latest.score else None,
        words=standing.why,
        missing=_missing(latest, criteria) if latest else [],
    )


def _next(work: Work) -> schemas.NextAssessmentOut:
    return schemas.NextAssessmentOut(
        opportunity_id=work.opportunity.opportunity_id,
        stage=_STAGE.validate_python(work.next.stage, from_attributes=True),
        visit=_VISIT.validate_python(work.opportunity.visit, from_attributes=True),
        reason=work.next.reason,
        message=work.next.message,
        due=_due(work.next.due),
        standings=[_standing(standing, work.criteria) for standing in work.next.standings],
    )


def _worklist_item(work: Work) -> schemas.WorklistItem:
    opportunity, visit = work.opportunity, work.opportunity.visit
    assert visit is not None, "only opportunities in an open stage are on a worklist"
    assert opportunity.owner_id is not None, "a worklist is of one owner"
    name = work.stage_names.get(visit.stage_key, visit.stage_key)
    waiting = opportunity.waiting or Waiting()
    return schemas.WorklistItem(
        opportunity_id=opportunity.opportunity_id,
        owner_id=opportunity.owner_id,
        amount=opportunity.amount,
        stage=schemas.StageOut(key=visit.stage_key, name=name),
        visit=VisitBody(stage_key=visit.stage_key, visit_no=visit.visit_no),
        reason=work.next.reason,
        message=work.next.message,
        next_assessment=_due(work.next.due),
        last_outcome=_last_outcome(work),
        recommendation=_recommendation(opportunity),
        approval=_WAITING.validate_python(waiting.approval, from_attributes=True),
        proposals=_PROPOSED.validate_python(waiting.proposals, from_attributes=True),
    )


def _last_outcome(work: Work) -> schemas.LastOutcomeOut | None:
    last = work.last
    if last is None:
        return None
    moments = [last.received_at, last.score.scored_at if last.score else None]
    moments.append(last.decision.decided_at if last.decision else None)
    return schemas.LastOutcomeOut(
        submission_id=last.submission_id,
        assessment_key=last.assessment_key,
        score=last.score.score if last.score else None,
        words=outcome_in_words(last, work.stage_names),
        missing=_missing(last, work.criteria),
        at=max(moment for moment in moments if moment is not None),
    )


def _recommendation(opportunity: Opportunity) -> schemas.RecommendationOut | None:
    if opportunity.recommended_at is None:
        return None
    return schemas.RecommendationOut.model_validate(opportunity, from_attributes=True)


def _timeline_item(item: TimelineRecord) -> schemas.TimelineItem:
    return schemas.TimelineItem.model_validate(item, from_attributes=True)


def _decision(attempt: Attempt) -> schemas.DecisionOut | None:
    decision = attempt.decision
    if decision is None:
        return None
    return schemas.DecisionOut(
        decision_id=decision.decision_id,
        outcome=decision.outcome,
        from_stage=decision.from_stage,
        to_stage=decision.to_stage,
        proposed_stage=decision.proposed_stage or None,
        words=outcome_in_words(attempt, {}),
        missing=_missing(attempt, {}),
        move=_move(attempt),
        decided_at=decision.decided_at,
    )


def _move(attempt: Attempt) -> schemas.MoveOut | None:
    move = attempt.decision.move if attempt.decision else None
    if move is None:
        return None
    missing = _MISSING.validate_python(missing_for_move(attempt), from_attributes=True)
    return schemas.MoveOut(to_stage=move.to_stage, status="refused" if move.refused else "moved", missing=missing)
