"""Authoring pipelines: drafts, their check, and publication."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from kit.database.people import people_of
from kit.database.unit_of_work import UnitOfWork
from kit.http.auth import Principal
from kit.http.etag import check_revision
from kit.ids import utc_now
from kit.offload import Offload
from kit.operators.audit import record

from stage_engine.domain.document import from_document, to_document
from stage_engine.domain.facts import assessment_of
from stage_engine.domain.finding import LintFinding, ScoreReach, Severity
from stage_engine.domain.lint import Reach, lint
from stage_engine.domain.lint_approvals import named_in
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.versions import Plan
from stage_engine.engine import cell_fault
from stage_engine.errors.pipelines import (
    PipelineExists,
    PipelineInvalid,
    PipelineNotFound,
    PipelineVersionNotFound,
    TemplateNotFound,
)
from stage_engine.messages import pipeline_published
from stage_engine.records.pipelines import (
    MigrationRecord,
    PipelineRecord,
    PipelineSummary,
    VersionRecord,
    VersionSummary,
)
from stage_engine.repository.pipelines import PipelineRepository
from stage_engine.repository.unplaced import UnplacedRepository
from stage_engine.service.impact import LINT_SECONDS, Impact, VersionFinding
from stage_engine.service.migrating import Migrating
from stage_engine.service.placing import PipelinePublication
from stage_engine.service.rulesets import Rulesets
from stage_engine.service.versions import Versions
from stage_engine.templates import templates


@dataclass(frozen=True, slots=True)
class Question:
    """What the check of a pipeline needs. It takes a while, so it is answered in a process of its own."""

    pipeline: Pipeline
    reach: Reach
    offload: Offload
    people: frozenset[str] | None = None

    async def findings(self) -> list[LintFinding]:
        """What publishing the pipeline would say."""
        return await self.offload.run(lint, self.pipeline, self.reach, cell_fault, self.people, deadline=LINT_SECONDS)


@dataclass(frozen=True, slots=True)
class Published:
    """A version just published, with what its author should look at: `staying` counts the live opportunities of each
    version before, which stay there unless `migration` carries them over."""

    version: VersionRecord
    findings: list[LintFinding]
    staying: Mapping[int, int]
    migration: MigrationRecord | None


def template(key: str) -> dict[str, Any]:
    """A shipped pipeline. TemplateNotFound."""
    found = templates().get(key)
    if found is None:
        raise TemplateNotFound(key, templates())
    return found


class Authoring:
    """Drafts may have errors; versions never do."""

    def __init__(self, uow: UnitOfWork, caller: Principal) -> None:
        self._uow = uow
        self._caller = caller
        self._repository = PipelineRepository(uow.session, uow.tenant_id)

    async def create(self, key: str, document: dict[str, Any]) -> PipelineRecord:
        """A new pipeline with its draft."""
        created = await self._repository.add(key, document, self._caller.subject)
        if created is None:
            raise PipelineExists(key)
        await record(self._uow, self._caller, "pipeline.created", key)
        return created

    async def many(self, after: str, limit: int) -> list[PipelineSummary]:
        return await self._repository.many(after, limit)

    async def one(self, key: str, *, for_update: bool = False) -> PipelineRecord:
        found = await self._repository.one(key, for_update=for_update)
        if found is None:
            raise PipelineNotFound(key)
        return found

    async def change_draft(self, key: str, content: dict[str, Any], expected_revision: int) -> PipelineRecord:
        """Replace the draft; the versions stay."""
        found = await self.one(key, for_update=True)
        check_revision(expected_revision, found.revision)
        changed = await self._repository.change_draft(key, {"key": key, **content}, self._caller.subject)
        await record(self._uow, self._caller, "pipeline.draft_changed", key, revision=changed.revision)
        return changed

    async def question(self, key: str, content: dict[str, Any] | None) -> "Question":
        """What to ask about this content, or the draft."""
        found = await self.one(key)
        return await self.question_of(from_document(found.draft if content is None else {"key": key, **content}, 1))

    async def publish(
        self,
        key: str,
        *,
        take_over_default: bool,
        plan: Plan | None = None,
        assessment_versions: Mapping[str, int] | None = None,
    ) -> Published:
        """Make the draft the next version, for opportunities first observed from now on, and with a plan for those
        under way as well. PipelineInvalid when it has errors, DefaultTaken when it would touch others, PlanIncomplete
        when the plan has no place for some. Records that had no pipeline are looked at again in the background. Those
        of the version get the given versions of assessments; of others the newest."""
        found = await self.one(key, for_update=True)
        draft = from_document(found.draft, found.newest_version + 1)
        pipeline = replace(draft, assessment_versions=assessment_versions or {})
        findings = await (await self.question_of(pipeline)).findings()
        errors = [each for each in findings if each.severity is Severity.ERROR]
        if errors:
            raise PipelineInvalid(errors)
        # After the check, which takes a while: observations wait for this lock.
        await self._repository.lock_publication(shared=False)
        findings += await Impact(self._uow).of_version(pipeline, take_over_default=take_over_default)
        now = utc_now()
        version = VersionRecord(
            pipeline_key=key,
            version=pipeline.version,
            document=to_document(pipeline),
            is_default=pipeline.is_default,
            published_at=now,
            published_by=self._caller.subject,
        )
        await self._repository.add_version(version)
        self._uow.publish(pipeline_published(pipeline, now), sequence=pipeline.version)
        await record(self._uow, self._caller, "pipeline.published", key, version=pipeline.version)
        rulesets = Rulesets(self._uow)
        findings += (await rulesets.publish(pipeline)).findings(pipeline)
        await UnplacedRepository(self._uow.session, self._uow.tenant_id).look_again()
        self._uow.after_commit(self._uow.resources.get(PipelinePublication).signal.set)
        migration = None if plan is None else await Migrating(self._uow, self._caller).start(pipeline, plan)
        return Published(version, findings, await Versions(self._uow).live(key, besides=pipeline.version), migration)

    async def content(self, key: str, which: str) -> Pipeline:
        """A published version by its number, or the draft as it is."""
        found = await self.one(key)
        if which == "draft":
            return from_document(found.draft, found.newest_version + 1)
        return from_document((await self.version(key, int(which))).document, int(which))

    async def target(self, key: str, number: int) -> Pipeline:
        """A version to which opportunities may go: a published one, or the draft under the number that it would get.
        PipelineInvalid when that has errors."""
        found = await self.one(key)
        if number != found.newest_version + 1:
            return from_document((await self.version(key, number)).document, number)
        pipeline = from_document(found.draft, number)
        errors = [f for f in await (await self.question_of(pipeline)).findings() if f.severity is Severity.ERROR]
        if errors:
            raise PipelineInvalid(errors)
        return pipeline

    async def findings_now(self, key: str) -> list[VersionFinding]:
        """What newer points have made of the versions in use."""
        await self.one(key)
        return await Impact(self._uow).now(key)

    async def version(self, key: str, version: int) -> VersionRecord:
        found = await self._repository.version(key, version)
        if found is None:
            raise PipelineVersionNotFound(key, version)
        return found

    async def versions(self, key: str, after: int, limit: int) -> list[VersionSummary]:
        await self.one(key)
        return await self._repository.versions(key, after, limit)

    async def newest_versions(self, after: str, limit: int) -> list[VersionRecord]:
        return await self._repository.newest_versions(after, limit)

    async def question_of(self, pipeline: Pipeline) -> "Question":
        """What to ask about this pipeline."""
        keys = {key for stage in pipeline.stages for key in stage.assessment_keys}
        keys |= {key for rule in pipeline.rules for c in rule.conditions if (key := assessment_of(c.fact))}
        reach = {
            each.assessment_key: ScoreReach(each.minimum, each.maximum, each.scores)
            for each in await self._repository.reach(sorted(keys), pipeline.assessment_versions)
        }
        named = sorted(named_in(pipeline))
        known = await people_of(self._uow, named) if named else {}
        active = frozenset(each.person_id for each in known.values() if each.active)
        return Question(pipeline, reach, self._uow.resources.get(Offload), active)
