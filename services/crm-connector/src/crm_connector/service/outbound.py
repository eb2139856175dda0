"""What decisions ask of the CRM: queued, and made ready to send."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from kit.database.unit_of_work import UnitOfWork
from kit.events import Received
from kit.ids import utc_now, uuid7

from crm_connector.crm import Crm
from crm_connector.domain.intents import IntentState, Move, expected_stage
from crm_connector.domain.writes import CrmWrite, StageWrite
from crm_connector.messages import Decided, StageDecided, read_decision, unpack_evidence
from crm_connector.records import Attempt, DueWrite, OpportunityRecord, QueuedWrite, Sending
from crm_connector.repository.definitions import DefinitionRepository
from crm_connector.repository.intents import IntentRepository
from crm_connector.repository.opportunities import OpportunityRepository
from crm_connector.service.maps import Maps, load_maps
from crm_connector.service.settling import intent_id, park_unmapped, supersede
from crm_connector.signals import Signals


async def accept_decisions(uow: UnitOfWork, events: Sequence[Received[StageDecided]]) -> None:
    """Queue what decisions want written; one that writes nothing only says the opportunity's pipeline."""
    now = utc_now()
    decisions = [read_decision(event) for event in events]
    # A submission that moves nothing is decided on by the pipeline that is known.
    placed = [d for d in decisions if d.pipeline_key and (d.target_stage or d.evidence is None)]
    await _assign_pipelines(uow, {d.opportunity_id: d.pipeline_key for d in placed}, now)
    writing = [decision for decision in decisions if decision.writes]
    if not writing:
        return
    urgent = {decision.opportunity_id for decision in writing if decision.target_stage}
    intents = IntentRepository(uow.session, uow.tenant_id)
    await intents.add(_queued(decision, decision.opportunity_id in urgent, now) for decision in writing)
    await intents.hurry(urgent)
    uow.after_commit(uow.resources.get(Signals).writes.set)


async def _assign_pipelines(uow: UnitOfWork, assigned: Mapping[str, str], now: datetime) -> None:
    if not assigned:
        return
    opportunities = OpportunityRepository(uow.session, uow.tenant_id)
    known = await opportunities.pipeline_keys(assigned)
    rows = await opportunities.lock(key for key, pipeline_key in assigned.items() if known.get(key) != pipeline_key)
    await opportunities.save([replace(row, pipeline_key=assigned[key]) for key, row in rows.items()], now)


def _queued(decision: Decided, urgent: bool, now: datetime) -> QueuedWrite:
    return QueuedWrite(
        intent_id=intent_id(decision.decision_id),
        opportunity_id=decision.opportunity_id,
        decision_id=decision.decision_id,
        decision_no=decision.decision_no,
        revision=decision.revision,
        submission_id=decision.submission_id,
        pipeline_key=decision.pipeline_key,
        target_stage=decision.target_stage,
        expected_stage=decision.expected_stage,
        assessment_key=decision.assessment_key,
        assessment_version=decision.assessment_version,
        evidence=decision.evidence,
        traceparent=decision.traceparent,
        priority=0 if urgent else 1,
        state=IntentState.NEW,
        attempts=0,
        write_id="",
        code="",
        reason="",
        due_at=now,
        sent_at=None,
        created_at=now,
    )


@dataclass(frozen=True, slots=True)
class Prepared:
    """A write that is SENT as soon as the transaction commits, and what to send for it."""

    queued: QueuedWrite
    write: CrmWrite


async def prepare(uow: UnitOfWork, crm: Crm, now: datetime, limit: int, lease: timedelta) -> tuple[list[Prepared], int]:
    """Mark the writes that are due as SENT, each under a new write id, so that after a crash their outcome is found
    out by reading; and how many were due. Some of those are parked or superseded instead."""
    intents = IntentRepository(uow.session, uow.tenant_id)
    due = await intents.due(now, limit)
    if not due:
        return [], 0
    # Answers alone need neither: they replace nothing.
    staged = [write.opportunity_id for write in due if write.target_stage]
    rows = await OpportunityRepository(uow.session, uow.tenant_id).lock(staged)
    maps = await load_maps(uow) if staged else None
    texts = await DefinitionRepository(uow.session, uow.tenant_id).texts(
        (write.assessment_key, write.assessment_version) for write in due if write.evidence is not None
    )
    ready: list[Prepared] = []
    unmapped: list[DueWrite] = []
    for write in due:
        stage = _stage_write(write, rows[write.opportunity_id], maps) if maps and write.target_stage else None
        if write.superseded:
            continue
        if write.target_stage and stage is None:
            unmapped.append(write)
            continue
        crm_write = CrmWrite(
            write_id=str(uuid7()),
            opportunity_id=write.opportunity_id,
            stage=stage,
            evidence=unpack_evidence(write.evidence) if write.evidence is not None else None,
            questions=texts.get((write.assessment_key, write.assessment_version), {}),
        )
        ready.append(Prepared(_sent(write, crm_write.write_id, now, lease), crm_write))
    ready = await _mark_sent(intents, crm, ready)
    await supersede(uow, [write.intent_id for write in due if write.superseded], now)
    await park_unmapped(uow, rows, [write.intent_id for write in unmapped], now)
    return ready, len(due)


def _stage_write(write: QueuedWrite, row: OpportunityRecord, maps: Maps) -> StageWrite | None:
    target = maps.crm_stage(write.pipeline_key, write.target_stage)
    if target is None:
        return None
    decided = maps.crm_stage(write.pipeline_key, write.expected_stage) or ""
    facts = row.known.facts
    return StageWrite(target, expected_stage(decided, facts.stage if facts else None, row.stage_is_ours))


def _sent(write: QueuedWrite, write_id: str, now: datetime, lease: timedelta) -> QueuedWrite:
    attempts = write.attempts + 1
    return write.moved(Move.SEND, write_id=write_id, attempts=attempts, sent_at=now, due_at=now + lease)


async def _mark_sent(intents: IntentRepository, crm: Crm, ready: Sequence[Prepared]) -> list[Prepared]:
    # An echo may have proven one of them in the meantime.
    marked = await intents.send([_sending(item.queued) for item in ready])
    ready = [item for item in ready if item.queued.intent_id in marked]
    intents.record_attempts(
        [
            Attempt(item.write.write_id, item.queued.intent_id, item.queued.attempts, crm.sent_fields(item.write))
            for item in ready
        ]
    )
    return ready


def _sending(write: QueuedWrite) -> Sending:
    assert write.sent_at is not None
    return Sending(write.intent_id, write.state, write.attempts, write.write_id, write.sent_at, write.due_at)
