"""What is published about an opportunity, and the record that counts it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from kit.database.unit_of_work import UnitOfWork
from kit.events import Received
from kit.telemetry import consumer_span

from crm_connector.domain.observation import Effect, Occasion
from crm_connector.messages import crm_write_confirmed, crm_write_parked, opportunity_observed
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


def confirm(
    uow: UnitOfWork, row: OpportunityRecord, intent: Mapping[str, Any], write_id: str, at: datetime
) -> OpportunityRecord:
    """Publish that the CRM holds the stage the intent asked for."""
    after = row.next()
    message = crm_write_confirmed(intent, write_id, at)
    with consumer_span("crm write confirmed", intent["traceparent"]):
        uow.publish(message, sequence=after.sequence)
    return after


def show_confirmed(intent: Mapping[str, Any]) -> None:
    """Show in the trace that the CRM holds answers that came without a stage. Nothing is published: what others know
    of the opportunity stays as it is."""
    with consumer_span("crm write confirmed", intent["traceparent"]):
        pass


def park(
    uow: UnitOfWork, row: OpportunityRecord, intent: Mapping[str, Any], code: str, reason: str, at: datetime
) -> OpportunityRecord:
    """Publish that the CRM refused the intent and a person has to look."""
    after = row.next()
    message = crm_write_parked(intent, code, reason, at)
    with consumer_span("crm write parked", intent["traceparent"]):
        uow.publish(message, sequence=after.sequence)
    return after
