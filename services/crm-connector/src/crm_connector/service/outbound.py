"""What decisions ask of the CRM: taken in, made ready to send, and settled by the CRM's answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from random import random
from typing import Any
from uuid import UUID

from kit.database.unit_of_work import UnitOfWork
from kit.events import Received
from kit.http import audit
from kit.http.auth import Principal
from kit.ids import derived, utc_now, uuid7

from crm_connector.crm import Crm
from crm_connector.domain.intents import (
    IntentState,
    Lane,
    WriteResult,
    expected_stage,
    settle,
)
from crm_connector.domain.observation import written
from crm_connector.domain.writes import CrmWrite, StageWrite
from crm_connector.errors import IntentNotFound, IntentNotParked
from crm_connector.messages import Decided, StageDecided, read_decision, received_at, unpack_evidence
from crm_connector.records import OpportunityRecord
from crm_connector.repository.definitions import DefinitionRepository
from crm_connector.repository.intents import IntentRepository
from crm_connector.repository.opportunities import OpportunityRepository
from crm_connector.service.maps import Maps, load_maps
from crm_connector.service.publishing import confirm, park, show_confirmed
from crm_connector.signals import Signals
from crm_connector.telemetry import CONFLICTS, FRESHNESS

_RANK = {Lane.STAGE: 0, Lane.ANSWERS: 1}


async def accept_decisions(uow: UnitOfWork, events: Sequence[Received[StageDecided]]) -> None:
    """Turn decisions into write intents; one that writes nothing only tells the opportunity's pipeline."""
    now = utc_now()
    decisions = [read_decision(event) for event in events]
    # A submission that moves nothing is decided on by the pipeline that is known.
    placed = [d for d in decisions if d.pipeline_key and (d.target_stage or d.evidence is None)]
    await _assign_pipelines(uow, {d.opportunity_id: d.pipeline_key for d in placed}, now)
    intents = [_intent_row(decision, now) for decision in decisions if decision.writes]
    await IntentRepository(uow.session, uow.tenant_id).add(intents)
    if intents:
        uow.after_commit(uow.resources.get(Signals).writes.set)


async def _assign_pipelines(uow: UnitOfWork, assigned: Mapping[str, str], now: datetime) -> None:
    if not assigned:
        return
    opportunities = OpportunityRepository(uow.session, uow.tenant_id)
    known = await opportunities.pipeline_keys(assigned)
    rows = await opportunities.lock(key for key, pipeline_key in assigned.items() if known.get(key) != pipeline_key)
    await opportunities.save([replace(row, pipeline_key=assigned[key]) for key, row in rows.items()], now)


def _intent_row(decision: Decided, now: datetime) -> dict[str, Any]:
    lane = Lane.STAGE if decision.target_stage else Lane.ANSWERS
    return {
        "intent_id": intent_id(decision.decision_id),
        "opportunity_id": decision.opportunity_id,
        "decision_id": decision.decision_id,
        "decision_no": decision.decision_no,
        "revision": decision.revision,
        "submission_id": decision.submission_id,
        "pipeline_key": decision.pipeline_key,
        "lane": lane.value,
        "lane_rank": _RANK[lane],
        "target_stage": decision.target_stage,
        "expected_stage": decision.expected_stage,
        "assessment_key": decision.assessment_key,
        "assessment_version": decision.assessment_version,
        "evidence": decision.evidence,
        "state": IntentState.NEW.value,
        "attempts": 0,
        "write_id": "",
        "code": "",
        "reason": "",
        "follows": None,
        "traceparent": decision.traceparent,
        "due_at": now,
    }


def intent_id(decision_id: UUID, lane: Lane | None = None) -> UUID:
    """The id of a decision's intent; with a lane, that of the part which was left of it."""
    return derived(decision_id, f"write intent {lane}" if lane else "write intent")


@dataclass(frozen=True, slots=True)
class Prepared:
    """An intent that is SENT as soon as the transaction commits, and what to send for it."""

    intent: Mapping[str, Any]
    write: CrmWrite


async def prepare(uow: UnitOfWork, crm: Crm, now: datetime, limit: int, lease: timedelta) -> tuple[list[Prepared], int]:
    """Mark the intents that are due as SENT, each under a new write id, so that a process killed after this is
    resolved by reading; and how many were due. Some of those are parked or superseded instead."""
    intents = IntentRepository(uow.session, uow.tenant_id)
    due = await intents.due(now, limit)
    if not due:
        return [], 0
    # Answers alone need neither: they replace nothing.
    staged = [i["opportunity_id"] for i in due if i["target_stage"]]
    rows = await OpportunityRepository(uow.session, uow.tenant_id).lock(staged)
    maps = await load_maps(uow) if staged else None
    texts = await DefinitionRepository(uow.session, uow.tenant_id).texts(
        (i["assessment_key"], i["assessment_version"]) for i in due if i["evidence"] is not None
    )
    ready: list[Prepared] = []
    unmapped: list[dict[str, Any]] = []
    superseded: list[dict[str, Any]] = []
    for intent in due:
        stage = _stage_write(intent, rows[intent["opportunity_id"]], maps) if maps and intent["target_stage"] else None
        if intent["superseded"]:
            superseded.append(intent)
        elif intent["target_stage"] and stage is None:
            unmapped.append(intent)
        else:
            evidence = intent["evidence"]
            write = CrmWrite(
                write_id=str(uuid7()),
                opportunity_id=intent["opportunity_id"],
                stage=stage,
                evidence=unpack_evidence(evidence) if evidence is not None else None,
                questions=texts.get((intent["assessment_key"], intent["assessment_version"]), {}),
            )
            ready.append(Prepared({**intent, "write_id": write.write_id, "attempts": intent["attempts"] + 1}, write))
    ready = await _mark_sent(intents, crm, ready, now, lease)
    await _supersede(uow, superseded, now)
    await _park_unmapped(uow, rows, unmapped, now)
    return ready, len(due)


def _stage_write(intent: Mapping[str, Any], row: OpportunityRecord, maps: Maps) -> StageWrite | None:
    pipeline_key = intent["pipeline_key"]
    target = maps.crm_stage(pipeline_key, intent["target_stage"])
    if target is None:
        return None
    decided = maps.crm_stage(pipeline_key, intent["expected_stage"]) or ""
    facts = row.known.facts
    return StageWrite(target, expected_stage(decided, facts.stage if facts else None, row.stage_is_ours))


async def _mark_sent(
    intents: IntentRepository, crm: Crm, ready: Sequence[Prepared], now: datetime, lease: timedelta
) -> list[Prepared]:
    moved = [
        {
            "intent_id": item.intent["intent_id"],
            "state": IntentState.SENT.value,
            "write_id": item.write.write_id,
            "attempts": item.intent["attempts"],
            "sent_at": now,
            "due_at": now + lease,
            "updated_at": now,
        }
        for item in ready
    ]
    # An echo may have proven one of them in the meantime.
    still_new = await intents.move(moved, IntentState.NEW)
    ready = [item for item in ready if item.intent["intent_id"] in still_new]
    attempts = [
        {
            "write_id": item.write.write_id,
            "intent_id": item.intent["intent_id"],
            "attempt": item.intent["attempts"],
            "sent": dict(crm.sent_fields(item.write)),
        }
        for item in ready
    ]
    intents.record_attempts(attempts)
    return ready


async def _supersede(uow: UnitOfWork, found: Sequence[dict[str, Any]], now: datetime) -> None:
    intents = IntentRepository(uow.session, uow.tenant_id)
    reason = "a newer decision's stage was written before this one"
    moved = [
        {
            "intent_id": intent["intent_id"],
            "state": IntentState.SUPERSEDED.value,
            "reason": reason,
            "updated_at": now,
        }
        for intent in found
    ]
    await intents.move(moved, IntentState.NEW)
    await _keep_answers(uow, found, now)


async def _keep_answers(uow: UnitOfWork, intents: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """Whatever becomes of a stage, the answers that came with it are still written, by an intent of their own."""
    rows = [
        {
            **{name: intent[name] for name in _KEPT},
            "intent_id": intent_id(intent["decision_id"], Lane.ANSWERS),
            "lane": Lane.ANSWERS.value,
            "lane_rank": _RANK[Lane.ANSWERS],
            "target_stage": "",
            "expected_stage": "",
            "state": IntentState.NEW.value,
            "attempts": 0,
            "write_id": "",
            "code": "",
            "reason": "",
            "follows": intent["intent_id"],
            "due_at": now,
        }
        for intent in intents
        if intent["evidence"] is not None
    ]
    await IntentRepository(uow.session, uow.tenant_id).add(rows)
    if rows:
        uow.after_commit(uow.resources.get(Signals).writes.set)


_KEPT = (
    "opportunity_id", "decision_id", "decision_no", "revision", "submission_id", "pipeline_key",
    "assessment_key", "assessment_version", "evidence", "traceparent",
)  # fmt: skip


async def _park_unmapped(
    uow: UnitOfWork, rows: dict[str, OpportunityRecord], found: Sequence[dict[str, Any]], now: datetime
) -> None:
    moved = []
    touched: dict[str, OpportunityRecord] = {}
    for intent in found:
        reason = (
            f"stage {intent['target_stage']!r} of pipeline {intent['pipeline_key']!r} stands for no active stage"
            " of the CRM: set the stage mapping, then retry"
        )
        moved.append(
            {
                "intent_id": intent["intent_id"],
                "state": IntentState.PARKED.value,
                "code": "UNMAPPED_STAGE",
                "reason": reason,
                "updated_at": now,
            }
        )
        key = intent["opportunity_id"]
        touched[key] = park(uow, rows[key], intent, "UNMAPPED_STAGE", reason, now)
    await IntentRepository(uow.session, uow.tenant_id).move(moved, IntentState.NEW)
    await OpportunityRepository(uow.session, uow.tenant_id).save(list(touched.values()), now)


@dataclass(frozen=True, slots=True)
class Answered:
    """An intent on its way and the CRM's answer; `stage` is what was asked to stand, by the CRM's name."""

    intent: Mapping[str, Any]
    result: WriteResult
    stage: str = ""


async def settle_answers(uow: UnitOfWork, answers: Sequence[Answered], now: datetime) -> None:
    """Move intents on by the CRM's answers and publish what came of them, in one transaction. An intent that its
    echo has proven meanwhile stays as it is."""
    outcomes = {
        answer.intent["intent_id"]: settle(answer.result, answer.intent["attempts"], random())  # noqa: S311
        for answer in answers
    }
    opportunities = OpportunityRepository(uow.session, uow.tenant_id)
    # Answers alone change nothing that is known of their opportunity, unless they are refused.
    rows = await opportunities.lock(
        answer.intent["opportunity_id"]
        for answer in answers
        if answer.intent["target_stage"] or outcomes[answer.intent["intent_id"]].state is IntentState.PARKED
    )
    moved = await IntentRepository(uow.session, uow.tenant_id).move(
        [
            {
                "intent_id": answer.intent["intent_id"],
                "state": outcomes[answer.intent["intent_id"]].state.value,
                "write_id": answer.result.write_id,
                "code": answer.result.code,
                "reason": answer.result.reason,
                "due_at": now + outcomes[answer.intent["intent_id"]].wait,
                "confirmed_at": now if outcomes[answer.intent["intent_id"]].state is IntentState.CONFIRMED else None,
                "updated_at": now,
            }
            for answer in answers
        ],
        IntentState.SENT,
    )
    conflicts: list[Mapping[str, Any]] = []
    for answer in answers:
        intent, key = answer.intent, answer.intent["opportunity_id"]
        if intent["intent_id"] not in moved:
            continue
        match outcomes[intent["intent_id"]].state:
            case IntentState.CONFIRMED if not intent["target_stage"]:
                show_confirmed(intent)
            case IntentState.CONFIRMED:
                rows[key] = _confirmed(uow, rows[key], answer, now)
                uow.after_commit(partial(_show_freshness, intent))
            case IntentState.PARKED:
                rows[key] = park(uow, rows[key], intent, answer.result.code, answer.result.reason, now)
            case IntentState.CONFLICT:
                conflicts.append(intent)
            case _:
                continue
    await opportunities.save(list(rows.values()), now)
    await _keep_answers(uow, conflicts, now)
    signals = uow.resources.get(Signals)
    uow.after_commit(signals.writes.set)
    if conflicts:
        uow.after_commit(signals.attention.set)
        uow.after_commit(partial(CONFLICTS.inc, len(conflicts)))


def _show_freshness(intent: Mapping[str, Any]) -> None:
    if intent["evidence"] is None:
        return
    waited = utc_now() - received_at(intent["evidence"])
    FRESHNESS.observe(max(0.0, waited.total_seconds()))


def _confirmed(uow: UnitOfWork, row: OpportunityRecord, answer: Answered, now: datetime) -> OpportunityRecord:
    after = confirm(uow, row, answer.intent, answer.result.write_id, now)
    if not answer.stage:
        return after
    known = written(row.known, answer.stage, answer.result.write_id, now)
    return replace(after, known=known, stage_key=answer.intent["target_stage"], stage_is_ours=True)


async def retry_intent(uow: UnitOfWork, caller: Principal, wanted: UUID) -> dict[str, Any]:
    """Let a parked intent be sent again. IntentNotFound, IntentNotParked."""
    intents = IntentRepository(uow.session, uow.tenant_id)
    now = utc_now()
    again = {
        "intent_id": wanted,
        "state": IntentState.NEW.value,
        "code": "",
        "reason": "",
        "attempts": 0,
        "due_at": now,
        "updated_at": now,
    }
    moved = await intents.move([again], IntentState.PARKED)
    found = await intents.get(wanted)
    if found is None:
        raise IntentNotFound(f"there is no write intent {wanted}")
    if not moved:
        raise IntentNotParked(f"the write intent is {found['state']}, and only a PARKED one waits for a retry")
    await audit.record(uow, caller, "write-intent.retried", str(wanted), opportunity_id=found["opportunity_id"])
    uow.after_commit(uow.resources.get(Signals).writes.set)
    return found
