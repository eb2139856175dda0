"""The events this service publishes, and the row that counts them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from kit.database.unit_of_work import UnitOfWork
from kit.events import Received

from crm_connector.domain.observation import Step
from crm_connector.messages import opportunity_observed
from crm_connector.repository.opportunities import OpportunityRow
from crm_connector.service.maps import Maps


@dataclass(frozen=True, slots=True)
class Occasion:
    """On what occasion something was observed. `field_names` translates our names of facts into the CRM's."""

    change_id: str
    committed_at: datetime
    changed_by: str = ""
    field_names: Mapping[str, str] | None = None
    cause: Received[Any] | None = None


def observe(uow: UnitOfWork, maps: Maps, row: OpportunityRow, step: Step, occasion: Occasion) -> OpportunityRow:
    """The row after the step, which is published when it is news."""
    facts = step.known.facts
    if facts is None:
        return replace(row, known=step.known)
    pipeline_key = row.pipeline_key or maps.default_key
    after = replace(
        row,
        known=step.known,
        pipeline_key=pipeline_key,
        stage_key=maps.stage_key(pipeline_key, facts.stage),
    )
    if step.kind is None:
        return after
    after = after.next()
    names = occasion.field_names or {}
    message = opportunity_observed(
        row.opportunity_id,
        after.pipeline_key,
        after.stage_key,
        step,
        facts,
        changed_fields=[names.get(name, name) for name in step.changed_fields],
        changed_by=occasion.changed_by,
        change_id=occasion.change_id,
        committed_at=occasion.committed_at,
    )
    uow.publish(message, sequence=after.sequence, cause=occasion.cause)
    return after
