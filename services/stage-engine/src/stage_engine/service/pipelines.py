"""Authoring: drafts, their check, and publication."""

from collections.abc import Sequence
from typing import Any

from kit.database.unit_of_work import UnitOfWork
from kit.http.audit import record
from kit.http.auth import Principal
from kit.http.etag import check_revision
from kit.ids import utc_now

from stage_engine.domain.document import from_document, to_document
from stage_engine.domain.finding import LintFinding, ScoreReach, Severity
from stage_engine.domain.lint import assessment_of, lint
from stage_engine.domain.pipeline import Pipeline
from stage_engine.engine import cell_fault, compiled
from stage_engine.errors import PipelineExists, PipelineInvalid, PipelineNotFound
from stage_engine.messages import ScoringProfilePublished, pipeline_published, read_reach
from stage_engine.repository.deals import DealRepository
from stage_engine.repository.pipelines import PipelineRepository, Row
from stage_engine.service.intake import Intake
from stage_engine.service.rules import Rules


class Pipelines:
    """Drafts may have errors; versions never do."""

    def __init__(self, uow: UnitOfWork, caller: Principal) -> None:
        self._uow = uow
        self._caller = caller
        self._repository = PipelineRepository(uow.session, uow.tenant_id)

    async def create(self, document: dict[str, Any]) -> Row:
        """A new pipeline with its draft."""
        row = await self._repository.add(document["key"], document, self._caller.subject)
        if row is None:
            raise PipelineExists(f"there is a pipeline {document['key']!r} already")
        await record(self._uow, self._caller, "pipeline.created", document["key"])
        return row

    async def many(self, after: str, limit: int) -> list[Row]:
        return await self._repository.many(after, limit)

    async def one(self, key: str, *, for_update: bool = False) -> Row:
        row = await self._repository.one(key, for_update=for_update)
        if row is None:
            raise PipelineNotFound(f"there is no pipeline {key!r}")
        return row

    async def change_draft(self, key: str, content: dict[str, Any], expected_revision: int) -> Row:
        """Replace the draft; the versions stay."""
        row = await self.one(key, for_update=True)
        check_revision(expected_revision, row["revision"])
        changed = await self._repository.change_draft(key, {"key": key, **content}, self._caller.subject)
        await record(self._uow, self._caller, "pipeline.draft_changed", key, revision=changed["revision"])
        return changed

    async def findings(self, document: dict[str, Any]) -> list[LintFinding]:
        """What publishing this would say."""
        return await self._check(from_document(document, 1))

    async def _check(self, pipeline: Pipeline) -> list[LintFinding]:
        keys = {key for stage in pipeline.stages for key in stage.assessment_keys}
        keys |= {key for rule in pipeline.rules for c in rule.conditions if (key := assessment_of(c.fact))}
        reach = {
            row["assessment_key"]: ScoreReach(row["minimum"], row["maximum"], tuple(row["scores"]))
            for row in await self._repository.reach(sorted(keys))
        }
        return lint(pipeline, reach, cell_fault)

    async def publish(self, key: str) -> tuple[Row, list[LintFinding]]:
        """Make the draft the next version, for deals seen from now on; PipelineInvalid when it has errors. Deals that
        waited for a pipeline are placed at once."""
        row = await self.one(key, for_update=True)
        await DealRepository(self._uow.session, self._uow.tenant_id).lock_pipelines(exclusively=True)
        pipeline = from_document(row["draft"], row["newest_version"] + 1)
        findings = await self._check(pipeline)
        errors = [f for f in findings if f.severity is Severity.ERROR]
        if errors:
            raise PipelineInvalid(errors)
        now = utc_now()
        version: Row = {
            "version": pipeline.version,
            "document": to_document(pipeline),
            "is_default": pipeline.is_default,
            "published_at": now,
            "published_by": self._caller.subject,
        }
        await self._repository.add_version(key, version)
        self._uow.publish(pipeline_published(pipeline, now), sequence=pipeline.version)
        await record(self._uow, self._caller, "pipeline.published", key, version=pipeline.version)
        rules = Rules(self._uow)
        rules.add_uncommitted(compiled(pipeline))
        await Intake(self._uow, rules).redrive_observations()
        return {"pipeline_key": key, **version}, findings

    async def versions(self, key: str, after: int, limit: int) -> list[Row]:
        await self.one(key)
        return await self._repository.versions(key, after, limit)


async def keep_score_reach(uow: UnitOfWork, messages: Sequence[ScoringProfilePublished]) -> None:
    """Take over what scores the newest points of each assessment can give."""
    newest: dict[str, ScoringProfilePublished] = {}
    for message in messages:
        known = newest.get(message.assessment_key)
        if known is None or _age(known) <= _age(message):
            newest[message.assessment_key] = message
    await PipelineRepository(uow.session, uow.tenant_id).keep_reach([_reach_row(m) for m in newest.values()])


def _age(message: ScoringProfilePublished) -> tuple[int, int]:
    return message.assessment_version, message.version


def _reach_row(message: ScoringProfilePublished) -> Row:
    reach = read_reach(message)
    return {
        "assessment_key": message.assessment_key,
        "assessment_version": message.assessment_version,
        "profile_version": message.version,
        "minimum": reach.minimum,
        "maximum": reach.maximum,
        "scores": list(reach.scores),
    }
