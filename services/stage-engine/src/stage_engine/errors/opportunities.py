"""Refusals about an opportunity or another subject."""

from uuid import UUID

from kit.http.problems import FieldError, InvalidProblem, NotFoundProblem

# Types of subjects, and what their operations are found under.
PLURALS = {"opportunity": "opportunities", "lead": "leads", "account": "accounts"}


class OpportunityNotFound(NotFoundProblem):
    """A subject that is not there, or of another type: then `is_a` says where to look."""

    code = "opportunity_not_found"

    def __init__(self, record_id: str, object_type: str = "opportunity", is_a: str = "") -> None:
        text = f"There is no {object_type} {record_id!r}."
        if is_a in PLURALS:
            text += f" It is of type {is_a}: look at /v1/{PLURALS[is_a]}/{record_id}."
        super().__init__(text)
        self.code = f"{object_type}_not_found"


class DecisionNotFound(NotFoundProblem):
    code = "decision_not_found"

    def __init__(self, decision_id: UUID) -> None:
        super().__init__(f"There is no decision {decision_id}.")


class EvidenceNotFound(NotFoundProblem):
    code = "evidence_not_found"

    def __init__(self, record_id: str, submission_id: str) -> None:
        super().__init__(
            f"No decision on {record_id!r} was made on a submission {submission_id!r}. Its `scores` and its decisions "
            "name those that there are."
        )


class FactInvalid(InvalidProblem):
    code = "fact_invalid"

    def __init__(self, index: int, member: str, detail: str) -> None:
        super().__init__(detail, errors=[FieldError(f"/facts/{index}/{member}", self.code, detail)])
