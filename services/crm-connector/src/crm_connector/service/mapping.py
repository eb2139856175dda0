"""Pipelines, their stages' counterparts in the CRM, and the texts of questions."""

from collections.abc import Mapping, Sequence
from typing import Any

from kit.database.unit_of_work import UnitOfWork
from kit.events import Received
from kit.http import audit
from kit.http.auth import Principal
from kit.http.etag import check_revision
from kit.ids import utc_now

from crm_connector.domain.observation import ObservationKind, Step
from crm_connector.domain.stages import StageMap, faults
from crm_connector.errors import MappingInvalid, PipelineNotFound
from crm_connector.messages import AssessmentPublished, PipelinePublished, read_pipeline, read_texts
from crm_connector.repository.definitions import DefinitionRepository, PipelineRow
from crm_connector.repository.opportunities import OpportunityRepository
from crm_connector.service.maps import load_maps
from crm_connector.service.publishing import Occasion, observe
from crm_connector.signals import Signals


async def keep_pipelines(uow: UnitOfWork, events: Sequence[Received[PipelinePublished]]) -> None:
    """Take over published pipelines; opportunities whose stage they read differently are published anew."""
    definitions = DefinitionRepository(uow.session, uow.tenant_id)
    for event in events:
        kept = await definitions.keep_pipeline(read_pipeline(event.message), utc_now())
        if kept:
            await remap(uow, event.message.pipeline_key, f"v{event.message.version}", event)
    signals = uow.resources.get(Signals)
    uow.after_commit(signals.attention.set)
    uow.after_commit(signals.writes.set)


async def keep_texts(uow: UnitOfWork, events: Sequence[Received[AssessmentPublished]]) -> None:
    """Take over how people read questions and choices."""
    rows = [read_texts(event.message) for event in events]
    await DefinitionRepository(uow.session, uow.tenant_id).keep_texts(rows)
    uow.after_commit(uow.resources.get(Signals).writes.set)


async def read_mapping(uow: UnitOfWork, pipeline_key: str) -> tuple[PipelineRow, StageMap]:
    """A pipeline and its mapping in force. PipelineNotFound."""
    maps = await load_maps(uow)
    row = maps.pipelines.get(pipeline_key)
    if row is None:
        raise PipelineNotFound(f"there is no pipeline {pipeline_key!r}")
    return row, maps.by_pipeline[pipeline_key]


async def replace_mapping(
    uow: UnitOfWork, caller: Principal, pipeline_key: str, pairs: Mapping[str, str], revision: int
) -> None:
    """Set a pipeline's mapping. PipelineNotFound, PreconditionFailedProblem, MappingInvalid."""
    definitions = DefinitionRepository(uow.session, uow.tenant_id)
    actual = await definitions.lock_mapping_revision(pipeline_key)
    if actual is None:
        raise PipelineNotFound(f"there is no pipeline {pipeline_key!r}")
    check_revision(revision, actual)
    maps = await load_maps(uow)
    wrong = faults(pairs, maps.pipelines[pipeline_key].stages, maps.catalog)
    if wrong:
        raise MappingInvalid(wrong)
    await definitions.replace_pairs(pipeline_key, pairs, actual + 1)
    await audit.record(uow, caller, "stage-mapping.replaced", pipeline_key, stages=dict(pairs))
    await remap(uow, pipeline_key, f"r{actual + 1}", None)
    uow.after_commit(uow.resources.get(Signals).writes.set)


async def remap(uow: UnitOfWork, pipeline_key: str, reason: str, cause: Received[Any] | None) -> None:
    """Publish anew what the mapping of this pipeline now reads differently."""
    maps = await load_maps(uow)
    opportunities = OpportunityRepository(uow.session, uow.tenant_id)

    def differs(stage_key: str, crm_stage: str) -> bool:
        return maps.stage_key(pipeline_key, crm_stage) != stage_key

    seen = await opportunities.read(await opportunities.seen_in(pipeline_key))
    stale = [key for key, row in seen.items() if row.known.facts and differs(row.stage_key, row.known.facts.stage)]
    now = utc_now()
    told = []
    for key, row in (await opportunities.lock(stale)).items():
        step = Step(row.known, ObservationKind.UPDATED, ("stage",))
        occasion = Occasion(f"mapping:{pipeline_key}:{reason}:{key}", now, cause=cause)
        told.append(observe(uow, maps, row, step, occasion))
    await opportunities.save(told, now)
