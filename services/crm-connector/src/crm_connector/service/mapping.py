"""Pipelines, their stages' counterparts in the CRM, and the texts of questions."""

from collections.abc import Mapping, Sequence
from typing import Any

from kit.database.unit_of_work import UnitOfWork
from kit.events import Received
from kit.http import audit
from kit.http.auth import Principal
from kit.http.etag import check_revision
from kit.ids import utc_now

from crm_connector.domain.observation import Effect, ObservationKind, Occasion
from crm_connector.domain.stages import StageMap, faults
from crm_connector.errors import MappingInvalid, PipelineNotFound
from crm_connector.messages import AssessmentPublished, PipelinePublished, read_pipeline, read_texts
from crm_connector.records import OpportunityRecord, PipelineRecord
from crm_connector.repository.connection import ConnectionRepository
from crm_connector.repository.definitions import DefinitionRepository
from crm_connector.repository.opportunities import OpportunityRepository
from crm_connector.service.maps import load_maps
from crm_connector.service.publishing import observe
from crm_connector.signals import Signals


async def keep_pipelines(uow: UnitOfWork, events: Sequence[Received[PipelinePublished]]) -> None:
    """Take over published pipelines, and publish again the opportunities whose stage they read differently."""
    definitions = DefinitionRepository(uow.session, uow.tenant_id)
    for event in events:
        published = read_pipeline(event.message)
        if await definitions.keep_pipeline(published):
            await remap(uow, published.pipeline_key, f"v{published.version}", event)
    signals = uow.resources.get(Signals)
    uow.after_commit(signals.attention.set)
    uow.after_commit(signals.writes.set)


async def keep_texts(uow: UnitOfWork, events: Sequence[Received[AssessmentPublished]]) -> None:
    """Take over how people read questions and choices."""
    rows = [read_texts(event.message) for event in events]
    await DefinitionRepository(uow.session, uow.tenant_id).keep_texts(rows)
    uow.after_commit(uow.resources.get(Signals).writes.set)


async def read_mapping(uow: UnitOfWork, pipeline_key: str) -> tuple[PipelineRecord, StageMap]:
    """A pipeline and its mapping in force. PipelineNotFound."""
    maps = await load_maps(uow)
    row = maps.pipelines.get(pipeline_key)
    if row is None:
        raise PipelineNotFound(f"There is no pipeline {pipeline_key!r}.")
    return row, maps.by_pipeline[pipeline_key]


async def replace_mapping(
    uow: UnitOfWork, caller: Principal, pipeline_key: str, pairs: Mapping[str, str], revision: int
) -> None:
    """Set a pipeline's mapping. PipelineNotFound, PreconditionFailedProblem, MappingInvalid."""
    definitions = DefinitionRepository(uow.session, uow.tenant_id)
    pipeline = await definitions.lock_pipeline(pipeline_key)
    if pipeline is None:
        raise PipelineNotFound(f"There is no pipeline {pipeline_key!r}.")
    check_revision(revision, pipeline.mapping_revision)
    catalog = await ConnectionRepository(uow.session, uow.tenant_id).stages()
    wrong = faults(pairs, pipeline.stages, catalog)
    if wrong:
        raise MappingInvalid(wrong)
    await definitions.replace_pairs(pipeline_key, pairs, pipeline.mapping_revision + 1)
    await audit.record(uow, caller, "stage-mapping.replaced", pipeline_key, stages=dict(pairs))
    await remap(uow, pipeline_key, f"r{pipeline.mapping_revision + 1}", None)
    uow.after_commit(uow.resources.get(Signals).writes.set)


async def remap(uow: UnitOfWork, pipeline_key: str, reason: str, cause: Received[Any] | None) -> None:
    """Publish again the opportunities whose stage the mapping of this pipeline now reads differently."""
    maps = await load_maps(uow)
    opportunities = OpportunityRepository(uow.session, uow.tenant_id)

    def differs(row: OpportunityRecord) -> bool:
        facts = row.known.facts
        if facts is None or row.known.deleted:
            return False
        return maps.stage_key(pipeline_key, facts.stage) != row.stage_key

    stale = [key for key, row in (await opportunities.in_pipeline(pipeline_key)).items() if differs(row)]
    now = utc_now()
    after: list[OpportunityRecord] = []
    for key, row in (await opportunities.lock(stale)).items():
        effect = Effect(row.known, ObservationKind.UPDATED, ("stage",))
        occasion = Occasion(f"mapping:{pipeline_key}:{reason}:{key}", now)
        after.append(observe(uow, maps, row, effect, occasion, cause))
    await opportunities.save(after, now)
