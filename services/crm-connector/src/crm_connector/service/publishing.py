"""What is published about an opportunity, and the record that counts it."""

from dataclasses import replace
from typing import Any

from kit.database.unit_of_work import UnitOfWork
from kit.events import Received

from crm_connector.domain.observation import Effect, Occasion
from crm_connector.messages import opportunity_observed
from crm_connector.records import OpportunityRecord
from crm_connector.service.maps import Maps


def observe(
    uow: UnitOfWork,
    maps: Maps,
    row: OpportunityRecord,
    effect: Effect,
    occasion: Occasion,
    cause: Received[Any] | None = None,
) -> OpportunityRecord:
    """The opportunity after the effect, which is published when it is news."""
    facts = effect.known.facts
    if facts is None:
        return replace(row, known=effect.known)
    pipeline_key = row.pipeline_key or maps.default_key
    stage_key = maps.stage_key(pipeline_key, facts.stage)
    after = replace(row, known=effect.known, pipeline_key=pipeline_key, stage_key=stage_key)
    if effect.kind is None:
        return after
    after = after.next()
    uow.publish(opportunity_observed(after, facts, effect, occasion), sequence=after.sequence, cause=cause)
    return after
