"""Pipelines, their stages' counterparts in the CRM, and the texts of questions."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from kit.contracts.events import Received
from kit.database.unit_of_work import UnitOfWork
from kit.http.auth import Principal
from kit.http.etag import check_revision
from kit.ids import utc_now
from kit.operators import audit
from kit.runtime import Runtime

from crm_connector.domain.stages import CrmStage, MappingFault, StageMap, completed, faults, lacking
from crm_connector.errors import MappingInvalid, PipelineNotFound
from crm_connector.messages import AssessmentPublished, PipelinePublished, read_pipeline, read_texts
from crm_connector.records import PipelineRecord, PipelineVersion
from crm_connector.repository.connection import ConnectionRepository
from crm_connector.repository.definitions import DefinitionRepository
from crm_connector.repository.opportunities import OpportunityRepository
from crm_connector.service.maps import maps_of, of_type, stage_map
from crm_connector.service.publishing import read_again
from crm_connector.signals import Signals

log = logging.getLogger(__name__)

# Opportunities read with a changed mapping in one transaction.
PAGE = 1000


async def keep_pipelines(uow: UnitOfWork, events: Sequence[Received[PipelinePublished]]) -> None:
    """Take over published pipeline versions. A stage that the version before had keeps its counterpart."""
    await DefinitionRepository(uow.session, uow.tenant_id).lock_mappings()
    for event in events:
        await _keep_pipeline(uow, read_pipeline(event.message))
    signals = uow.resources.get(Signals)
    for signal in (signals.attention, signals.mapping, signals.writes):
        uow.after_commit(signal.set)


async def _keep_pipeline(uow: UnitOfWork, given: PipelineVersion) -> None:
    definitions = DefinitionRepository(uow.session, uow.tenant_id)
    before = await definitions.lock_pipeline(given.pipeline_key)
    catalog = of_type(await ConnectionRepository(uow.session, uow.tenant_id).stages(), given.object_type)
    by_hand = before is not None and before.mapping_revision > 0
    left_out = {stage.key for stage in before.stages} if before is not None and by_hand else ()
    row = PipelineRecord(
        given.pipeline_key,
        given.version,
        given.name,
        given.is_default and (before is None or before.version < given.version),
        given.object_type,
        given.stages,
        given.published_at,
        pairs=completed(before.pairs if before else {}, given.stages, catalog, left_out),
        mapping_revision=before.mapping_revision if before else 0,
        remap_after="",
    )
    await definitions.keep_pipeline(row)
    for fault in lacking(row.pairs, given.stages, catalog):
        log.warning("%s: version %d of %s: %s", uow.tenant_id, given.version, given.pipeline_key, fault.detail)


async def keep_catalog(uow: UnitOfWork, stages: Sequence[CrmStage]) -> None:
    """Take over the CRM's stages. Where no person set a mapping, stages of ours that have no counterpart may now find
    one."""
    connection = ConnectionRepository(uow.session, uow.tenant_id)
    definitions = DefinitionRepository(uow.session, uow.tenant_id)
    if stages == await connection.stages():
        return
    await definitions.lock_mappings()
    await connection.replace_stages(stages)
    for row in await definitions.lock_pipelines():
        known = of_type(stages, row.object_type)
        pairs = row.pairs if row.mapping_revision else completed(row.pairs, row.stages, known)
        await definitions.replace_pairs(row, pairs, row.mapping_revision)
    uow.after_commit(uow.resources.get(Signals).mapping.set)


async def keep_texts(uow: UnitOfWork, events: Sequence[Received[AssessmentPublished]]) -> None:
    """Take over how people read questions and choices."""
    rows = [read_texts(event.message) for event in events]
    await DefinitionRepository(uow.session, uow.tenant_id).keep_texts(rows)
    uow.after_commit(uow.resources.get(Signals).writes.set)


async def read_mapping(uow: UnitOfWork, pipeline_key: str, version: int | None) -> tuple[PipelineRecord, StageMap]:
    """A pipeline version, the newest unless one is named, and its mapping in force. PipelineNotFound."""
    found = await _find(uow, pipeline_key, version)
    return found, stage_map(found, await ConnectionRepository(uow.session, uow.tenant_id).stages())


async def replace_mapping(
    uow: UnitOfWork, caller: Principal, place: tuple[str, int | None], pairs: Mapping[str, str], revision: int
) -> None:
    """Set the mapping of a pipeline version, the newest unless one is named. PipelineNotFound,
    PreconditionFailedProblem, MappingInvalid."""
    definitions = DefinitionRepository(uow.session, uow.tenant_id)
    pipeline = await _find(uow, *place)
    check_revision(revision, pipeline.mapping_revision)
    connection = ConnectionRepository(uow.session, uow.tenant_id)
    wrong = faults(pairs, pipeline.stages, of_type(await connection.stages(), pipeline.object_type))
    if wrong:
        raise MappingInvalid(await _missed(uow, wrong, (await connection.get()).stages_at))
    await definitions.replace_pairs(pipeline, pairs, pipeline.mapping_revision + 1)
    detail = {"version": pipeline.version, "stages": dict(pairs)}
    await audit.record(uow, caller, "stage-mapping.replaced", pipeline.pipeline_key, **detail)
    signals = uow.resources.get(Signals)
    uow.after_commit(signals.mapping.set)
    uow.after_commit(signals.writes.set)


async def _missed(uow: UnitOfWork, wrong: Sequence[MappingFault], as_of: datetime | None) -> list[MappingFault]:
    """The faults, with the moment of what is known where a stage of the CRM is missing; its stages are read again."""
    if as_of is None or not any(fault.code == "crm_stage_unknown" for fault in wrong):
        return list(wrong)
    # The request is refused, and what it would write with it.
    async with uow.resources.get(Runtime).database.unit_of_work(uow.tenant_id) as apart:
        now = utc_now()
        await ConnectionRepository(apart.session, uow.tenant_id).note(now, stages_wanted_at=now)
        apart.after_commit(uow.resources.get(Signals).attention.set)
    known = f" That is as of {as_of:%H:%M:%S} UTC; the stages are being read again, so try again if it is new there."
    return [
        replace(fault, detail=fault.detail + known) if fault.code == "crm_stage_unknown" else fault for fault in wrong
    ]


async def _find(uow: UnitOfWork, pipeline_key: str, version: int | None) -> PipelineRecord:
    found = await DefinitionRepository(uow.session, uow.tenant_id).lock_pipeline(pipeline_key, version)
    if found is None:
        which = f"pipeline {pipeline_key!r}" if version is None else f"version {version} of pipeline {pipeline_key!r}"
        raise PipelineNotFound(f"There is no {which}.")
    return found


async def remap_page(uow: UnitOfWork) -> bool:
    """Publish again those of the next opportunities whose stage their mapping now reads differently; whether there was
    anything to look at. Only so many in one transaction, however many opportunities there are."""
    definitions = DefinitionRepository(uow.session, uow.tenant_id)
    changed = await definitions.to_remap()
    if changed is None or changed.remap_after is None:
        return False
    opportunities = OpportunityRepository(uow.session, uow.tenant_id)
    page = await opportunities.readings(changed.remap_after, PAGE)
    maps = await maps_of(uow, page)
    rows = (await opportunities.lock(each.opportunity_id for each in page if maps.misread(each))).values()
    if rows:
        maps, now = await maps_of(uow, rows), utc_now()
        await opportunities.save([read_again(uow, maps, row, now) for row in rows], now)
    await definitions.remapped(changed, page[-1].opportunity_id if len(page) == PAGE else None)
    return True
