"""Salesforce behind the port."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta

import httpx

from crm_connector.crm import ChangeBatch, CrmFault, CrmRefused, CrmUnavailable
from crm_connector.domain.intents import Reply, Verdict
from crm_connector.domain.observation import CrmOpportunity
from crm_connector.domain.stages import CrmStage
from crm_connector.domain.writes import CrmWrite, SentFields
from crm_connector.salesforce import graph, query
from crm_connector.salesforce.auth import Sessions
from crm_connector.salesforce.changes import FACT_FIELDS, changes_of
from crm_connector.salesforce.errors import ApiRefusal, LimitExceeded, NotReached, reply_of
from crm_connector.salesforce.pubsub import PubSub
from crm_connector.salesforce.rest import Rest

TOPIC = "/data/OpportunityChangeEvent"
# How long to leave an org alone that refuses us or has no calls left.
_REFUSED_PAUSE = timedelta(seconds=30)


class SalesforceCrm:
    """One org."""

    name = "salesforce"
    fact_fields: Mapping[str, str] = FACT_FIELDS
    # The org serves ever fewer calls the longer they take.
    writes_at_once = 25

    def __init__(self, http: httpx.AsyncClient, rest: Rest, sessions: Sessions, pubsub: PubSub) -> None:
        self._http = http
        self._sessions = sessions
        self._rest = rest
        self._pubsub = pubsub

    async def connect(self) -> str:
        session = await self._sessions.current()
        await self._rest.check_version()
        return session.org_id

    async def close(self) -> None:
        await self._pubsub.close()
        await self._http.aclose()

    async def stages(self) -> list[CrmStage]:
        return await query.stage_catalog(self._rest)

    async def opportunities(
        self, after: str = "", since: datetime | None = None
    ) -> AsyncGenerator[list[CrmOpportunity], None]:
        async with aclosing(query.opportunity_pages(self._rest, after, since)) as pages:
            async for page in pages:
                yield page

    async def read(self, opportunity_ids: Sequence[str]) -> list[CrmOpportunity]:
        return await query.read_opportunities(self._rest, opportunity_ids)

    def sent_fields(self, write: CrmWrite) -> SentFields:
        return graph.opportunity_fields(write)

    async def write(self, writes: Sequence[CrmWrite]) -> list[Reply]:
        replies: list[Reply] = []
        for portion in graph.calls(writes):
            replies += await self._write(portion)
        return replies

    async def _write(self, writes: Sequence[CrmWrite]) -> list[Reply]:
        try:
            body = await self._rest.post(f"{self._rest.base}/composite/graph", graph.payload(writes, self._rest.base))
        except ApiRefusal as refusal:
            return [reply_of(write.write_id, refusal) for write in writes]
        except (NotReached, LimitExceeded, CrmRefused) as fault:
            return _all(writes, Verdict.AGAIN, fault)
        except CrmUnavailable as fault:
            return _all(writes, Verdict.UNKNOWN, fault)
        return graph.replies(writes, body)

    async def changes(self, position: bytes | None) -> AsyncGenerator[ChangeBatch, None]:
        async with aclosing(self._pubsub.subscribe(TOPIC, position)) as stream:
            async for fetched in stream:
                changes = [change for schema, payload in fetched.events for change in changes_of(schema, payload)]
                yield ChangeBatch(changes, fetched.position, fetched.schema_id)


def _all(writes: Sequence[CrmWrite], verdict: Verdict, fault: CrmFault) -> list[Reply]:
    wait = timedelta() if isinstance(fault, NotReached) or verdict is Verdict.UNKNOWN else _REFUSED_PAUSE
    code = type(fault).__name__
    return [Reply(write.write_id, verdict, code, str(fault), not_before=wait, came=False) for write in writes]
