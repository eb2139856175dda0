"""The events this service publishes, and the row that counts them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from kit.db import UnitOfWork
from kit.events import Received
from kit.telemetry import consumer_span
from stagecraft.crm.v1.crm_write_confirmed_pb2 import CrmWriteConfirmed
from stagecraft.crm.v1.crm_write_parked_pb2 import CrmWriteParked
from stagecraft.crm.v1.opportunity_observed_pb2 import OpportunityObserved

from crm_connector.domain.observation import Step
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
    message = OpportunityObserved(
        opportunity_id=row.opportunity_id,
        kind=f"OBSERVATION_KIND_{step.kind}",
        pipeline_key=after.pipeline_key,
        stage_key=after.stage_key,
        changed_fields=[names.get(name, name) for name in step.changed_fields],
        changed_by=occasion.changed_by,
        change_id=occasion.change_id,
        committed_at=occasion.committed_at,
        crm_stage=facts.stage,
        amount=_plain(facts.amount),
        close_date=facts.close_date.isoformat() if facts.close_date else "",
        owner_id=facts.owner_id,
    )
    uow.publish(message, sequence=after.sequence, cause=occasion.cause)
    return after


def confirm(
    uow: UnitOfWork, row: OpportunityRow, intent: Mapping[str, Any], write_id: str, at: datetime
) -> OpportunityRow:
    """Publish that the CRM holds the stage the intent asked for."""
    after = row.next()
    message = CrmWriteConfirmed(**_intent(intent), write_id=write_id, attempts=intent["attempts"], confirmed_at=at)
    with consumer_span("crm write confirmed", intent["traceparent"]):
        uow.publish(message, sequence=after.sequence)
    return after


def show_confirmed(intent: Mapping[str, Any]) -> None:
    """Show in the trace that the CRM holds answers that came without a stage. Nothing is published: what others know
    of the opportunity stays as it is."""
    with consumer_span("crm write confirmed", intent["traceparent"]):
        pass


def park(
    uow: UnitOfWork, row: OpportunityRow, intent: Mapping[str, Any], code: str, reason: str, at: datetime
) -> OpportunityRow:
    """Publish that the CRM refused the intent and a person has to look."""
    after = row.next()
    message = CrmWriteParked(**_intent(intent), code=code, reason=reason, parked_at=at)
    with consumer_span("crm write parked", intent["traceparent"]):
        uow.publish(message, sequence=after.sequence)
    return after


def _intent(intent: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "intent_id": str(intent["intent_id"]),
        "opportunity_id": intent["opportunity_id"],
        "decision_id": str(intent["decision_id"]),
        "submission_id": intent["submission_id"],
        "stage_key": intent["target_stage"],
        "revision": intent["revision"],
    }


def _plain(amount: Decimal | None) -> str:
    return "" if amount is None else f"{amount.normalize():f}"
