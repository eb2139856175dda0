"""A person moves an opportunity."""

from dataclasses import replace

from kit.database.unit_of_work import UnitOfWork
from kit.http.auth import Principal
from kit.http.etag import check_revision
from kit.ids import utc_now, uuid7
from kit.operators.audit import record

from stage_engine.domain.decision import Code
from stage_engine.domain.facts import PERSON, FactInForce
from stage_engine.domain.inputs import Command
from stage_engine.domain.literals import literal_of
from stage_engine.domain.pipeline import Pipeline
from stage_engine.errors.opportunities import FactInvalid
from stage_engine.errors.pipelines import StageUnknown
from stage_engine.schemas.opportunities import TransitionRequest
from stage_engine.service.deciding import Arrival, Decided, Deciding
from stage_engine.service.rulesets import Rulesets
from stage_engine.service.subjects import demanded

OVERRIDE = "transitions:override"
# How many facts a refusal names.
KNOWN_FACTS = 20
# The strongest role a caller holds is the one on record.
_ROLES = ("admin", "manager", "rep")


def strongest_role(caller: Principal) -> str:
    """The role that is put on record with what a caller does."""
    return next((role for role in _ROLES if role in caller.roles), "")


class Commanding:
    def __init__(self, uow: UnitOfWork, caller: Principal) -> None:
        self._uow = uow
        self._caller = caller
        self._rulesets = Rulesets(uow)
        self._deciding = Deciding(uow, self._rulesets)

    async def transition(
        self, object_type: str, opportunity_id: str, request: TransitionRequest, expected_revision: int
    ) -> Decided:
        """The decision on the command, also when it is a refusal. PreconditionFailedProblem when the opportunity has
        moved on: then nothing is logged, and the command can be given again."""
        if request.override:
            self._caller.demand(OVERRIDE)
        opportunity, pipeline = await demanded(
            self._deciding, self._rulesets, self._caller, object_type, opportunity_id
        )
        command = self._command(opportunity_id, request, expected_revision)
        if request.facts:
            command = replace(command, facts=_supplied(pipeline, request))
        decided = (await self._deciding.decide([Arrival(command)]))[0]
        for reason in decided.decision.reasons:
            if reason.code is Code.STALE_REVISION:
                check_revision(expected_revision, opportunity.revision)
            if reason.fact == "command.to_stage":
                raise StageUnknown(pipeline.key, request.to_stage, (stage.key for stage in pipeline.stages))
        detail = {
            "decision_id": str(decided.record.decision_id),
            "outcome": decided.decision.outcome.value,
            "to_stage": request.to_stage,
            "override": request.override,
        }
        await record(self._uow, self._caller, "opportunity.transition_requested", opportunity_id, **detail)
        return decided

    def _command(self, opportunity_id: str, request: TransitionRequest, expected_revision: int) -> Command:
        return Command(
            command_id=str(uuid7()),
            opportunity_id=opportunity_id,
            to_stage=request.to_stage,
            expected_revision=expected_revision,
            actor=self._caller.person_id,
            role=strongest_role(self._caller),
            may_override=self._caller.may(OVERRIDE),
            reason_code=request.reason_code,
            text=request.text,
            override=request.override,
            skip=request.skip,
            expires_at=request.expires_at,
        )


def _supplied(pipeline: Pipeline, request: TransitionRequest) -> tuple[FactInForce, ...]:
    """The facts that the person adds, each of the type that the pipeline gives it."""
    now = utc_now()
    found: list[FactInForce] = []
    for i, fact in enumerate(request.facts):
        kind = pipeline.kind_of_fact(fact.name)
        if kind is None or kind.type is None:
            known = ", ".join(sorted(pipeline.reads)[:KNOWN_FACTS])
            raise FactInvalid(i, "name", f"{fact.name} is no fact that {pipeline.key} knows. It reads {known}.")
        try:
            value = None if fact.value is None else literal_of(fact.value, kind.type)
        except ValueError as error:
            raise FactInvalid(i, "value", f"{fact.name} is of type {kind.type}: {error}.") from None
        found.append(FactInForce(fact.name, value, PERSON, now))
    return tuple(found)
