"""How this service refuses.

NotFoundProblem
├── AssessmentNotFound, VersionNotFound, TemplateNotFound
├── OpportunityNotFound, SubmissionNotFound, HeldSubmissionNotFound
└── OpportunityUnknown     not known as theirs, yet they have handed in answers for it
ConflictProblem
├── AssessmentKeyTaken
├── VersionAlreadyRetired
├── HeldSubmissionSettled  accepted or discarded before
├── SubmissionExists       its id was used meanwhile
└── SubmissionMismatch     the same id with another body
InvalidProblem
├── DefinitionInvalid      a draft that cannot be published
└── SubmissionInvalid      answers, version or definition that cannot be accepted
"""

from collections.abc import Sequence

from forms.lint import Finding
from kit.http.problems import ConflictProblem, FieldError, InvalidProblem, NotFoundProblem, Problem, pointer

from assessment.domain.answers import CaptureRefused


class AssessmentNotFound(NotFoundProblem):
    code = "assessment_not_found"


class VersionNotFound(NotFoundProblem):
    code = "version_not_found"


class TemplateNotFound(NotFoundProblem):
    code = "template_not_found"


class OpportunityNotFound(NotFoundProblem):
    code = "opportunity_not_found"


class SubmissionNotFound(NotFoundProblem):
    code = "submission_not_found"


class OpportunityUnknown(NotFoundProblem):
    code = "opportunity_unknown"


class HeldSubmissionNotFound(NotFoundProblem):
    code = "held_submission_not_found"


class HeldSubmissionSettled(ConflictProblem):
    code = "held_submission_settled"


class SubmissionExists(ConflictProblem):
    code = "submission_exists"


class AssessmentKeyTaken(ConflictProblem):
    code = "assessment_key_taken"


class VersionAlreadyRetired(ConflictProblem):
    code = "version_already_retired"


class SubmissionMismatch(ConflictProblem):
    code = "payload_mismatch"


class DefinitionInvalid(InvalidProblem):
    code = "definition_invalid"

    def __init__(self, findings: Sequence[Finding]) -> None:
        errors = [FieldError(f.pointer, f.code, f.message) for f in findings]
        number = f"{len(errors)} errors" if len(errors) > 1 else "an error"
        super().__init__(f"The draft has {number} and cannot be published.", errors=errors)


class SubmissionInvalid(InvalidProblem):
    code = "validation_failed"


_PROBLEM_OF: dict[str, type[Problem]] = {
    "submission_not_found": SubmissionNotFound,
    "payload_mismatch": SubmissionMismatch,
}


def problem_of(refusal: CaptureRefused) -> Problem:
    """A refused capture as the answer to a single call; every other code is a 422."""
    kind = _PROBLEM_OF.get(refusal.code, SubmissionInvalid)
    return kind(refusal.detail, code=refusal.code, errors=field_errors(refusal), extra=refusal.facts)


def field_errors(refusal: CaptureRefused, *base: str | int) -> list[FieldError]:
    """The faults with JSON pointers from the place of the capture in the request."""
    return [FieldError(pointer(*base, *fault.path), fault.code, fault.message) for fault in refusal.faults]
