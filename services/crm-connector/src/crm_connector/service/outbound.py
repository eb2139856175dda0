"""What decisions ask of the CRM: queued, and made ready to send."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from google.protobuf.message import DecodeError
from kit.contracts.events import Received
from kit.database.unit_of_work import UnitOfWork
from kit.errors import InvalidEvent
from kit.ids import utc_now, uuid7

from crm_connector.crm import Crm
from crm_connector.domain.intents import IntentState, Move, expected_stage
from crm_connector.domain.stages import ending, health, is_lost
from crm_connector.domain.writes import CrmWrite, StageWrite
from crm_connector.messages import Decided, StageDecided, read_decision, unpack_evidence
from crm_connector.records import Attempt, DueWrite, OpportunityRecord, QueuedWrite, Sending
from crm_connector.repository.definitions import DefinitionRepository
from crm_connector.repository.intents import IntentRepository
from crm_connector.repository.opportunities import OpportunityRepository
from crm_connector.repository.settled import SettledRepository
from crm_connector.service import publishing
from crm_connector.service.maps import Maps, Version, load_maps, maps_of
from crm_connector.service.settling import intent_id, park_unmapped, park_unreadable, supersede
from crm_connector.signals import Signals

log = logging.getLogger(__name__)

# Why an opportunity was moved to a stage, by both.
Reasons = Mapping[tuple[str, str], str]


async def accept_decisions(uow: UnitOfWork, events: Sequence[Received[StageDecided]]) -> None:
    """Queue what decisions want written; one that writes nothing only says the opportunity's pipeline."""
    now = utc_now()
    decisions = [read_decision(event) for event in events]
    # A submission that moves nothing is decided on by the pipeline that is known.
    placed = [d for d in decisions if d.pipeline_key and (d.target_stage or d.evidence is None)]
    await _assign_pipelines(uow, {d.opportunity_id: (d.pipeline_key, d.pipeline_version) for d in placed}, now)
    writing = [decision for decision in decisions if decision.writes]
    if not writing:
        return
    urgent = {decision.opportunity_id for decision in writing if decision.target_stage}
    intents = IntentRepository(uow.session, uow.tenant_id)
    await intents.add(_queued(decision, decision.opportunity_id in urgent, now) for decision in writing)
    await intents.hurry(urgent)
    uow.after_commit(uow.resources.get(Signals).writes.set)


async def _assign_pipelines(uow: UnitOfWork, found: Mapping[str, Version], now: datetime) -> None:
    if not found:
        return
    opportunities = OpportunityRepository(uow.session, uow.tenant_id)
    known = await opportunities.pipelines(found)
    locked = await opportunities.lock(key for key, version in found.items() if known.get(key) != version)
    if not locked:
        return
    rows = [publishing.assigned(row, *found[key]) for key, row in locked.items()]
    maps = await maps_of(uow, rows)
    await opportunities.save([publishing.read_again(uow, maps, row, now) for row in rows], now)


def _queued(decision: Decided, urgent: bool, now: datetime) -> QueuedWrite:
    return QueuedWrite(
        intent_id=intent_id(decision.decision_id),
        object_type=decision.object_type,
        opportunity_id=decision.opportunity_id,
        decision_id=decision.decision_id,
        decision_no=decision.decision_no,
        revision=decision.revision,
        submission_id=decision.submission_id,
        pipeline_key=decision.pipeline_key,
        pipeline_version=decision.pipeline_version,
        target_stage=decision.target_stage,
        expected_stage=decision.expected_stage,
        expected_version=decision.expected_version,
        earned_stage=decision.earned_stage,
        reason_code=decision.reason_code,
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
        left_out={},
        due_at=now,
        sent_at=None,
        created_at=now,
    )


@dataclass(frozen=True, slots=True)
class Prepared:
    """A write that is SENT as soon as the transaction commits, and what to send for it."""

    queued: QueuedWrite
    write: CrmWrite


async def prepare(
    uow: UnitOfWork,
    crm: Crm,
    now: datetime,
    limit: int,
    lease: timedelta,
    *,
    bare: bool = False,
    held: Collection[str] = (),
) -> tuple[list[Prepared], int]:
    """Mark the writes that are due as SENT, each under a new write id, so that after a crash their outcome is found
    out by reading; and how many were due. Some of those are parked or superseded instead. With `bare` only writes
    without evidence are taken, and none of the types in `held`."""
    intents = IntentRepository(uow.session, uow.tenant_id)
    due = await intents.due(now, limit, bare=bare, held=held)
    if not due:
        return [], 0
    # Answers alone need neither: they replace nothing.
    staged = [write.opportunity_id for write in due if write.target_stage]
    rows = await OpportunityRepository(uow.session, uow.tenant_id).lock(staged)
    versions = {version for write in due if write.target_stage for version in (_version(write), _expected(write))}
    maps = await load_maps(uow, versions) if staged else None
    texts = await DefinitionRepository(uow.session, uow.tenant_id).texts(
        (write.assessment_key, write.assessment_version) for write in due if write.evidence is not None
    )
    reasons = await _reasons(uow, due, maps) if maps else {}
    ready: list[Prepared] = []
    needless: list[UUID] = []
    unmapped: list[DueWrite] = []
    unreadable: list[DueWrite] = []
    for write in due:
        stage = _stage_write(write, rows[write.opportunity_id], maps, reasons) if maps and write.target_stage else None
        if write.superseded or _says_nothing(write, stage):
            needless.append(write.intent_id)
            continue
        if write.target_stage and stage is None:
            unmapped.append(write)
            continue
        try:
            evidence = unpack_evidence(write.evidence) if write.evidence is not None else None
        except (InvalidEvent, DecodeError):
            log.exception("the evidence of write intent %s cannot be read", write.intent_id)
            unreadable.append(write)
            continue
        crm_write = CrmWrite(
            write_id=str(uuid7()),
            opportunity_id=write.opportunity_id,
            stage=stage,
            evidence=evidence,
            questions=texts.get((write.assessment_key, write.assessment_version), {}),
            left_out=tuple(write.left_out),
            sync_error=write.sync_error,
            object_type=write.object_type,
        )
        ready.append(Prepared(_sent(write, crm_write.write_id, now, lease), crm_write))
    ready = await _mark_sent(intents, crm, ready)
    await supersede(uow, needless, now)
    await park_unmapped(uow, rows, [write.intent_id for write in unmapped], now)
    await park_unreadable(uow, [write.intent_id for write in unreadable], now)
    return ready, len(due)


async def _reasons(uow: UnitOfWork, due: Sequence[QueuedWrite], maps: Maps) -> Reasons:
    """Why those are lost whose write, made once more, does not say it again."""
    lost = [
        write.opportunity_id
        for write in due
        if write.target_stage and not write.reason_code and is_lost(maps.stages(_version(write)), write.target_stage)
    ]
    return await SettledRepository(uow.session, uow.tenant_id).last_reasons(lost) if lost else {}


def _version(write: QueuedWrite) -> Version:
    return write.pipeline_key, write.pipeline_version


def _expected(write: QueuedWrite) -> Version:
    """The version whose stage is to be replaced: after a migration, one before."""
    return write.pipeline_key, write.expected_version or write.pipeline_version


def _says_nothing(write: QueuedWrite, stage: StageWrite | None) -> bool:
    """Whether the CRM calls the stage alike in both versions of a migration, so that there is nothing to write."""
    unwritten = write.expected_version and write.evidence is None
    return bool(unwritten) and stage is not None and stage.target == stage.expected


def _stage_write(write: QueuedWrite, row: OpportunityRecord, maps: Maps, reasons: Reasons) -> StageWrite | None:
    version = _version(write)
    target = maps.crm_stage(version, write.target_stage)
    if target is None:
        return None
    decided = maps.crm_stage(_expected(write), write.expected_stage) or ""
    facts = row.known.facts
    reason = write.reason_code or reasons.get((write.opportunity_id, write.target_stage), "")
    return StageWrite(
        target,
        expected_stage(decided, facts.stage if facts else None, row.stage_is_ours),
        earned=maps.crm_stage(version, write.earned_stage) or write.earned_stage,
        health=health(maps.stages(version), write.target_stage, write.earned_stage),
        ending=ending(maps.stages(version), write.target_stage, row.stage_key, reason),
    )


def _sent(write: QueuedWrite, write_id: str, now: datetime, lease: timedelta) -> QueuedWrite:
    attempts = write.attempts + 1
    return write.moved(Move.SEND, write_id=write_id, attempts=attempts, sent_at=now, due_at=now + lease)


async def _mark_sent(intents: IntentRepository, crm: Crm, ready: Sequence[Prepared]) -> list[Prepared]:
    # An echo may have proven one of them in the meantime.
    marked = await intents.send([_sending(item.queued) for item in ready])
    ready = [item for item in ready if item.queued.intent_id in marked]
    intents.record_attempts([_attempt(item, crm) for item in ready])
    return ready


def _attempt(item: Prepared, crm: Crm) -> Attempt:
    write, queued = item.write, item.queued
    stage = write.stage.target if write.stage else ""
    return Attempt(write.write_id, queued.intent_id, queued.attempts, crm.sent_fields(write), stage)


def _sending(write: QueuedWrite) -> Sending:
    assert write.sent_at is not None
    return Sending(write.intent_id, write.state, write.attempts, write.write_id, write.sent_at, write.due_at)
