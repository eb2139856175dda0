"""The subject that a person asks for by type and id."""

from kit.http.auth import Principal
from kit.http.ownership import Owners

from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pipeline import Pipeline
from stage_engine.errors.opportunities import OpportunityNotFound
from stage_engine.service.deciding import Deciding
from stage_engine.service.rulesets import Rulesets


def demand_subject(owners: Owners, object_type: str, record_id: str, owner_id: str, is_a: str) -> None:
    """OpportunityNotFound when the subject is not for these owners to see, or of another type."""
    owners.demand(owner_id, OpportunityNotFound(record_id, object_type))
    if is_a != object_type:
        raise OpportunityNotFound(record_id, object_type, is_a)


async def demanded(
    deciding: Deciding, rulesets: Rulesets, caller: Principal, object_type: str, record_id: str
) -> tuple[Opportunity, Pipeline]:
    """The subject, locked, and the pipeline version that it is in. OpportunityNotFound when it is unknown, of another
    type, or not for the caller to see."""
    subject = (await deciding.load([record_id])).get(record_id)
    if subject is None:
        raise OpportunityNotFound(record_id, object_type)
    version = subject.pipeline_key, subject.pipeline_version
    pipeline = (await rulesets.of([version]))[version].pipeline
    demand_subject(Owners.seen_by(caller), object_type, record_id, subject.owner_id, pipeline.object_type)
    return subject, pipeline
