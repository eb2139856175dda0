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
    own = row.pipeline_key, row.pipeline_version
    mapped = maps.mapped(row.object_type, own, facts.stage)
    after = replace(after, mapped_stages=mapped, stage_key=mapped[0].stage_key if row.pipeline_key else "")
    if effect.kind is None:
        return after
    after = after.next()
    uow.publish(record_observed(after, facts, effect, occasion), sequence=after.sequence)
    return after


def assigned(row: OpportunityRecord, pipeline_key: str, version: int) -> OpportunityRecord:
    """The record in the pipeline version that a decision named. Of one that had none, what was published for that
    version counts as read: the engine took it, or that of another version where it was not named."""
    stage_key = row.stage_key
    if not row.pipeline_key:
        named = [each for each in row.mapped_stages if each.pipeline_key == pipeline_key]
        exact = [each for each in named if each.version == version]
        stage_key = next((each.stage_key for each in (*exact, *named)), "")
    return replace(row, pipeline_key=pipeline_key, pipeline_version=version, stage_key=stage_key)


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
