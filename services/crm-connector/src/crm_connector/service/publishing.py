"""What is published about a record, and the row that counts it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from kit.database.unit_of_work import UnitOfWork

from crm_connector.domain.activities import Activity
from crm_connector.domain.observation import Effect, ObservationKind, Occasion
from crm_connector.messages import activity_observed, record_observed
from crm_connector.records import OpportunityRecord
from crm_connector.service.maps import Maps

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def observe(
    uow: UnitOfWork, maps: Maps, row: OpportunityRecord, effect: Effect, occasion: Occasion
) -> OpportunityRecord:
    """The opportunity after the effect, which is published when it is news."""
    facts = effect.known.facts
    after = replace(row, known=effect.known)
    if facts is None:
        return after
    if not row.pipeline_key:
        key, version = maps.default(row.object_type)
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


def publish_activities(uow: UnitOfWork, activities: Sequence[Activity]) -> None:
    """Publish each activity for every record that it is about."""
    for activity in activities:
        for subject in activity.subjects:
            number = (activity.modified_at - _EPOCH) // timedelta(microseconds=1)
            uow.publish(activity_observed(activity, subject), sequence=number)
