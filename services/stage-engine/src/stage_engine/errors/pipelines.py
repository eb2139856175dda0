"""Refusals about pipelines, their versions and templates."""

from collections.abc import Iterable, Sequence

from kit.http.problems import ConflictProblem, FieldError, InvalidProblem, NotFoundProblem

from stage_engine.domain.finding import LintFinding


class PipelineNotFound(NotFoundProblem):
    code = "pipeline_not_found"

    def __init__(self, key: str) -> None:
        super().__init__(f"There is no pipeline {key!r}.")


class PipelineVersionNotFound(NotFoundProblem):
    code = "pipeline_not_found"

    def __init__(self, key: str, version: int) -> None:
        text = f"The pipeline {key!r} has no published version {version}."
        super().__init__(f"{text} GET /v1/pipelines/{key}/versions lists those that there are.")


class TemplateNotFound(NotFoundProblem):
    code = "template_not_found"

    def __init__(self, key: str, there: Iterable[str]) -> None:
        super().__init__(f"There is no template {key!r}. There are {', '.join(sorted(there))}.")


class PipelineNotPublished(NotFoundProblem):
    code = "pipeline_not_found"

    def __init__(self, key: str | None) -> None:
        super().__init__(f"No pipeline {key!r} is published." if key else "No default pipeline is published.")


class TemplateRefused(ConflictProblem):
    """Something that a process template brings is there already, with another content."""

    code = "template_refused"

    def __init__(self, found: Sequence[tuple[str, str]]) -> None:
        errors = [FieldError(pointer, self.code, words) for pointer, words in found]
        detail = (
            "Something of another content is there already, and stays as it is. "
            "Install the template with another `as`, which begins all its keys."
        )
        super().__init__(detail, errors=errors)


class PoolUnknown(InvalidProblem):
    code = "pool_unknown"

    def __init__(self, pools: Sequence[str], known: Sequence[str]) -> None:
        errors = [FieldError(f"/people/{pool}", self.code, f"{pool!r} is no pool of the template.") for pool in pools]
        there = f"It has {', '.join(known)}." if known else "It has none."
        super().__init__(f"Only people of the template's pools can be named. {there}", errors=errors)


class PipelineExists(ConflictProblem):
    code = "pipeline_exists"

    def __init__(self, key: str) -> None:
        super().__init__(f"There is a pipeline {key!r} already.")


class RuleNotFound(NotFoundProblem):
    code = "rule_not_found"

    def __init__(self, key: str, rule_id: str) -> None:
        super().__init__(f"No version of {key!r} that is in use has a rule {rule_id!r}.")


class DefaultTaken(ConflictProblem):
    code = "default_taken"

    def __init__(self, key: str, opportunities: int) -> None:
        super().__init__(
            f"{key!r} is the default pipeline, with {opportunities} open opportunities. They would stay there, and new "
            "ones would come here. Publish with `take_over_default`, or make the draft no default."
        )


class ReleaseIncomplete(ConflictProblem):
    code = "release_incomplete"

    def __init__(self, missing: Sequence[tuple[str, str]]) -> None:
        errors = [FieldError(f"/assessments/{key}", self.code, detail) for key, detail in missing]
        detail = "Not all that is to be released is there. Publish what the errors name, and try again."
        super().__init__(detail, errors=errors)


class PipelineInvalid(InvalidProblem):
    code = "pipeline_invalid"

    def __init__(self, findings: Sequence[LintFinding]) -> None:
        errors = [FieldError(each.pointer, each.code, each.message) for each in findings]
        number = f"{len(errors)} errors" if len(errors) > 1 else "an error"
        super().__init__(f"The pipeline has {number}.", errors=errors)


class StageUnknown(InvalidProblem):
    code = "stage_unknown"

    def __init__(self, pipeline_key: str, stage_key: str, there: Iterable[str], kind: str = "") -> None:
        detail = f"The pipeline {pipeline_key!r} has no {kind}stage {stage_key!r}. It has {', '.join(there)}."
        super().__init__(detail, errors=[FieldError("/to_stage", self.code, detail)])
