"""What becomes of writes: replies and echoes of the CRM, and writes that cannot be sent."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from random import random
from uuid import UUID

from kit.database.unit_of_work import UnitOfWork
from kit.ids import derived, utc_now
from kit.observability.telemetry import consumer_span

from crm_connector.domain.intents import DONE, IntentState, Move, Reply, Settlement, left_out_after, settle
from crm_connector.domain.observation import written
from crm_connector.messages import crm_write_confirmed, crm_write_parked, received_at, unpack_evidence
from crm_connector.records import OpportunityRecord, QueuedWrite
from crm_connector.repository.intents import IntentRepository
from crm_connector.repository.opportunities import OpportunityRepository
from crm_connector.repository.settled import SettledRepository
from crm_connector.signals import Signals
from crm_connector.telemetry import CONFLICTS, FRESHNESS

_MOST_WORDS = 4000
_CONFIRMED_SPAN = "crm write confirmed"
# The code of what was left out of a write because the CRM refused it.
REFUSED_ANSWER = "ANSWER_REFUSED"


# What is left of a decision's write, and is written by an intent of its own.
_ANSWERS = "ANSWERS"
_REFUSED_ANSWERS = "REFUSED ANSWERS"


def intent_id(decision_id: UUID, part: str = "") -> UUID:
    """The id of a decision's intent, or of the part which was left of it."""
    return derived(decision_id, f"write intent {part}" if part else "write intent")


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
    await park_refused_answers(uow, settled, now)
    signals = uow.resources.get(Signals)
    uow.after_commit(signals.writes.set)
    if conflicts:
        uow.after_commit(signals.attention.set)
        uow.after_commit(partial(CONFLICTS.inc, len(conflicts)))


def _after(write: QueuedWrite, reply: Reply, now: datetime) -> QueuedWrite:
    settlement = settle(reply, write.attempts, random())  # noqa: S311
    left_out = _left_out(write, reply, settlement)
    if left_out is not None:
        return write.moved(Move.REPEAT, code=storable(reply.code), left_out=left_out, due_at=now)
    return write.moved(
        settlement.move,
        write_id=reply.write_id,
        code=storable(reply.code),
        reason=storable(reply.reason),
        due_at=now + settlement.wait,
    )


def _left_out(write: QueuedWrite, reply: Reply, settlement: Settlement) -> Mapping[str, str] | None:
    """What the write goes without from now on, because the CRM refused it. What was left out of another write before
    has nothing to spare."""
    if reply.refused is None or write.evidence is None:
        return None
    if write.intent_id == intent_id(write.decision_id, _REFUSED_ANSWERS):
        return None
    questions = (line.question_key for line in unpack_evidence(write.evidence).answers)
    reply = replace(reply, code=storable(reply.code), reason=storable(reply.reason))
    return left_out_after(reply, settlement, write.left_out, questions)


def storable(words: str) -> str:
    """The CRM's words as the database and an event can hold them."""
    return words.replace("\0", "\ufffd").encode(errors="replace").decode()[:_MOST_WORDS]


def _confirmed(
    uow: UnitOfWork, row: OpportunityRecord, write: QueuedWrite, stage: str, now: datetime
) -> OpportunityRecord:
    after = confirm(uow, row, write, write.write_id, now)
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
    await park_refused_answers(uow, proven, now)
    await SettledRepository(uow.session, uow.tenant_id).echo(wanted, now)
    return {write.intent_id: write for write in proven}


def confirm(
    uow: UnitOfWork, row: OpportunityRecord, write: QueuedWrite, write_id: str, now: datetime
) -> OpportunityRecord:
    """Publish that the CRM holds the stage that the write set."""
    after = row.next()
    message = crm_write_confirmed(write, write_id, now)
    with consumer_span(_CONFIRMED_SPAN, write.traceparent, write.sent_at):
        uow.publish(message, sequence=after.sequence)
    # What was voided has no assessment of its own, and was received long ago.
    if write.evidence is not None and write.assessment_key:
        uow.after_commit(partial(_show_freshness, write.evidence))
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


async def park_unreadable(uow: UnitOfWork, intent_ids: Sequence[UUID], now: datetime) -> None:
    """Park writes whose evidence cannot be read, and send their stages without it."""
    intents = IntentRepository(uow.session, uow.tenant_id)
    reason = "The answers that were kept for this write cannot be read: discard it."
    for write in await intents.take(intent_ids, IntentState.NEW):
        parked = write.moved(Move.PARK, code="UNREADABLE_ANSWERS", reason=reason, due_at=now)
        if write.target_stage:
            await intents.keep([replace(write, evidence=None, submission_id="")], now)
            parked = replace(parked, intent_id=intent_id(write.decision_id, _REFUSED_ANSWERS), target_stage="")
            await intents.add([parked], {parked.intent_id: write.intent_id})
        else:
            await intents.keep([parked], now)


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


async def park_refused_answers(uow: UnitOfWork, writes: Iterable[QueuedWrite], now: datetime) -> None:
    """An answer that the CRM refuses holds back nothing else: once the rest is written, it waits for a person in an
    intent of its own."""
    written = [write for write in writes if write.left_out and write.state in DONE]
    rest = {write.intent_id: _refused_answers(write, now) for write in written}
    follows = {refused.intent_id: followed for followed, refused in rest.items()}
    await IntentRepository(uow.session, uow.tenant_id).add(rest.values(), follows)


def _refused_answers(write: QueuedWrite, now: datetime) -> QueuedWrite:
    first = next(iter(write.left_out.values()))
    more = f" ({len(write.left_out)} parts were left out)" if len(write.left_out) > 1 else ""
    return replace(
        _answers_of(write, now),
        intent_id=intent_id(write.decision_id, _REFUSED_ANSWERS),
        state=IntentState.PARKED,
        code=REFUSED_ANSWER,
        reason=first + more,
    )


def _answers_of(write: QueuedWrite, now: datetime) -> QueuedWrite:
    return replace(
        write,
        intent_id=intent_id(write.decision_id, _ANSWERS),
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
