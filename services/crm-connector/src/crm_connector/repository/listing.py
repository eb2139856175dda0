"""Writes as people look at them: one, a page, and how many wait."""

from uuid import UUID

from kit.database.rows import record, records
from kit.database.sets import among
from kit.database.waiting import MOST_COUNTED
from sqlalchemy import and_, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from crm_connector.domain.intents import IntentState
from crm_connector.models import write_intent, write_queue
from crm_connector.records import Backlog, IntentRecord

_q, _i = write_queue.c, write_intent.c
# Of an unfinished write the queue says how far it is, of a settled one the intent.
_INTENT = select(
    _i.intent_id,
    _i.position,
    _i.object_type,
    _i.opportunity_id,
    _i.decision_id,
    _i.decision_no,
    _i.submission_id,
    _i.pipeline_key,
    _i.pipeline_version,
    _i.target_stage,
    _i.expected_stage,
    _i.follows,
    func.coalesce(_q.state, _i.outcome).label("state"),
    func.coalesce(_q.attempts, _i.attempts).label("attempts"),
    func.coalesce(_q.write_id, _i.write_id).label("write_id"),
    func.coalesce(_q.code, _i.code).label("code"),
    func.coalesce(_q.reason, _i.reason).label("reason"),
    func.coalesce(_q.left_out, _i.left_out).label("left_out"),
    func.coalesce(_q.due_at, _i.settled_at).label("due_at"),
    func.coalesce(_q.sent_at, _i.sent_at).label("sent_at"),
    _i.settled_at,
    _i.echoed_at,
    _i.created_at,
).select_from(
    write_intent.outerjoin(write_queue, and_(_q.tenant_id == _i.tenant_id, _q.intent_id == _i.intent_id)),
)


class IntentList:
    """The writes of one tenant, in any state."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def backlog(self, *states: IntentState, since: str = "created_at") -> Backlog:
        """How many writes are in these states, and the earliest `since` of them."""
        first = (
            select(_q[since].label("since"))
            .where(_q.tenant_id == self._tenant_id, among(_q.state, states))
            .order_by(_q.created_at)
            .limit(MOST_COUNTED)
            .subquery()
        )
        statement = select(func.count().label("count"), func.min(first.c.since).label("since"))
        found = await record(self._session, statement.select_from(first), Backlog)
        assert found is not None
        return found

    async def get(self, intent_id: UUID) -> IntentRecord | None:
        """One intent."""
        statement = _INTENT.where(_i.tenant_id == self._tenant_id, _i.intent_id == intent_id)
        return await record(self._session, statement, IntentRecord)

    async def page(
        self, after: int | None, limit: int, state: IntentState | None, opportunity_id: str | None
    ) -> list[IntentRecord]:
        """Intents, the newest first, before the position."""
        statement = _INTENT.where(_i.tenant_id == self._tenant_id).order_by(_i.position.desc()).limit(limit)
        if after is not None:
            statement = statement.where(_i.position < after)
        if opportunity_id is not None:
            statement = statement.where(_i.opportunity_id == opportunity_id)
        if state is not None:
            statement = statement.where((_i.outcome if state.is_settled else _q.state) == state)
        return await records(self._session, statement, IntentRecord)
