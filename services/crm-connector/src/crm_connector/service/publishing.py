"""What is published about an opportunity, and the record that counts it."""

from dataclasses import replace
from datetime import datetime

from kit.database.unit_of_work import UnitOfWork

from crm_connector.domain.observation import Effect, ObservationKind, Occasion
from crm_connector.messages import record_observed
from crm_connector.records import OpportunityRecord
from crm_connector.service.maps import Maps


def observe(
    uow: UnitOfWork, maps: Maps, row: OpportunityRecord, effect: Effect, occasion: Occasion
) -> OpportunityRecord:
    """The opportunity after the effect, which is published when it is news."""
    facts = effect.known.facts
    after = replace(row, known=effect.known)
    if facts is None:
        return after
    if not row.pipeline_key:
        key, version = maps.default
        after = replace(after, pipeline_key=key, pipeline_version=version)
    after = replace(after, stage_key=maps.stage_key((after.pipeline_key, after.pipeline_version), facts.stage))
    if effect.kind is None:
        return after
    after = after.next()
    uow.publish(record_observed(after, facts, effect, occasion), sequence=after.sequence)
    return after


def read_again(uow: UnitOfWork, maps: Maps, row: OpportunityRecord, at: datetime) -> OpportunityRecord:
    """The opportunity, published again if the mapping now reads its stage differently."""
    if not maps.misread(row.reading):
        return row
    effect = Effect(row.known, ObservationKind.UPDATED, ("stage",))
    # Each reading is a change of its own: the number of what is published next names it.
    return observe(uow, maps, row, effect, Occasion(f"mapping:{row.opportunity_id}:{row.sequence + 1}", at))
