"""Refusals about migrations from one version of a pipeline to another."""

from collections.abc import Sequence
from uuid import UUID

from kit.http.problems import ConflictProblem, FieldError, InvalidProblem, NotFoundProblem

from stage_engine.domain.versions import Orphans
from stage_engine.records.pipelines import MigrationRecord

_NOWHERE = {
    "no_target": "version {} has no such stage",
    "target_closed": "version {} closes there, and a migration closes nothing",
}


class PlanIncomplete(ConflictProblem):
    code = "plan_incomplete"

    def __init__(self, version: int, nowhere: Sequence[Orphans]) -> None:
        named = [
            f"{o.opportunities} of version {o.version} {'have earned' if o.earned else 'are in'} {o.stage_key!r}"
            for o in nowhere
        ]
        errors = [
            FieldError(f"/stages/{o.stage_key}", o.code, f"{text}: {_NOWHERE[o.code].format(version)}.")
            for o, text in zip(nowhere, named, strict=True)
        ]
        detail = f"The plan has no place for live opportunities: {'; '.join(named)}. Name an open stage for each."
        super().__init__(detail, errors=errors)


class PlanStageUnknown(InvalidProblem):
    code = "stage_unknown"

    def __init__(self, stage_keys: Sequence[str]) -> None:
        errors = [
            FieldError(f"/stages/{key}", self.code, f"No version with live opportunities has a stage {key!r}.")
            for key in stage_keys
        ]
        super().__init__(f"The plan names stages that are not in use: {', '.join(stage_keys)}.", errors=errors)


class MigrationNotFound(NotFoundProblem):
    code = "migration_not_found"

    def __init__(self, migration_id: UUID) -> None:
        super().__init__(f"There is no migration {migration_id}.")


class MigrationUnderWay(ConflictProblem):
    code = "migration_under_way"

    def __init__(self, key: str) -> None:
        super().__init__(f"A migration of the pipeline {key!r} is not finished. Wait for it, and try again.")


class MigrationNotInvertible(ConflictProblem):
    code = "migration_not_invertible"

    def __init__(self, migration: MigrationRecord) -> None:
        why = "it takes another one back" if migration.undoes else "it brought several stages together in one"
        super().__init__(
            f"The migration {migration.migration_id} cannot be undone, because {why}. Migrate with a plan instead."
        )
