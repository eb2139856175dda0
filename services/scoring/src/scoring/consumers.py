"""Which events this service handles, and how."""

from collections.abc import Sequence

from kit.contracts.events import Received
from kit.database.unit_of_work import UnitOfWork
from kit.delivery.batch import Handlers
from kit.delivery.people import PersonObserved, observe_people

from scoring.messages import (
    AssessmentPublished,
    AssessmentSubmitted,
    RecordObserved,
    asked_points,
    read_assessment,
    read_owner,
)
from scoring.records import OwnerRecord
from scoring.repository import ScoringRepository
from scoring.service.profiles import ShippedPoints
from scoring.service.submissions import Arrival, SubmissionService


async def keep_assessments(uow: UnitOfWork, events: Sequence[Received[AssessmentPublished]]) -> None:
    """Keep each published version, and give shipped points to those that process templates asked for; the last event of
    a batch about one version counts."""
    found = {(r.assessment_key, r.version): r for r in map(read_assessment, events)}
    await ScoringRepository(uow.session, uow.tenant_id).upsert_assessments(list(found.values()))
    await ShippedPoints(uow).give(dict(filter(None, map(asked_points, events))))


async def score_submissions(uow: UnitOfWork, events: Sequence[Received[AssessmentSubmitted]]) -> None:
    """Score what has a profile, and let the rest wait for one."""
    await SubmissionService(uow).score_or_park([Arrival.of(event) for event in events])


async def keep_owners(uow: UnitOfWork, events: Sequence[Received[RecordObserved]]) -> None:
    """Keep whose each opportunity is; the last event of a batch about one counts."""
    newest: dict[str, OwnerRecord] = {}
    for found in filter(None, map(read_owner, events)):
        held = newest.setdefault(found.opportunity_id, found)
        if found.observed_no > held.observed_no:
            newest[found.opportunity_id] = found
    # In one order for all: two transactions that write the same rows in different orders would deadlock.
    ScoringRepository(uow.session, uow.tenant_id).keep_owners([newest[key] for key in sorted(newest)])


HANDLERS: Handlers = {
    AssessmentPublished: keep_assessments,
    RecordObserved: keep_owners,
    AssessmentSubmitted: score_submissions,
    PersonObserved: observe_people,
}
