"""Write intents and the ledger of attempts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from kit.database import bulk
from kit.database.bulk import driver_of
from kit.database.waiting import MOST_COUNTED
from sqlalchemy import and_, func, select, text, union_all, update
from sqlalchemy.ext.asyncio import AsyncSession

from crm_connector.domain.intents import IntentState, Lane, advance
from crm_connector.models import write_attempt, write_intent

# How long answers wait for the texts of their questions; afterwards they go with the keys.
TEXT_PATIENCE = timedelta(seconds=30)
_HURRY = """
    UPDATE write_intent SET lane_rank = 0
    WHERE tenant_id = $1 AND opportunity_id = any($2) AND state = 'NEW' AND lane_rank > 0
"""
_DUE = """
    SELECT i.*, i.target_stage <> '' AND i.decision_no < (
               -- A stage of these states decides over an older one that comes late.
               SELECT newest.decision_no FROM write_intent newest
               WHERE newest.tenant_id = i.tenant_id AND newest.opportunity_id = i.opportunity_id
                 AND newest.target_stage <> '' AND newest.state IN ('SENT', 'CONFIRMED', 'ECHOED', 'CONFLICT')
               ORDER BY newest.decision_no DESC LIMIT 1
           ) IS TRUE AS superseded
    FROM write_intent i
    WHERE i.tenant_id = $1 AND i.state = 'NEW' AND i.due_at <= $2
      -- Asked for the first in an order that just one index has, the planner takes that one. Asked whether there is an
      -- earlier one it takes whichever its statistics, mostly of an empty queue, let look as good, and goes through all
      -- that the deal ever had.
      AND i.intent_id = (
          SELECT oldest.intent_id FROM write_intent oldest
          WHERE oldest.tenant_id = i.tenant_id AND oldest.opportunity_id = i.opportunity_id
            AND oldest.state IN ('NEW', 'SENT')
          ORDER BY oldest.decision_no, oldest.position LIMIT 1
      )
      AND (i.target_stage = '' OR EXISTS (
          SELECT FROM pipeline p WHERE p.tenant_id = i.tenant_id AND p.pipeline_key = i.pipeline_key
      ))
      AND (i.evidence IS NULL OR i.created_at < $3 OR EXISTS (
          SELECT FROM assessment_text t
          WHERE t.tenant_id = i.tenant_id AND t.assessment_key = i.assessment_key AND t.version = i.assessment_version
      ))
    ORDER BY i.lane_rank, i.position
    LIMIT $4
"""
# The first of each lane and of those on their way, in orders that just one index has: a minimum over all would read the
# whole queue, every other second. Asked for a lane by equality, its place in the order would go without saying.
_FIRSTS = [
    f"""(SELECT created_at FROM write_intent
         WHERE tenant_id = $1 AND state = 'NEW' AND lane_rank BETWEEN {rank} AND {rank}
         ORDER BY lane_rank, position LIMIT 1)"""  # noqa: S608 - numbers of our own
    for rank in range(len(Lane))
]
_OLDEST = f"""
    SELECT least({", ".join(_FIRSTS)},
        (SELECT created_at FROM write_intent WHERE tenant_id = $1 AND state = 'SENT' ORDER BY due_at LIMIT 1))
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Sent:
    """An intent on its way, with what each of its attempts sent, by write id."""

    intent: Mapping[str, Any]
    attempts: Mapping[str, Mapping[str, Any]]


class IntentRepository:
    """The intents of one tenant."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Keep new intents; those that are there already stay as they are. Whatever stands before a stage in its
        opportunity's queue gets the stage's lane."""
        if not rows:
            return
        await bulk.insert(self._session, write_intent, self._tenant_id, rows, conflict="DO NOTHING")
        urgent = sorted({row["opportunity_id"] for row in rows if row["target_stage"]})
        if urgent:
            await (await driver_of(self._session)).execute(_HURRY, self._tenant_id, urgent)

    async def due(self, now: datetime, limit: int) -> list[dict[str, Any]]:
        """The oldest unfinished intent of each opportunity, where that one may be sent now: stages first. `superseded`
        tells that a newer decision's stage went before."""
        driver = await driver_of(self._session)
        return [dict(row) for row in await driver.fetch(_DUE, self._tenant_id, now, now - TEXT_PATIENCE, limit)]

    async def sent_due(self, now: datetime, limit: int) -> list[Sent]:
        """Intents on their way whose outcome has to be found out by reading."""
        i = write_intent.c
        attempts = (
            select(func.jsonb_object_agg(write_attempt.c.write_id, write_attempt.c.sent))
            .where(write_attempt.c.tenant_id == i.tenant_id, write_attempt.c.intent_id == i.intent_id)
            .scalar_subquery()
        )
        statement = (
            select(write_intent, attempts.label("sent_as"))
            .where(i.tenant_id == self._tenant_id, i.state == IntentState.SENT, i.due_at <= now)
            .order_by(i.due_at)
            .limit(limit)
        )
        found = [dict(row) for row in (await self._session.execute(statement)).mappings()]
        return [Sent(row, row.pop("sent_as") or {}) for row in found]

    async def attempts_of(self, intent_ids: Iterable[UUID]) -> dict[UUID, list[str]]:
        """The write ids of all attempts of each intent."""
        a = write_attempt.c
        statement = (
            select(a.intent_id, func.array_agg(a.write_id))
            .where(a.tenant_id == self._tenant_id, a.intent_id.in_(list(intent_ids)))
            .group_by(a.intent_id)
        )
        return {row[0]: list(row[1]) for row in await self._session.execute(statement)}

    async def postpone(self, intent_ids: Sequence[UUID], until: datetime) -> None:
        """Leave intents on their way alone until then: somebody is finding out about them."""
        if intent_ids:
            i = write_intent.c
            await self._session.execute(
                update(write_intent)
                .where(i.tenant_id == self._tenant_id, i.intent_id.in_(intent_ids), i.state == IntentState.SENT)
                .values(due_at=until)
            )

    async def oldest_unfinished(self) -> datetime | None:
        """When the oldest intent was made that the CRM has not taken yet; of those on their way, the one sent first."""
        driver = await driver_of(self._session)
        # What is ordered by an index goes before what has to be sorted, whatever either seems to cost.
        await driver.execute("SET LOCAL enable_sort = off")
        return await driver.fetchval(_OLDEST, self._tenant_id)

    async def unfinished_count(self) -> int:
        """How many intents the CRM has not taken yet, counted no further than MOST_COUNTED."""
        i = write_intent.c
        unfinished = select(i.intent_id).where(i.tenant_id == self._tenant_id, text("state IN ('NEW', 'SENT')"))
        counted = unfinished.limit(MOST_COUNTED).subquery()
        return (await self._session.execute(select(func.count()).select_from(counted))).scalar_one()

    async def parked(self) -> tuple[int, datetime | None]:
        """How many intents wait for a person, and since when."""
        i = write_intent.c
        parked = select(i.updated_at).where(i.tenant_id == self._tenant_id, i.state == IntentState.PARKED)
        oldest = parked.order_by(i.position).limit(MOST_COUNTED).subquery()
        statement = select(func.count(), func.min(oldest.c.updated_at)).select_from(oldest)
        count, since = (await self._session.execute(statement)).one()
        return count, since

    async def abandon_sent(self, now: datetime) -> int:
        """Let every intent on its way be found out at once: whoever sent them is gone. Their number."""
        i = write_intent.c
        statement = (
            update(write_intent)
            .where(i.tenant_id == self._tenant_id, i.state == IntentState.SENT)
            .values(due_at=now)
            .returning(i.intent_id)
        )
        return len((await self._session.execute(statement)).all())

    def record_attempts(self, rows: Sequence[dict[str, Any]]) -> None:
        """Note, with the commit, what is about to be sent."""
        bulk.defer(self._session, write_attempt, rows)

    async def move(self, rows: Sequence[dict[str, Any]], *from_states: IntentState) -> set[UUID]:
        """Change intents, each to values of its own, where they still are in one of the states; their ids. Replies
        and echoes of the same writes do not block each other.
        IntentTransitionInvalid when one of the states does not lead to a new one."""
        for to in {IntentState(row["state"]) for row in rows if "state" in row}:
            for state in from_states:
                if state is not to:
                    advance(state, to)
        return await bulk.update(
            self._session,
            write_intent,
            self._tenant_id,
            "intent_id",
            rows,
            # IS TRUE so that no index is used for it: by statistics of an empty queue the planner would look for the
            # rows in these states, and so go through the whole queue each time.
            where="(kept.state = any($1)) IS TRUE",
            values=[from_states],
        )

    async def by_ids(self, intent_ids: Iterable[UUID]) -> dict[UUID, dict[str, Any]]:
        """These intents by their ids."""
        i = write_intent.c
        statement = select(write_intent).where(i.tenant_id == self._tenant_id, i.intent_id.in_(list(intent_ids)))
        return {row["intent_id"]: dict(row) for row in (await self._session.execute(statement)).mappings()}

    async def ledger(self, write_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """What we sent under these ids, with its intent, as far as they are ours."""
        a = write_attempt.c
        statement = (
            select(a.write_id.label("attempt_id"), a.sent, write_intent)
            .join(
                write_intent,
                and_(write_intent.c.tenant_id == a.tenant_id, write_intent.c.intent_id == a.intent_id),
            )
            .where(a.tenant_id == self._tenant_id, a.write_id.in_(list(write_ids)))
        )
        return {row["attempt_id"]: dict(row) for row in (await self._session.execute(statement)).mappings()}

    async def conflicts(self, limit: int) -> list[dict[str, Any]]:
        """Conflicts of which nobody was told yet what the CRM holds instead."""
        i = write_intent.c
        statement = (
            select(i.intent_id, i.opportunity_id, i.write_id, i.traceparent, i.updated_at)
            .where(
                i.tenant_id == self._tenant_id,
                i.state == IntentState.CONFLICT,
                i.conflict_observed_at.is_(None),
            )
            .order_by(i.position)
            .limit(limit)
        )
        return [dict(row) for row in (await self._session.execute(statement)).mappings()]

    async def unechoed(self, since: datetime, until: datetime, limit: int) -> list[str]:
        """Opportunities with a write confirmed in that time whose echo has not come; of the first so many writes."""
        i = write_intent.c
        first = (
            select(i.opportunity_id)
            .where(
                i.tenant_id == self._tenant_id,
                i.state == IntentState.CONFIRMED,
                i.confirmed_at >= since,
                i.confirmed_at < until,
            )
            .order_by(i.confirmed_at)
            .limit(limit)
            .subquery()
        )
        return list((await self._session.execute(select(first.c.opportunity_id).distinct())).scalars())

    async def get(self, intent_id: UUID) -> dict[str, Any] | None:
        """One intent."""
        return (await self.by_ids([intent_id])).get(intent_id)

    async def page(
        self, after: int | None, limit: int, state: str | None, opportunity_id: str | None
    ) -> list[dict[str, Any]]:
        """Intents, the newest first, before the position."""
        i = write_intent.c
        before = [] if after is None else [i.position < after]
        newest = select(write_intent).where(i.tenant_id == self._tenant_id, *before).order_by(i.position.desc())
        if opportunity_id is not None:
            statement = newest.where(i.opportunity_id == opportunity_id).limit(limit)
            if state is not None:
                statement = statement.where(i.state == state)
        elif state is not None:
            statement = newest.where(i.state == state).limit(limit)
        else:
            # There is an index by state and position: a page of each state, merged, serves without another one.
            pages = (newest.where(i.state == each).limit(limit).subquery() for each in IntentState)
            merged = union_all(*(select(page) for page in pages)).subquery()
            statement = select(merged).order_by(merged.c.position.desc()).limit(limit)
        return [dict(row) for row in (await self._session.execute(statement)).mappings()]
