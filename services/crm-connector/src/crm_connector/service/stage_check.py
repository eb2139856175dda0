"""Whether the org has a place for the stages of a pipeline, before it is published and afterwards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from kit.database.unit_of_work import UnitOfWork

from crm_connector.domain.stages import MappingFault, PipelineStage, completed, lacking
from crm_connector.repository.connection import ConnectionRepository
from crm_connector.repository.definitions import DefinitionRepository


@dataclass(frozen=True, slots=True)
class Checked:
    """The pairs that these stages would get, and those without a counterpart; `as_of` is when the org was read."""

    pairs: Mapping[str, str]
    missing: Sequence[MappingFault]
    as_of: datetime | None


async def check(uow: UnitOfWork, pipeline_key: str, stages: Sequence[PipelineStage]) -> Checked:
    """What publishing these stages would find in the org."""
    before = await DefinitionRepository(uow.session, uow.tenant_id).lock_pipeline(pipeline_key)
    connection = ConnectionRepository(uow.session, uow.tenant_id)
    catalog = await connection.stages()
    by_hand = before is not None and before.mapping_revision > 0
    left_out = {stage.key for stage in before.stages} if before is not None and by_hand else ()
    pairs = completed(before.pairs if before else {}, stages, catalog, left_out)
    found = await connection.get()
    return Checked(pairs, lacking(pairs, stages, catalog), found.stages_at)
