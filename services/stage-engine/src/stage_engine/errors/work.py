"""Refusals about actions, calendars and assignments."""

from collections.abc import Sequence
from uuid import UUID

from kit.http.problems import ConflictProblem, FieldError, InvalidProblem, NotFoundProblem

from stage_engine.domain.finding import LintFinding
from stage_engine.records.work import ActionRecord


class ActionNotFound(NotFoundProblem):
    code = "action_not_found"

    def __init__(self, action_id: UUID) -> None:
        super().__init__(f"There is no action {action_id}.")


class ActionSettledBefore(ConflictProblem):
    code = "action_settled"

    def __init__(self, action: ActionRecord) -> None:
        text = f"The action is {action.state} since {action.settled_at:%Y-%m-%dT%H:%M:%SZ}"
        super().__init__(f"{text}, as {action.settled_by} said: the first word counts.")


class CalendarNotFound(NotFoundProblem):
    code = "calendar_not_found"

    def __init__(self, scope: str) -> None:
        super().__init__(
            f"No hours were put for {scope!r}: those of the team or tenant count, or Monday to Friday, 9 to 17 UTC. "
            'Put the first ones with If-Match "0".'
        )


class CalendarInvalid(InvalidProblem):
    code = "calendar_invalid"

    def __init__(self, member: str, detail: str) -> None:
        super().__init__(detail, errors=[FieldError(f"/{member}", self.code, detail)])


class AssignmentRulesNotFound(NotFoundProblem):
    code = "assignment_rules_not_found"

    def __init__(self, object_type: str) -> None:
        super().__init__(
            f"No rules assign records of type {object_type!r}: each stays with the owner that the CRM shows. "
            'Put the first ones with If-Match "0".'
        )


class AssignmentRulesInvalid(InvalidProblem):
    code = "assignment_rules_invalid"

    def __init__(self, findings: Sequence[LintFinding]) -> None:
        errors = [FieldError(each.pointer, each.code, each.message) for each in findings]
        number = f"{len(errors)} errors" if len(errors) > 1 else "an error"
        super().__init__(f"The assignment rules have {number}.", errors=errors)


class PersonUnknown(InvalidProblem):
    code = "person_unknown"

    def __init__(self, person_id: str) -> None:
        detail = f"The CRM has no active user {person_id!r}. Name one who is there."
        super().__init__(detail, errors=[FieldError("/person_id", self.code, detail)])


class TooManyRoles(ConflictProblem):
    """A subject has as many roles as it may have."""

    code = "too_many_roles"

    def __init__(self, most: int) -> None:
        super().__init__(f"It has {most} roles, and may have no more. Give one of these to another person instead.")


class ZoneUnknown(InvalidProblem):
    code = "zone_unknown"

    def __init__(self, zone: str) -> None:
        detail = f"There is no time zone {zone!r}. Name one such as Europe/Berlin."
        super().__init__(detail, errors=[FieldError("/query/zone", self.code, detail)])


class ObligationUnknown(InvalidProblem):
    code = "obligation_unknown"

    def __init__(self, key: str, there: Sequence[str]) -> None:
        detail = f"No pipeline in force declares the obligation {key!r}. There are {', '.join(there)}."
        super().__init__(detail, errors=[FieldError("/query/key", self.code, detail)])
