"""The queue of unfinished writes: in, sent, and out. What became of them is in `settled.py`, lists are in `listing.py`.

Rows of the queue are locked in the order of their ids and before rows of write_intent, so that the replies and the
echoes of the same writes do not block each other.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from kit.database import bulk
from kit.database.rows import columns, records
from kit.database.sets import among
from sqlalchemy import Select, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from crm_connector.domain.intents import IntentState, Move
from crm_connector.models import write_attempt, write_intent, write_queue
from crm_connector.records import (
    Attempt,
    DueWrite,
    NewIntent,
    Outcome,
    ParkedFilter,
    QueuedWrite,
    Sending,
)

# How long answers wait for the texts of their questions; afterwards they go with the keys.
TEXT_PATIENCE = timedelta(seconds=30)

# What goes before a stage in its opportunity's line is as urgent as the stage.
_HURRY = text("""
    UPDATE write_queue
    SET priority = 0
    WHERE tenant_id = :tenant_id
      AND intent_id IN (
          SELECT intent_id
          FROM write_queue
          WHERE tenant_id = :tenant_id
            AND opportunity_id = ANY(:opportunity_ids)
            AND state = 'NEW'
            AND priority > 0
          ORDER BY intent_id
          FOR UPDATE
      )
""")
_DUE = text("""
    SELECT w.*,
           w.target_stage <> '' AND EXISTS (
               SELECT
               FROM write_intent newer
               WHERE newer.tenant_id = w.tenant_id
                 AND newer.opportunity_id = w.opportunity_id
                 AND newer.decision_no > w.decision_no
                 AND newer.target_stage <> ''
                 AND newer.outcome IN ('CONFIRMED', 'ECHOED', 'CONFLICT')
           ) AS superseded,
           coalesce((
               SELECT parked.reason
               FROM write_queue parked
               WHERE w.target_stage = ''
                 AND parked.tenant_id = w.tenant_id
                 AND parked.opportunity_id = w.opportunity_id
                 AND parked.state = 'PARKED'
                 AND parked.target_stage <> ''
               ORDER BY parked.decision_no DESC
               LIMIT 1
           ), '') AS sync_error
    FROM write_queue w
    WHERE w.tenant_id = :tenant_id
      AND w.state = 'NEW'
      AND w.due_at <= :now
      AND (NOT :bare OR w.evidence IS NULL OR w.object_type <> 'opportunity')
      AND w.object_type <> ALL(:held)
      AND NOT EXISTS (
          SELECT
          FROM write_queue other
          WHERE other.tenant_id = w.tenant_id
            AND other.opportunity_id = w.opportunity_id
            AND (other.state = 'SENT'
                 OR other.state = 'NEW'
                    AND (other.decision_no, other.created_at, other.intent_id)
                        < (w.decision_no, w.created_at, w.intent_id))
      )
      AND (w.target_stage = '' OR EXISTS (
          SELECT
          FROM pipeline p
          WHERE p.tenant_id = w.tenant_id
            AND p.pipeline_key = w.pipeline_key
            AND p.version = w.pipeline_version
      ))
      AND (w.evidence IS NULL OR w.assessment_key = '' OR w.created_at < :texts_awaited_since OR EXISTS (
          SELECT
          FROM assessment_text t
          WHERE t.tenant_id = w.tenant_id
            AND t.assessment_key = w.assessment_key
            AND t.version = w.assessment_version
      ))
    ORDER BY w.priority, w.created_at
    LIMIT :most
""")
_TAKE = text("""
    WITH held AS (
        SELECT intent_id
        FROM write_queue
        WHERE tenant_id = :tenant_id
          AND intent_id = ANY(:intent_ids)
          AND state = ANY(:states)
        ORDER BY intent_id
        FOR UPDATE
    )
    DELETE FROM write_queue w
    USING held
    WHERE w.tenant_id = :tenant_id
      AND w.intent_id = held.intent_id
    RETURNING w.*
""")

_QUEUED = columns(write_queue, QueuedWrite)
_q, _h = write_queue.c, write_queue.alias("held").c


class IntentRepository:
    """The unfinished writes of one tenant."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    # In and out

    async def add(self, writes: Iterable[QueuedWrite], follows: Mapping[UUID, UUID] | None = None) -> None:
        """Queue new writes with the commit; `follows` names the intents whose answers they are. A write that was asked
        for before is left as it is."""
        new = {write.intent_id: write for write in writes}
        rows = [_intent(write, (follows or {}).get(write.intent_id)) for write in new.values()]
        added = await bulk.insert(
            self._session, write_intent, self._tenant_id, rows, conflict="DO NOTHING", returning="intent_id"
        )
        bulk.defer(self._session, write_queue, [new[intent_id] for intent_id in added])

    async def hurry(self, opportunity_ids: Collection[str]) -> None:
        """Make what is queued for these opportunities as urgent as a stage."""
        if opportunity_ids:
            given = {"tenant_id": self._tenant_id, "opportunity_ids": list(opportunity_ids)}
            await self._session.execute(_HURRY, given)

    async def take(self, intent_ids: Iterable[UUID], *states: IntentState) -> list[QueuedWrite]:
        """Take these writes out of the queue, as far as they still are in one of the states. `keep` has to
        follow in the same transaction."""
        given = {"tenant_id": self._tenant_id, "intent_ids": list(intent_ids), "states": list(states)}
        if not given["intent_ids"]:
            return []
        return await records(self._session, _TAKE.bindparams(**given).columns(left_out=_q.left_out.type), QueuedWrite)

    async def keep(self, writes: Sequence[QueuedWrite], now: datetime) -> None:
        """Keep what was taken: what is settled for good, the rest in the queue, with the commit."""
        bulk.defer(self._session, write_queue, [write for write in writes if not write.state.is_settled])
        outcomes = [_outcome(write, now) for write in writes if write.state.is_settled]
        await bulk.update(self._session, write_intent, self._tenant_id, "intent_id", outcomes)

    async def take_parked(self, of: ParkedFilter, limit: int) -> list[QueuedWrite]:
        """Take the first so many of these parked writes out of the queue. `keep` has to follow in the same
        transaction."""
        conditions = [
            _q.code == of.code if of.code is not None else None,
            func.strpos(_q.reason, of.reason) > 0 if of.reason is not None else None,
            _q.opportunity_id == of.opportunity_id if of.opportunity_id is not None else None,
            _q.due_at >= of.parked_since if of.parked_since is not None else None,
            _q.due_at < of.parked_before if of.parked_before is not None else None,
        ]
        wanted = [each for each in conditions if each is not None]
        parked = select(_q.intent_id).where(_q.tenant_id == self._tenant_id, _q.state == IntentState.PARKED, *wanted)
        first = parked.order_by(_q.priority, _q.created_at).limit(limit)
        return await self.take((await self._session.execute(first)).scalars(), IntentState.PARKED)

    # Sending

    async def due(self, now: datetime, limit: int, *, bare: bool = False, held: Collection[str] = ()) -> list[DueWrite]:
        """The first write in line of each opportunity that has none on its way, where that one may be sent now: the
        urgent ones first. With `bare` only those that touch no assessment; none of the types in `held`."""
        given = {
            "tenant_id": self._tenant_id,
            "now": now,
            "texts_awaited_since": now - TEXT_PATIENCE,
            "most": limit,
            "bare": bare,
            "held": list(held),
        }
        return await records(self._session, _DUE.bindparams(**given).columns(left_out=_q.left_out.type), DueWrite)

    async def send(self, sendings: Sequence[Sending]) -> set[UUID]:
        """Mark these as on their way where that is still possible; their ids."""
        return await bulk.update(
            self._session,
            write_queue,
            self._tenant_id,
            "intent_id",
            sendings,
            where="kept.state = any($1)",
            values=[Move.SEND.sources],
        )

    def record_attempts(self, attempts: Sequence[Attempt]) -> None:
        """Note, with the commit, what is about to be sent."""
        bulk.defer(self._session, write_attempt, attempts)

    async def overdue(self, now: datetime, limit: int) -> list[QueuedWrite]:
        """Writes on their way whose outcome has to be found out by reading."""
        statement = (
            select(*_QUEUED)
            .where(_q.tenant_id == self._tenant_id, _q.state == IntentState.SENT, _q.due_at <= now)
            .order_by(_q.due_at)
            .limit(limit)
        )
        return await records(self._session, statement, QueuedWrite)

    async def postpone(self, intent_ids: Collection[UUID], until: datetime) -> None:
        """Leave these writes, whose outcome is being found out, alone until then."""
        held = self._held().where(among(_h.intent_id, intent_ids))
        statement = update(write_queue).where(_q.tenant_id == self._tenant_id, among(_q.intent_id, held))
        await self._session.execute(statement.values(due_at=until))

    async def hasten(self, now: datetime, codes: Collection[str] = ()) -> None:
        """Let the writes that wait after a refusal go at once: those with one of the codes, or all."""
        waiting = select(_h.intent_id).where(
            _h.tenant_id == self._tenant_id, _h.state == IntentState.NEW, _h.due_at > now
        )
        if codes:
            waiting = waiting.where(among(_h.code, codes))
        held = waiting.order_by(_h.intent_id).with_for_update()
        statement = update(write_queue).where(_q.tenant_id == self._tenant_id, among(_q.intent_id, held))
        await self._session.execute(statement.values(due_at=now))

    async def abandon_sent(self, now: datetime) -> int:
        """Let the outcome of every write on its way be found out at once: its sender is gone. Their number."""
        statement = (
            update(write_queue)
            .where(_q.tenant_id == self._tenant_id, among(_q.intent_id, self._held()))
            .values(due_at=now)
            .returning(_q.intent_id)
        )
        return len((await self._session.execute(statement)).all())

    def _held(self) -> Select[UUID]:
        """Ids of the writes on their way, locked in order."""
        on_their_way = select(_h.intent_id).where(_h.tenant_id == self._tenant_id, _h.state == IntentState.SENT)
        return on_their_way.order_by(_h.intent_id).with_for_update()


def _intent(write: QueuedWrite, follows: UUID | None) -> NewIntent:
    return NewIntent(
        write.intent_id,
        write.object_type,
        write.opportunity_id,
        write.decision_id,
        write.decision_no,
        write.submission_id,
        write.pipeline_key,
        write.pipeline_version,
        write.target_stage,
        write.expected_stage,
        write.reason_code,
        follows,
    )


def _outcome(write: QueuedWrite, now: datetime) -> Outcome:
    return Outcome(
        intent_id=write.intent_id,
        outcome=write.state,
        attempts=write.attempts,
        write_id=write.write_id,
        code=write.code,
        reason=write.reason,
        left_out=write.left_out,
        sent_at=write.sent_at,
        settled_at=now,
        echoed_at=now if write.state is IntentState.ECHOED else None,
    )
