"""Holds over HTTP."""

from fastapi import Response
from kit.http.auth import Caller, requires
from kit.http.etag import IfMatch, etag
from kit.http.web import Uow, router

from stage_engine.endpoints.opportunities import OpportunityId, shown_decision
from stage_engine.schemas.holds import HoldBody, ResumeBody
from stage_engine.schemas.opportunities import DecisionOut
from stage_engine.service.deciding import Decided
from stage_engine.service.holding import Holding

router = router("opportunities", dependencies=[requires("transitions:write")])


@router.post("/opportunities/{opportunity_id}/hold", status_code=201)
async def hold_opportunity(
    opportunity_id: OpportunityId, body: HoldBody, expected: IfMatch, uow: Uow, caller: Caller, response: Response
) -> DecisionOut:
    """Put the opportunity off. Its stage stays; rules do not move it, its timers rest, and its age leaves out the time
    on hold. What comes meanwhile counts when it goes on. The reply is the decision: look at `outcome`."""
    return _reply(await Holding(uow, caller).hold(opportunity_id, body, expected), response)


@router.post("/opportunities/{opportunity_id}/resume", status_code=201)
async def resume_opportunity(
    opportunity_id: OpportunityId, body: ResumeBody, expected: IfMatch, uow: Uow, caller: Caller, response: Response
) -> DecisionOut:
    """Go on with an opportunity on hold. Rules are asked about all that came in the meantime."""
    return _reply(await Holding(uow, caller).resume(opportunity_id, body, expected), response)


def _reply(decided: Decided, response: Response) -> DecisionOut:
    response.headers["ETag"] = etag(decided.opportunity.revision)
    response.headers["Location"] = f"/v1/decisions/{decided.record.decision_id}"
    return shown_decision(decided.record)
