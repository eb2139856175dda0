"""The stage mappings in force."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kit.database.unit_of_work import UnitOfWork

from crm_connector.domain.stages import Category, CrmStage, MappedStage, PipelineStage, StageMap, default_pairs
from crm_connector.records import OpportunityRecord, PipelineRecord, Reading
from crm_connector.repository.connection import ConnectionRepository
from crm_connector.repository.definitions import DefinitionRepository

# A pipeline and its version.
Version = tuple[str, int]
_NONE = StageMap({})


@dataclass(frozen=True)
class Maps:
    """The mappings in force of those pipeline versions that were asked for, and of the newest of each pipeline."""

    newest: Mapping[str, PipelineRecord]
    catalog: Sequence[CrmStage]
    by_version: Mapping[Version, StageMap]
    stages_of: Mapping[Version, Sequence[PipelineStage]]

    @property
    def object_types(self) -> tuple[str, ...]:
        """The types of records that have a pipeline; opportunities always count."""
        return tuple(sorted({"opportunity", *(row.object_type for row in self.newest.values())}))

    def mapped(self, object_type: str, own: Version, crm_stage: str) -> tuple[MappedStage, ...]:
        """What the CRM's stage is in each pipeline for records of this type: in their own version first, then in the
        newest ones, the default before the others."""
        rows = [row for row in self.newest.values() if row.object_type == object_type]
        rows.sort(key=lambda row: (not row.is_default, row.pipeline_key))
        versions = ([own] if own[0] else []) + [(row.pipeline_key, row.version) for row in rows]
        return tuple(MappedStage(*each, self.stage_key(each, crm_stage)) for each in dict.fromkeys(versions))

    def crm_stage(self, version: Version, stage_key: str) -> str | None:
        """The CRM's stage that may be written for ours; None when there is none."""
        found = self._map(version).crm_stage(stage_key)
        newest = self.newest.get(version[0])
        catalog = of_type(self.catalog, newest.object_type) if newest else self.catalog
        usable = not catalog or any(stage.name == found and stage.is_active for stage in catalog)
        return found if usable else None

    def stage_key(self, version: Version, crm_stage: str) -> str:
        """Our stage for the CRM's; empty when it is not mapped."""
        return self._map(version).stage_key(crm_stage)

    def stages(self, version: Version) -> Sequence[PipelineStage]:
        """The stages of a version, in their order."""
        return self.stages_of.get(version, ())

    def first_stage(self, object_type: str) -> str:
        """Where records of this type begin, by the CRM's name; empty where no pipeline takes them."""
        for each in self.mapped(object_type, ("", 0), ""):
            version = each.pipeline_key, each.version
            first = next((stage for stage in self.stages(version) if stage.category is Category.OPEN), None)
            if first is not None:
                return self.crm_stage(version, first.key) or first.name
        return ""

    def misread(self, was: Reading) -> bool:
        """Whether the mapping reads a stage differently from how it was last read."""
        version = was.pipeline_key, was.pipeline_version
        if was.crm_stage is None:
            return False
        if not was.pipeline_key:
            # Any pipeline may yet take it.
            return self.mapped(was.object_type, version, was.crm_stage) != was.mapped_stages
        return self.stage_key(version, was.crm_stage) != was.stage_key

    def _map(self, version: Version) -> StageMap:
        found = self.by_version.get(version)
        # A decision may name a version before that arrives: until then stages are read by the one before.
        newest = self.newest.get(version[0]) if found is None else None
        return self.by_version[newest.pipeline_key, newest.version] if newest else found or _NONE


async def load_maps(uow: UnitOfWork, versions: Iterable[Version]) -> Maps:
    """The mappings of these versions, as this transaction reads them."""
    found = await DefinitionRepository(uow.session, uow.tenant_id).pipelines(versions)
    catalog = await ConnectionRepository(uow.session, uow.tenant_id).stages()
    # The records come in the order of versions.
    newest = {row.pipeline_key: row for row in found}
    maps = {(row.pipeline_key, row.version): stage_map(row, catalog) for row in found}
    stages = {(row.pipeline_key, row.version): row.stages for row in found}
    return Maps(newest, catalog, maps, stages)


async def maps_of(uow: UnitOfWork, rows: Iterable[OpportunityRecord | Reading]) -> Maps:
    """The mappings that read these opportunities."""
    return await load_maps(uow, {(row.pipeline_key, row.pipeline_version) for row in rows})


def stage_map(row: PipelineRecord, catalog: Sequence[CrmStage]) -> StageMap:
    """The mapping of a version; while the CRM has shown no stages, each of ours is called as it is."""
    known = of_type(catalog, row.object_type)
    return StageMap(dict(row.pairs) if known or row.mapping_revision else default_pairs(row.stages, ()))


def of_type(catalog: Sequence[CrmStage], object_type: str) -> list[CrmStage]:
    """The stages of records of this type."""
    return [stage for stage in catalog if stage.object_type == object_type]
