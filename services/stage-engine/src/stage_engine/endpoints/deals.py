"""Deals over HTTP: what is claimed, earned and missing; commands; decisions and their replay; changes."""

import json
from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query, Response
from kit.http.auth import Caller, requires
from kit.http.etag import IfMatch, etag
from kit.http.pagination import Page, Paging
from kit.http.web import Uow, router

from stage_engine.domain.decision import NearMiss, Reason
from stage_engine.domain.outlook import Way
from stage_engine.domain.replay import StoredDecision
from stage_engine.domain.state import Instance
from stage_engine.repository.views import Row
from stage_engine.schemas import deals as schemas
from stage_engine.service.commands import command_transition, owner_of
from stage_engine.service.viewing import Views

router = router("opportunities")

OpportunityId = Annotated[str, Path(max_length=200, examples=["006Qy00000AbCdEIAV"])]


@router.get("/opportunities", dependencies=[requires("opportunities:read")])
async def list_opportunities(
    uow: Uow,
    caller: Caller,
    paging: Paging,
    stage: Annotated[str | None, Query(max_length=64, description="claimed stage", examples=["demo"])] = None,
) -> Page[schemas.OpportunitySummary]:
    """Deals by id; a rep sees their own."""
    after = paging.after(str) or ""
    found = await Views(uow, owner_of(caller)).opportunities(stage, after, paging.limit + 1)
    return paging.page(
        found, lambda row: [row["opportunity_id"]], lambda row: schemas.OpportunitySummary(**_summary(row))
    )


@router.get("/opportunities/{opportunity_id}", dependencies=[requires("opportunities:read")])
async def get_opportunity(
    opportunity_id: OpportunityId, uow: Uow, caller: Caller, response: Response
) -> schemas.OpportunityOut:
    """A deal with the rules that lead on from where it is, and what each still lacks. The ETag is its revision."""
    row, deal, ways = await Views(uow, owner_of(caller)).opportunity(opportunity_id)
    response.headers["ETag"] = etag(deal.revision)
    return schemas.OpportunityOut(
        **_summary(row),
        is_closed=row["category"] not in ("", "open"),
        visit_no=deal.visit_no,
        visit_opened_at=deal.visit_opened_at,
        cycle_no=deal.cycle_no,
        close_date=deal.close_date or None,
        override=None if deal.override is None else schemas.OverrideOut(**deal.override._asdict()),
        scores={
            key: schemas.ScoreOut(
                score=s.score,
                submission_id=s.submission_id,
                visit_no=s.visit_no,
                attempt_no=s.attempt_no,
                captured_at=s.captured_at,
                current=s.visit_no == deal.visit_no,
            )
            for key, s in deal.scores.items()
        },
        ways_on=[_way(way) for way in ways],
        sync=_sync(deal),
    )


@router.post(
    "/opportunities/{opportunity_id}/transitions", status_code=201, dependencies=[requires("transitions:write")]
)
async def transition_opportunity(
    opportunity_id: OpportunityId,
    body: schemas.TransitionRequest,
    expected: IfMatch,
    uow: Uow,
    caller: Caller,
    response: Response,
) -> schemas.DecisionOut:
    """Move the deal, or learn what is missing. The answer is the decision, also when it is `rejected`: look at
    `outcome`. `override` moves it against the evidence and is remembered with who and why."""
    decided = await command_transition(uow, caller, opportunity_id, body, expected)
    response.headers["ETag"] = etag(decided.instance.revision)
    response.headers["Location"] = f"/v1/decisions/{decided.row['decision_id']}"
    return _decision(decided.row)


@router.get("/opportunities/{opportunity_id}/decisions", dependencies=[requires("opportunities:read")])
async def list_decisions(
    opportunity_id: OpportunityId, uow: Uow, caller: Caller, paging: Paging
) -> Page[schemas.DecisionOut]:
    """Every decision on the deal in the order they were made, also those that moved nothing."""
    after = paging.after(int) or 0
    found = await Views(uow, owner_of(caller)).decisions(opportunity_id, after, paging.limit + 1)
    return paging.page(found, lambda row: [row["decision_no"]], _decision)


@router.get("/decisions/{decision_id}", dependencies=[requires("opportunities:read")])
async def get_decision(decision_id: UUID, uow: Uow, caller: Caller) -> schemas.DecisionOut:
    """One decision with its input."""
    return _decision(await Views(uow, owner_of(caller)).decision(decision_id))


@router.post("/decisions/{decision_id}/replay", dependencies=[requires("opportunities:read")])
async def replay_decision(decision_id: UUID, uow: Uow, caller: Caller) -> schemas.ReplayOut:
    """Make the decision again from what was stored and compare the bytes. Nothing is changed."""
    stored, again, identical = await Views(uow, owner_of(caller)).replay(decision_id)
    return schemas.ReplayOut(
        decision_id=decision_id, identical=identical, stored=_documents(stored), replayed=_documents(again)
    )


@router.get("/changes", dependencies=[requires("opportunities:read")])
async def list_changes(
    uow: Uow,
    caller: Caller,
    paging: Paging,
    opportunity_id: Annotated[str | None, Query(max_length=200, description="of one deal only")] = None,
) -> Page[schemas.ChangeOut]:
    """Moves in the order they were made, each with the visit it opened."""
    after = paging.after(UUID) or UUID(int=0)
    found = await Views(uow, owner_of(caller)).changes(opportunity_id, after, paging.limit + 1)
    return paging.page(found, lambda row: [row["transition_id"]], lambda row: schemas.ChangeOut(**row))


def _summary(row: Row) -> dict[str, Any]:
    names = ("opportunity_id", "pipeline_key", "pipeline_version", "earned_stage", "revision", "amount", "owner_id")
    return {
        **{name: row[name] for name in (*names, "deleted", "updated_at")},
        "claimed_stage": row["stage_key"],
        "category": row["category"] or None,
    }


def _way(way: Way) -> schemas.WayOut:
    return schemas.WayOut(
        rule_id=way.rule_id,
        to_stage=way.to_stage,
        mode=way.mode,
        missing=[_reason(reason) for reason in way.missing],
        near_misses=[_near_miss(miss) for miss in way.near_misses],
    )


def _reason(reason: Reason) -> schemas.ReasonOut:
    return schemas.ReasonOut(**reason._asdict())


def _near_miss(miss: NearMiss) -> schemas.NearMissOut:
    return schemas.NearMissOut(**{**miss._asdict(), "question_keys": list(miss.question_keys)})


def _sync(deal: Instance) -> schemas.SyncOut:
    error = deal.sync_error
    state = "agreed"
    if deal.quarantined:
        state = "quarantined"
    elif error is not None:
        state = "blocked"
    elif deal.base_stage != deal.stage_key:
        state = "pending"
    return schemas.SyncOut(
        state=state,
        base_stage=deal.base_stage,
        observed_crm_stage=deal.observed_stage,
        code=error.code if error else "",
        reason=error.reason if error else "",
    )


def _decision(row: Row) -> schemas.DecisionOut:
    document, after = json.loads(row["decision"]), json.loads(row["after"])
    return schemas.DecisionOut(
        **{
            **document,
            "decision_id": row["decision_id"],
            "opportunity_id": row["opportunity_id"],
            "decision_no": row["decision_no"],
            "facts": dict(document["facts"]),
            "earned_stage": after["earned_stage"],
            "revision": after["revision"],
            "input": json.loads(row["given"]),
        }
    )


def _documents(stored: StoredDecision) -> dict[str, Any]:
    return {
        "decision": json.loads(stored.decision),
        "after": None if stored.after is None else json.loads(stored.after),
    }
