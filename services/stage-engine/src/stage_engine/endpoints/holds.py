"""Holds over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Body, Response
from kit.http.auth import Caller, requires
from kit.http.etag import IfMatch, etag
from kit.http.web import Uow, router

from stage_engine.endpoints.opportunities import SubjectId, shown_decision
from stage_engine.errors.opportunities import PLURALS
from stage_engine.schemas.holds import HoldBody, ResumeBody
from stage_engine.schemas.opportunities import DecisionOut
from stage_engine.service.deciding import Decided
from stage_engine.service.holding import Holding

# Nothing has to be said: the body may be left out.
Resumption = Annotated[ResumeBody, Body(default_factory=ResumeBody)]


def holds(object_type: str, plural: str) -> APIRouter:
    """Putting subjects of one type off, and going on with them."""
    api = router(plural, dependencies=[requires("transitions:write")])

    @api.post(f"/{plural}/{{record_id}}/hold", name=f"hold_{object_type}", status_code=201)
    async def hold(
        record_id: SubjectId, body: HoldBody, expected: IfMatch, uow: Uow, caller: Caller, response: Response
    ) -> DecisionOut:
        """Put the subject off. Its stage stays; rules do not move it, its timers rest, and its age leaves out the time
        on hold. What comes meanwhile counts when it goes on. The reply is the decision: look at `outcome`."""
        return reply(await Holding(uow, caller, object_type).hold(record_id, body, expected), response)

    @api.post(f"/{plural}/{{record_id}}/resume", name=f"resume_{object_type}", status_code=201)
    async def resume(
        record_id: SubjectId, body: Resumption, expected: IfMatch, uow: Uow, caller: Caller, response: Response
    ) -> DecisionOut:
        """Go on with a subject on hold. Rules are asked about all that came in the meantime."""
        return reply(await Holding(uow, caller, object_type).resume(record_id, body, expected), response)

    return api


HOLDS = [holds(object_type, plural) for object_type, plural in PLURALS.items()]


def reply(decided: Decided, response: Response) -> DecisionOut:
    """The decision, with the revision and the address that it has."""
    response.headers["ETag"] = etag(decided.opportunity.revision)
    response.headers["Location"] = f"/v1/decisions/{decided.record.decision_id}"
    return shown_decision(decided.record)
