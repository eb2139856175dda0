"""Salesforce behind the port."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

import httpx
from kit.ids import utc_now

from crm_connector.crm import (
    Adopted,
    ChangeBatch,
    CrmFault,
    CrmRefused,
    CrmUnavailable,
    Lack,
    Related,
    UnreadChange,
    Usage,
)
from crm_connector.domain.actions import Carried, CrmAction
from crm_connector.domain.activities import Activity
from crm_connector.domain.fields import CrmField, FieldMapping
from crm_connector.domain.holds import Refusal, Scope
from crm_connector.domain.intents import Reply, Verdict
from crm_connector.domain.observation import CrmChange, CrmRecord, StageClock
from crm_connector.domain.people import CrmPerson
from crm_connector.domain.stages import CrmStage
from crm_connector.domain.writes import CrmWrite, SentFields
from crm_connector.salesforce import actions, activities, graph, people, plan, preflight, query
from crm_connector.salesforce.auth import Sessions
from crm_connector.salesforce.changes import CONTACT_ROLE, Unreadable, changes_of
from crm_connector.salesforce.errors import (
    NEVER_HEARD_OF,
    ApiRefusal,
    LimitExceeded,
    NotReached,
    StillWorking,
    remedy,
    reply_of,
)
from crm_connector.salesforce.http import TIMEOUT_SECONDS
from crm_connector.salesforce.objects import STANDARD, Objects
from crm_connector.salesforce.pubsub import Fetched, PubSub
from crm_connector.salesforce.rest import Rest
from crm_connector.salesforce.rows import record_fields

TOPIC = "/data/ChangeEvents"
# How long to leave an org alone that refuses us or has no calls left.
_REFUSED_PAUSE = timedelta(seconds=30)
# A call that got no reply in time may go on in the org, for ten minutes in all: until then its absence proves nothing.
_STILL_WORKING = timedelta(minutes=10) - timedelta(seconds=TIMEOUT_SECONDS)
# Beyond it no further call is begun, so that the lease of the writes outlives the last one.
_PORTIONS_SECONDS = 60.0


class SalesforceCrm:
    """One org."""

    name = "salesforce"
    default_fields = plan.DEFAULT
    # The org serves ever fewer calls the longer they take.
    writes_at_once = 25
    evidence_objects: Sequence[str] = graph.EVIDENCE_OBJECTS

    def __init__(
        self,
        http: httpx.AsyncClient,
        rest: Rest,
        sessions: Sessions,
        pubsub: PubSub,
        objects: Objects = STANDARD,
    ) -> None:
        self._objects = objects
        self.subject_objects: Mapping[str, str] = plan.OBJECTS
        self._plan = plan.Plan(plan.EVERYWHERE, plan.DEFAULT)
        self._http = http
        self._sessions = sessions
        self._rest = rest
        self._pubsub = pubsub

    async def connect(self) -> str:
        session = await self._sessions.current()
        await self._rest.check_version()
        return session.org_id

    async def lacks(self) -> list[Lack]:
        return await preflight.lacks(self._rest, [self._objects[each] for each in self._plan.object_types])

    async def events_used(self) -> Usage | None:
        return await query.events_used(self._rest)

    def retry(self) -> None:
        self._sessions.retry()

    async def close(self) -> None:
        await self._pubsub.close()
        await self._http.aclose()

    async def fields(self, object_type: str) -> list[CrmField]:
        return await plan.fields_of(self._rest, object_type)

    async def adopt(self, mapping: FieldMapping, object_types: Sequence[str]) -> Adopted:
        self._plan = found = await plan.made(self._rest, mapping, object_types, self._objects)
        expected = plan.EVERYWHERE if mapping == plan.DEFAULT else mapping
        missing = expected.facts.keys() - found.mapping.facts.keys()
        return Adopted(found.key, found.object_types, tuple(sorted(missing)))

    async def stages(self) -> list[CrmStage]:
        return await query.stage_catalog(self._rest, self._plan)

    async def records(
        self, after: str = "", since: datetime | None = None, object_types: Sequence[str] | None = None
    ) -> AsyncGenerator[list[CrmRecord], None]:
        types = self._plan.object_types if object_types is None else object_types
        async with aclosing(query.record_pages(self._rest, self._plan, types, after, since)) as pages:
            async for page in pages:
                yield page

    async def concerned(self, related: Sequence[Related]) -> AsyncGenerator[list[CrmRecord], None]:
        accounts = [each.record_id for each in related if each.object == plan.OBJECTS["account"]]
        async with aclosing(query.pages_of_accounts(self._rest, self._plan, accounts)) as pages:
            async for page in pages:
                yield page
        roles = [each.record_id for each in related if each.object == CONTACT_ROLE]
        found = await query.opportunities_of_roles(self._rest, roles)
        for start in range(0, len(found), query.PAGE):
            yield await self.read(found[start : start + query.PAGE])

    async def activities(self, related: Sequence[Related]) -> list[Activity]:
        return await activities.read_activities(self._rest, self._plan, related, utc_now)

    async def read(self, record_ids: Sequence[str]) -> list[CrmRecord]:
        return await query.read_records(self._rest, self._plan, record_ids)

    async def deleted(self, since: datetime, until: datetime) -> list[str]:
        return await query.deleted(self._rest, self._plan.object_types, since, until)

    async def in_stage_since(self, records: Sequence[CrmRecord]) -> dict[str, StageClock]:
        return await query.stage_clocks(self._rest, records)

    async def people(self, after: str = "", since: datetime | None = None) -> AsyncGenerator[list[CrmPerson], None]:
        async with aclosing(people.person_pages(self._rest, after, since)) as pages:
            async for page in pages:
                yield page

    async def people_touched(self) -> AsyncGenerator[None, None]:
        async with aclosing(self._pubsub.subscribe(people.TOPIC, None)) as stream:
            async for fetched in stream:
                if fetched.events:
                    yield

    def sent_fields(self, write: CrmWrite) -> SentFields:
        return record_fields(write, self._objects[write.object_type])

    async def write(self, writes: Sequence[CrmWrite]) -> list[Reply]:
        replies: list[Reply] = []
        began = monotonic()
        for portion in graph.calls(writes):
            late = monotonic() - began > _PORTIONS_SECONDS
            replies += _unsent(portion) if late else await self._write(portion)
        return replies

    def _payload(self, writes: Sequence[CrmWrite]) -> dict[str, Any]:
        return graph.payload(writes, self._rest.base, self._objects)

    async def _write(self, writes: Sequence[CrmWrite]) -> list[Reply]:
        try:
            return await self._call(writes)
        except ApiRefusal as refusal:
            return await self._in_parts(writes, refusal)

    async def _in_parts(self, writes: Sequence[CrmWrite], refusal: ApiRefusal) -> list[Reply]:
        """Halves of a call that was refused as a whole tell whether the org refuses all, or a write in it."""
        replies = [reply_of(write.write_id, refusal) for write in writes]
        if len(writes) == 1 or remedy(refusal.status, refusal.code, refusal.message).scope is Scope.ORG:
            return [_of_a_call(reply) for reply in replies]
        half = len(writes) // 2
        parts = (writes[:half], writes[half:])
        outcomes: list[list[Reply] | ApiRefusal] = []
        for part in parts:
            try:
                outcomes.append(await self._call(part))
            except ApiRefusal as again:
                outcomes.append(again)
        if all(isinstance(outcome, ApiRefusal) for outcome in outcomes):
            return [_of_the_org(reply) for reply in replies]
        return [
            reply
            for part, outcome in zip(parts, outcomes, strict=True)
            for reply in (await self._in_parts(part, outcome) if isinstance(outcome, ApiRefusal) else outcome)
        ]

    async def _call(self, writes: Sequence[CrmWrite]) -> list[Reply]:
        """The replies of one call. ApiRefusal when it is refused as a whole."""
        path, body = f"{self._rest.base}/composite/graph", self._payload(writes)
        try:
            return graph.replies(writes, await self._rest.post(path, body, graph.REPLIES), self._objects)
        except ApiRefusal:
            raise
        except (CrmRefused, CrmUnavailable) as fault:
            return _all(writes, _verdict(fault), fault)

    async def carry_out(self, action: CrmAction) -> Carried:
        write_id = str(action.action_id)
        try:
            record_id = await actions.carry_out(self._rest, self._objects, action)
        except ApiRefusal as refusal:
            return Carried(reply_of(write_id, refusal, action.target))
        except CrmFault as fault:
            return Carried(_of_fault(write_id, _verdict(fault), fault))
        return Carried(Reply(write_id, Verdict.CONFIRMED), record_id)

    async def carried_out(self, action: CrmAction) -> Carried:
        write_id = str(action.action_id)
        try:
            record_id = await actions.carried_out(self._rest, self._objects, action)
        except CrmFault as fault:
            # What cannot be read now stays unknown.
            return Carried(_of_fault(write_id, Verdict.UNKNOWN, fault))
        verdict = Verdict.AGAIN if record_id is None else Verdict.CONFIRMED
        return Carried(Reply(write_id, verdict), record_id or "")

    async def changes(self, position: bytes | None) -> AsyncGenerator[ChangeBatch, None]:
        async with aclosing(self._pubsub.subscribe(TOPIC, position)) as stream:
            async for fetched in stream:
                yield _batch(fetched, self._plan)


def _batch(fetched: Fetched, following: plan.Plan) -> ChangeBatch:
    changes: list[CrmChange] = []
    related: dict[Related, None] = {}
    unread: list[UnreadChange] = []
    blind = False
    for event in fetched.events:
        try:
            if event.schema is None:
                raise Unreadable(event.fault)
            seen = changes_of(event.schema, event.payload, following)
            changes += seen.changes
            related |= dict.fromkeys(seen.related)
        except Unreadable as damaged:
            changes += damaged.gaps
            blind = blind or not damaged.gaps
            unread.append(UnreadChange(event.replay_id, TOPIC, event.schema_id, event.payload, str(damaged)))
    return ChangeBatch(changes, fetched.position, fetched.schema_id, unread, blind, tuple(related))


def _all(writes: Sequence[CrmWrite], verdict: Verdict, fault: CrmFault) -> list[Reply]:
    return [_of_fault(write.write_id, verdict, fault) for write in writes]


def _verdict(fault: CrmFault) -> Verdict:
    """Whether a call that failed certainly did nothing."""
    return Verdict.AGAIN if isinstance(fault, NotReached | LimitExceeded | CrmRefused) else Verdict.UNKNOWN


def _of_fault(write_id: str, verdict: Verdict, fault: CrmFault) -> Reply:
    code, wait, refusal = type(fault).__name__, timedelta(), None
    if isinstance(fault, StillWorking):
        wait = _STILL_WORKING
    elif isinstance(fault, CrmRefused | LimitExceeded):
        wait, refusal = _REFUSED_PAUSE, Refusal(Scope.ORG, "", (), code, str(fault))
    return Reply(write_id, verdict, code, str(fault), wait, came=False, refusal=refusal)


def _of_a_call(reply: Reply) -> Reply:
    """A refusal of a whole call, which held one write: it may be about that, or about the org."""
    if reply.refusal is not None and reply.refusal.scope is not Scope.ORG:
        return _of_the_org(reply)
    if reply.verdict is not Verdict.REFUSED:
        return reply
    found = NEVER_HEARD_OF
    return replace(reply, verdict=found.verdict, not_before=found.wait, most_attempts=found.most_attempts)


def _of_the_org(reply: Reply) -> Reply:
    """A refusal of a whole call, of which no part fared better."""
    refusal = Refusal(Scope.ORG, "", (), reply.code, reply.reason)
    wait = max(reply.not_before, _REFUSED_PAUSE)
    return replace(reply, verdict=Verdict.AGAIN, not_before=wait, most_attempts=None, refusal=refusal)


def _unsent(writes: Sequence[CrmWrite]) -> list[Reply]:
    reason = "The calls before this one took so long that it was put off."
    return [Reply(write.write_id, Verdict.AGAIN, "NOT_SENT", reason) for write in writes]
