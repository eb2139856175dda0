"""A person gives a subject to a person: a choice that rules leave alone."""

from kit.database.unit_of_work import UnitOfWork
from kit.http.auth import Principal
from kit.ids import utc_now, uuid7
from kit.operators.audit import record

from stage_engine.domain.assigned import MOST_ROLES, Assigned
from stage_engine.domain.inputs import Assignment
from stage_engine.errors.work import PersonUnknown, TooManyRoles
from stage_engine.repository.assignments import AssignmentRepository
from stage_engine.schemas.assignment import AssignBody
from stage_engine.service.deciding import Arrival, Decided, Deciding
from stage_engine.service.rulesets import Rulesets
from stage_engine.service.subjects import demanded


class ByHand:
    """Assignments by the caller."""

    def __init__(self, uow: UnitOfWork, caller: Principal, object_type: str) -> None:
        self._uow = uow
        self._caller = caller
        self._object_type = object_type
        self._rulesets = Rulesets(uow)
        self._deciding = Deciding(uow, self._rulesets)

    async def assign(self, record_id: str, body: AssignBody) -> Decided:
        """The decision. PersonUnknown for one who has left, or whom the CRM does not have, TooManyRoles for a role
        beyond those that a subject may have."""
        subject, _ = await demanded(self._deciding, self._rulesets, self._caller, self._object_type, record_id)
        if body.role not in subject.assigned and len(subject.assigned) >= MOST_ROLES:
            raise TooManyRoles(MOST_ROLES)
        repository = AssignmentRepository(self._uow.session, self._uow.tenant_id)
        if not any(each.active for each in await repository.bench(self._object_type, [body.person_id])):
            raise PersonUnknown(body.person_id)
        choice = Assigned(body.role, body.person_id, "", "", body.reason, utc_now(), by_person=True)
        given = Assignment(str(uuid7()), record_id, 0, (choice,), self._caller.person_id)
        (decided,) = await self._deciding.decide([Arrival(given)])
        detail = {"role": body.role, "person_id": body.person_id}
        await record(self._uow, self._caller, "opportunity.assigned", record_id, **detail)
        return decided
