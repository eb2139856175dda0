"""How this service refuses.

NotFoundProblem
├── ProfileNotFound, ProfileTemplateNotFound
├── ScoreNotFound, OpportunityNotFound
└── ScorePending           the submission is here, its scoring profile is not
ConflictProblem
├── ProfileAlreadyPublished
└── AssessmentUnknown      its publication has not arrived here yet: try again
InvalidProblem
├── ProfileInvalid         a draft with errors
└── AnswersInvalid         answers the assessment would refuse
"""

from collections.abc import Sequence

from forms.check import AnswerProblem
from forms.lint import Finding
from kit.http.problems import ConflictProblem, FieldError, InvalidProblem, NotFoundProblem, pointer


class ProfileNotFound(NotFoundProblem):
    code = "profile_not_found"


class ProfileTemplateNotFound(NotFoundProblem):
    code = "template_not_found"


class ScoreNotFound(NotFoundProblem):
    code = "score_not_found"


class OpportunityNotFound(NotFoundProblem):
    code = "opportunity_not_found"


class ScorePending(NotFoundProblem):
    code = "score_pending"


class ProfileAlreadyPublished(ConflictProblem):
    code = "profile_already_published"


class AssessmentUnknown(ConflictProblem):
    code = "assessment_unknown"

    def __init__(self, assessment_key: str, version: int) -> None:
        super().__init__(
            f"Version {version} of {assessment_key!r} is not known here yet. Publish the assessment, then try again.",
            headers={"Retry-After": "1"},
        )


class ProfileInvalid(InvalidProblem):
    code = "profile_invalid"

    def __init__(self, findings: Sequence[Finding]) -> None:
        errors = [FieldError(f"/profile{each.pointer}", each.code, each.message) for each in findings]
        number = f"{len(errors)} errors" if len(errors) > 1 else "an error"
        super().__init__(f"The profile has {number}.", errors=errors)


class AnswersInvalid(InvalidProblem):
    code = "validation_failed"

    def __init__(self, problems: Sequence[AnswerProblem]) -> None:
        errors = [FieldError(pointer("answers", each.question_key), each.code, each.message) for each in problems]
        super().__init__(f"{len(errors)} answers are not valid.", errors=errors)
