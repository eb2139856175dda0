"""What a publication does to opportunities that are under way."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from kit.database.unit_of_work import UnitOfWork
from kit.offload import Offload

from stage_engine.domain.facts import assessment_of
from stage_engine.domain.finding import LintFinding, ScoreReach, warning
from stage_engine.domain.lint import unreachable
from stage_engine.domain.pipeline import Pipeline
from stage_engine.errors.pipelines import DefaultTaken
from stage_engine.records.pipelines import StageUse, default_of
from stage_engine.repository.pipelines import PipelineRepository
from stage_engine.service.rulesets import Rulesets

log = logging.getLogger(__name__)

# The largest pipeline that the API takes needs a fraction of this.
LINT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class VersionFinding:
    """What is wrong now with a version in use, and how many open opportunities that concerns."""

    version: int
    finding: LintFinding
    opportunities: int


class Impact:
    def __init__(self, uow: UnitOfWork, rulesets: Rulesets | None = None) -> None:
        self._rulesets = rulesets or Rulesets(uow)
        self._tenant_id = uow.tenant_id
        self._repository = PipelineRepository(uow.session, uow.tenant_id)
        # The check of a large pipeline takes a while.
        self._offload = uow.resources.get(Offload)

    async def of_version(self, pipeline: Pipeline, *, take_over_default: bool) -> list[LintFinding]:
        """What publishing the version means for others. DefaultTaken when another pipeline is the default."""
        if not pipeline.is_default:
            return []
        default = default_of(await self._repository.newest(), pipeline.object_type)
        if default is None or default == pipeline.key:
            return []
        staying = sum(each.opportunities for each in await self._repository.stage_use(default))
        if not take_over_default:
            raise DefaultTaken(default, staying)
        text = f"new opportunities come here from now on; {staying} open ones stay in {default}"
        return [warning("default_taken_over", "/is_default", text)]

    async def now(self, key: str) -> list[VersionFinding]:
        """What newer points have made of the versions of a pipeline that are in use, and of its newest one."""
        use = await self._repository.stage_use(key)
        newest = {each.version for each in await self._repository.newest() if each.pipeline_key == key}
        versions = {each.version for each in use} | newest
        rulesets = await self._rulesets.of([(key, version) for version in versions])
        found: list[VersionFinding] = []
        for (_, version), ruleset in sorted(rulesets.items(), key=lambda item: item[0]):
            own = [each for each in use if each.version == version]
            reach = await self._reach(ruleset.pipeline)
            findings = await self._offload.run(unreachable, ruleset.pipeline, reach, deadline=LINT_SECONDS)
            found += [VersionFinding(version, each, _concerned(ruleset.pipeline, each, own)) for each in findings]
        return found

    async def of_points(self, assessment_keys: Sequence[str]) -> None:
        """Report what newer points of these assessments make unreachable in the newest version of each pipeline."""
        for key, ruleset in (await self._rulesets.newest()).items():
            if not any(assessment_of(fact) in assessment_keys for fact in _facts(ruleset.pipeline)):
                continue
            for each in await self.now(key):
                log.warning(
                    "%s: version %d of %s has a rule that cannot hold any more, %d open opportunities wait for it: %s",
                    *(self._tenant_id, each.version, key, each.opportunities, each.finding.message),
                )

    async def _reach(self, pipeline: Pipeline) -> dict[str, ScoreReach]:
        keys = sorted({key for fact in _facts(pipeline) if (key := assessment_of(fact))})
        return {
            each.assessment_key: ScoreReach(each.minimum, each.maximum, each.scores)
            for each in await self._repository.reach(keys, pipeline.assessment_versions)
        }


def _facts(pipeline: Pipeline) -> set[str]:
    return {condition.fact for rule in pipeline.rules for condition in rule.conditions}


def _concerned(pipeline: Pipeline, finding: LintFinding, use: Sequence[StageUse]) -> int:
    rule = pipeline.rules[int(finding.pointer.split("/")[2])]
    return sum(each.opportunities for each in use if rule.from_stage in (None, each.stage_key))
