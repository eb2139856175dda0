"""What becomes of writes: replies and echoes of the CRM, writes that cannot be sent, and what a person retries."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from random import random
from uuid import UUID

from kit.database.unit_of_work import UnitOfWork
from kit.http import audit
from kit.http.auth import Principal
from kit.ids import derived, utc_now
from kit.telemetry import consumer_span

from crm_connector.domain.intents import IntentState, Lane, Move, Reply, settle
from crm_connector.domain.observation import written
from crm_connector.errors import IntentNotFound, IntentNotParked
from crm_connector.messages import crm_write_confirmed, crm_write_parked, received_at
from crm_connector.records import IntentRecord, OpportunityRecord, QueuedWrite
from crm_connector.repository.intents import IntentRepository
from crm_connector.repository.opportunities import OpportunityRepository
from crm_connector.signals import Signals
from crm_connector.telemetry import CONFLICTS, FRESHNESS

_CONFIRMED_SPAN = "crm write confirmed"


def intent_id(decision_id: UUID, lane: Lane | None = None) -> UUID:
    """The id of a decision's intent; with a lane, that of the part which was left of it."""
    return derived(decision_id, f"write intent {lane}" if lane else "write intent")


@dataclass(frozen=True, slots=True)
class Replied:
    """A write on its way and the CRM's reply; `stage` is what was to be set, by the CRM's name."""

    queued: QueuedWrite
    reply: Reply
    stage: str = ""


async def settle_replies(uow: UnitOfWork, replies: Sequence[Replied], now: datetime) -> None:
    """Move writes on by the CRM's replies and publish what came of them, in one transaction. A write that its echo has
    proven meanwhile stays as it is."""
    given = {each.queued.intent_id: each for each in replies}
    opportunities = OpportunityRepository(uow.session, uow.tenant_id)
    # Answers alone change nothing that is known of their opportunity, unless they are refused.
    rows = await opportunities.lock(
        each.queued.opportunity_id
        for each in replies
        if each.queued.target_stage or settle(each.reply, each.queued.attempts, 0).move is Move.PARK
    )
    intents = IntentRepository(uow.session, uow.tenant_id)
    taken = await intents.take(given, IntentState.SENT)
    settled = [_after(write, given[write.intent_id].reply, now) for write in taken]
    await intents.keep(settled, now)
    for write in settled:
        key = write.opportunity_id
        if write.state is IntentState.PARKED:
            rows[key] = _park(uow, rows[key], write, now)
        elif write.state is IntentState.CONFIRMED and write.target_stage:
            rows[key] = _confirmed(uow, rows[key], write, given[write.intent_id].stage, now)
        elif write.state is IntentState.CONFIRMED:
            show_confirmed(write)
    await opportunities.save(list(rows.values()), now)
    conflicts = [write for write in settled if write.state is IntentState.CONFLICT]
    await _keep_answers(uow, conflicts, now)
    signals = uow.resources.get(Signals)
    uow.after_commit(signals.writes.set)
    if conflicts:
        uow.after_commit(signals.attention.set)
        uow.after_commit(partial(CONFLICTS.inc, len(conflicts)))


def _after(write: QueuedWrite, reply: Reply, now: datetime) -> QueuedWrite:
    settlement = settle(reply, write.attempts, random())  # noqa: S311
    return write.moved(
        settlement.move,
        write_id=reply.write_id,
        code=reply.code,
        reason=reply.reason,
        due_at=now + settlement.wait,
    )


def _confirmed(
    uow: UnitOfWork, row: OpportunityRecord, write: QueuedWrite, stage: str, now: datetime
) -> OpportunityRecord:
    after = confirm(uow, row, write, write.write_id, now)
    if write.evidence is not None:
        uow.after_commit(partial(_show_freshness, write.evidence))
    if not stage:
        return after
    known = written(row.known, stage, write.write_id, now)
    return replace(after, known=known, stage_key=write.target_stage, stage_is_ours=True)


def _show_freshness(evidence: bytes) -> None:
    waited = utc_now() - received_at(evidence)
    FRESHNESS.observe(max(0.0, waited.total_seconds()))


async def take_echoes(uow: UnitOfWork, intent_ids: Iterable[UUID], now: datetime) -> dict[UUID, QueuedWrite]:
    """Note that our own writes came back; those among them that their echo proved before any reply confirmed them."""
    wanted = set(intent_ids)
    if not wanted:
        return {}
    intents = IntentRepository(uow.session, uow.tenant_id)
    # First those that no reply has settled: a reply that comes in between is then seen by the second.
    proven = [write.moved(Move.PROVE) for write in await intents.take(wanted, *Move.PROVE.sources)]
    await intents.keep(proven, now)
    await intents.echo(wanted, now)
    return {write.intent_id: write for write in proven}


def confirm(
    uow: UnitOfWork, row: OpportunityRecord, write: QueuedWrite, write_id: str, now: datetime
) -> OpportunityRecord:
    """Publish that the CRM holds the stage that the write set."""
    after = row.next()
    message = crm_write_confirmed(write, write_id, now)
    with consumer_span(_CONFIRMED_SPAN, write.traceparent, write.sent_at):
        uow.publish(message, sequence=after.sequence)
    return after


def show_confirmed(write: QueuedWrite) -> None:
    """Show in the trace that the CRM holds answers that came without a stage. Nothing is published: what others know
    of the opportunity stays as it is."""
    with consumer_span(_CONFIRMED_SPAN, write.traceparent, write.sent_at):
        pass


def _park(uow: UnitOfWork, row: OpportunityRecord, write: QueuedWrite, now: datetime) -> OpportunityRecord:
    after = row.next()
    message = crm_write_parked(write, now)
    with consumer_span("crm write parked", write.traceparent, write.sent_at):
        uow.publish(message, sequence=after.sequence)
    return after


async def park_unmapped(
    uow: UnitOfWork, rows: Mapping[str, OpportunityRecord], intent_ids: Sequence[UUID], now: datetime
) -> None:
    """Park writes whose stage has no counterpart in the CRM; `rows` are their opportunities, locked."""
    intents = IntentRepository(uow.session, uow.tenant_id)
    parked = [_unmapped(write, now) for write in await intents.take(intent_ids, IntentState.NEW)]
    await intents.keep(parked, now)
    touched = [_park(uow, rows[write.opportunity_id], write, now) for write in parked]
    await OpportunityRepository(uow.session, uow.tenant_id).save(touched, now)


def _unmapped(write: QueuedWrite, now: datetime) -> QueuedWrite:
    reason = (
        f"Stage {write.target_stage!r} of pipeline {write.pipeline_key!r} has no active stage of the CRM: set the stage"
        " mapping, then retry."
    )
    return write.moved(Move.PARK, code="UNMAPPED_STAGE", reason=reason, due_at=now)


async def supersede(uow: UnitOfWork, intent_ids: Sequence[UUID], now: datetime) -> None:
    """Give up stages that a newer decision's stage went before."""
    intents = IntentRepository(uow.session, uow.tenant_id)
    reason = "A newer decision's stage was written before this one."
    given_up = [write.moved(Move.SUPERSEDE, reason=reason) for write in await intents.take(intent_ids, IntentState.NEW)]
    await intents.keep(given_up, now)
    await _keep_answers(uow, given_up, now)


async def _keep_answers(uow: UnitOfWork, writes: Sequence[QueuedWrite], now: datetime) -> None:
    """Whatever becomes of a stage, the answers that came with it are still written, by an intent of their own."""
    left = {write.intent_id: _answers_of(write, now) for write in writes if write.evidence is not None}
    if not left:
        return
    follows = {answers.intent_id: followed for followed, answers in left.items()}
    await IntentRepository(uow.session, uow.tenant_id).add(left.values(), follows)
    uow.after_commit(uow.resources.get(Signals).writes.set)


def _answers_of(write: QueuedWrite, now: datetime) -> QueuedWrite:
    return replace(
        write,
        intent_id=intent_id(write.decision_id, Lane.ANSWERS),
        target_stage="",
        expected_stage="",
        priority=1,
        state=IntentState.NEW,
        attempts=0,
        write_id="",
        code="",
        reason="",
        due_at=now,
        sent_at=None,
        created_at=now,
    )


async def retry_intent(uow: UnitOfWork, caller: Principal, wanted: UUID) -> IntentRecord:
    """Let a parked write be sent again. IntentNotFound, IntentNotParked."""
    intents = IntentRepository(uow.session, uow.tenant_id)
    found = await intents.get(wanted)
    if found is None:
        raise IntentNotFound(f"There is no write intent {wanted}.")
    now = utc_now()
    parked = await intents.take([wanted], *Move.RETRY.sources)
    if not parked:
        raise IntentNotParked(f"The write intent is {found.state}, and only a PARKED one waits for a retry.")
    again = [write.moved(Move.RETRY, code="", reason="", attempts=0, due_at=now) for write in parked]
    await intents.keep(again, now)
    await audit.record(uow, caller, "write-intent.retried", str(wanted), opportunity_id=found.opportunity_id)
    uow.after_commit(uow.resources.get(Signals).writes.set)
    return replace(found, state=Move.RETRY.target, code="", reason="", attempts=0, due_at=now)
