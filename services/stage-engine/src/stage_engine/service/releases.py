"""Releasing a pipeline version together with versions of assessments and their points."""

from collections.abc import Mapping, Sequence

from kit.database.unit_of_work import UnitOfWork
from kit.http.auth import Principal

from stage_engine.domain.document import from_document
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.versions import Plan
from stage_engine.errors.pipelines import ReleaseIncomplete
from stage_engine.repository.pipelines import PipelineRepository
from stage_engine.service.authoring import Authoring, Published


class Releases:
    """Readers change over with one event, the publication: it names the versions of the assessments, and points belong
    to these. So all that is released has to be there before."""

    def __init__(self, uow: UnitOfWork, caller: Principal) -> None:
        self._authoring = Authoring(uow, caller)
        self._repository = PipelineRepository(uow.session, uow.tenant_id)

    async def release(
        self, key: str, versions: Mapping[str, int], *, take_over_default: bool, plan: Plan | None
    ) -> Published:
        """Publish the draft with these versions of assessments. ReleaseIncomplete with all that is missing; otherwise
        refused as a publication is."""
        found = await self._authoring.one(key, for_update=True)
        missing = _not_in_use(from_document(found.draft, found.newest_version + 1), versions)
        with_points = await self._repository.reach(sorted(versions), versions)
        known = {each.assessment_key for each in with_points}
        missing += [
            (each, f"No points are published for version {version} of {each}, or they are not known here yet.")
            for each, version in sorted(versions.items())
            if each not in known
        ]
        if missing:
            raise ReleaseIncomplete(missing)
        return await self._authoring.publish(
            key, take_over_default=take_over_default, plan=plan, assessment_versions=versions
        )


def _not_in_use(pipeline: Pipeline, versions: Mapping[str, int]) -> list[tuple[str, str]]:
    unused: Sequence[str] = sorted(versions.keys() - set(pipeline.assessment_keys))
    return [(key, f"{key} counts in no stage of {pipeline.key}.") for key in unused]
