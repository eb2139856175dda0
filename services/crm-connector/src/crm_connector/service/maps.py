"""The stage mappings in force."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kit.database.unit_of_work import UnitOfWork

from crm_connector.domain.stages import CrmStage, StageMap, default_pairs
from crm_connector.records import PipelineRecord
from crm_connector.repository.connection import ConnectionRepository
from crm_connector.repository.definitions import DefinitionRepository


@dataclass(frozen=True)
class Maps:
    """The mappings in force for all pipelines of a tenant."""

    pipelines: Mapping[str, PipelineRecord]
    catalog: Sequence[CrmStage]
    by_pipeline: Mapping[str, StageMap]

    @property
    def default_key(self) -> str:
        """The pipeline for opportunities that no decision assigned elsewhere; empty when there is none."""
        return next((key for key, row in self.pipelines.items() if row.is_default), "")

    def crm_stage(self, pipeline_key: str, stage_key: str) -> str | None:
        """The CRM's stage that may be written for ours; None when there is none."""
        found = self.by_pipeline.get(pipeline_key, StageMap({})).crm_stage(stage_key)
        usable = not self.catalog or any(stage.name == found and stage.is_active for stage in self.catalog)
        return found if usable else None

    def stage_key(self, pipeline_key: str, crm_stage: str) -> str:
        """Our stage for the CRM's; empty when it is not mapped."""
        return self.by_pipeline.get(pipeline_key, StageMap({})).stage_key(crm_stage)


async def load_maps(uow: UnitOfWork) -> Maps:
    """The mappings as this transaction reads them."""
    pipelines = await DefinitionRepository(uow.session, uow.tenant_id).pipelines()
    catalog = await ConnectionRepository(uow.session, uow.tenant_id).stages()
    maps = {
        key: StageMap(dict(row.pairs) if row.mapping_revision else default_pairs(row.stages, catalog))
        for key, row in pipelines.items()
    }
    return Maps(pipelines, catalog, maps)
