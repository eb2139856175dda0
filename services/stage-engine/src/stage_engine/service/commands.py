"""A person moves a deal."""

from kit.database.unit_of_work import UnitOfWork
from kit.http.audit import record
from kit.http.auth import Principal
from kit.http.etag import check_revision
from kit.ids import uuid7

from stage_engine.domain.decision import Code
from stage_engine.domain.inputs import Command
from stage_engine.errors import OpportunityNotFound, StageUnknown
from stage_engine.schemas.deals import TransitionRequest
from stage_engine.service.deciding import Arrival, Deals, Decided
from stage_engine.service.rules import Rules

READ_ANY = "opportunities:read-any"
# The strongest role a caller holds is the one that acts.
_ROLES = ("admin", "manager", "rep")


def owner_of(caller: Principal) -> str | None:
    """Whose deals the caller may see: their own, or None for everybody's."""
    return None if caller.may(READ_ANY) else caller.subject


async def command_transition(
    uow: UnitOfWork, caller: Principal, opportunity_id: str, request: TransitionRequest, expected_revision: int
) -> Decided:
    """The decision on the command, also when it is a refusal. PreconditionFailedProblem when the deal has moved on:
    then nothing is logged, and the command can be given again."""
    deals = Deals(uow, Rules(uow))
    deal = (await deals.load([opportunity_id])).get(opportunity_id)
    owner = owner_of(caller)
    if deal is None or owner not in (None, deal.owner_id):
        raise OpportunityNotFound(f"there is no opportunity {opportunity_id!r}")
    command = Command(
        command_id=str(uuid7()),
        opportunity_id=opportunity_id,
        to_stage=request.to_stage,
        expected_revision=expected_revision,
        actor=caller.subject,
        role=next((role for role in _ROLES if role in caller.roles), ""),
        reason_code=request.reason_code,
        text=request.text,
        override=request.override,
        skip=request.skip,
        expires_at=request.expires_at,
    )
    (decided,) = await deals.decide([Arrival(command)])
    for reason in decided.decision.reasons:
        if reason.code is Code.STALE_REVISION:
            check_revision(expected_revision, deal.revision)
        if reason.fact == "command.to_stage":
            raise StageUnknown(reason.message)
    detail = {
        "decision_id": str(decided.row["decision_id"]),
        "outcome": decided.decision.outcome.value,
        "to_stage": request.to_stage,
        "override": request.override,
    }
    await record(uow, caller, "opportunity.transition_requested", opportunity_id, **detail)
    return decided
