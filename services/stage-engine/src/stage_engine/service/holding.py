"""A person puts an opportunity off, or goes on with it."""

from kit.database.unit_of_work import UnitOfWork
from kit.http.auth import Principal
from kit.http.etag import check_revision
from kit.ids import uuid7
from kit.operators.audit import record

from stage_engine.domain.requests import HoldRequest, ResumeRequest
from stage_engine.schemas.holds import HoldBody, ResumeBody
from stage_engine.service.deciding import Arrival, Decided, Deciding
from stage_engine.service.rulesets import Rulesets
from stage_engine.service.subjects import demanded


class Holding:
    """The decision on the wish, also when it is a refusal. PreconditionFailedProblem when the opportunity has moved on:
    then nothing is logged."""

    def __init__(self, uow: UnitOfWork, caller: Principal, object_type: str) -> None:
        self._uow = uow
        self._caller = caller
        self._object_type = object_type
        self._rulesets = Rulesets(uow)
        self._deciding = Deciding(uow, self._rulesets)

    async def hold(self, opportunity_id: str, body: HoldBody, expected_revision: int) -> Decided:
        fact = body.until_fact
        given = HoldRequest(
            command_id=str(uuid7()),
            opportunity_id=opportunity_id,
            expected_revision=expected_revision,
            actor=self._caller.person_id,
            reason=body.reason,
            until=body.until,
            until_day=body.until_date,
            fact=fact.fact if fact else "",
            cell=fact.cell if fact else "",
        )
        return await self._decide(given, "opportunity.hold_requested")

    async def resume(self, opportunity_id: str, body: ResumeBody, expected_revision: int) -> Decided:
        given = ResumeRequest(str(uuid7()), opportunity_id, expected_revision, self._caller.person_id, body.reason)
        return await self._decide(given, "opportunity.resume_requested")

    async def _decide(self, given: HoldRequest | ResumeRequest, action: str) -> Decided:
        opportunity_id = given.opportunity_id
        opportunity, _ = await demanded(self._deciding, self._rulesets, self._caller, self._object_type, opportunity_id)
        check_revision(given.expected_revision, opportunity.revision)
        decided = (await self._deciding.decide([Arrival(given)]))[0]
        outcome = decided.decision.outcome.value
        detail = {"decision_id": str(decided.record.decision_id), "outcome": outcome}
        await record(self._uow, self._caller, action, opportunity_id, **detail)
        return decided
