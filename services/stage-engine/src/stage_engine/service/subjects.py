"""The subject that a person asks for by type and id."""

from kit.http.auth import Principal
from kit.http.ownership import Owners

from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pipeline import Pipeline
from stage_engine.errors import OpportunityNotFound
from stage_engine.service.deciding import Deciding
from stage_engine.service.rulesets import Rulesets


async def demanded(
    deciding: Deciding, rulesets: Rulesets, caller: Principal, object_type: str, record_id: str
) -> tuple[Opportunity, Pipeline]:
    """The subject, locked, and the pipeline version that it is in. OpportunityNotFound when it is unknown, of another
    type, or not for the caller to see."""
    subject = (await deciding.load([record_id])).get(record_id)
    if subject is None:
        raise OpportunityNotFound(record_id, object_type)
    Owners.seen_by(caller).demand(subject.owner_id, OpportunityNotFound(record_id, object_type))
    version = subject.pipeline_key, subject.pipeline_version
    pipeline = (await rulesets.of([version]))[version].pipeline
    if pipeline.object_type != object_type:
        raise OpportunityNotFound(record_id, object_type, pipeline.object_type)
    return subject, pipeline
