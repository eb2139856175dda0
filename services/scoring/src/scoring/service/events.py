"""What each event asks of the use cases."""

from collections.abc import Sequence

from kit.contracts.events import Received
from kit.database.unit_of_work import UnitOfWork

from scoring import messages as m
from scoring.records import OwnerRecord
from scoring.repository import ScoringRepository
from scoring.service.profiles import ShippedPoints
from scoring.service.submissions import Arrival, SubmissionService


async def keep_assessments(uow: UnitOfWork, events: Sequence[Received[m.AssessmentPublished]]) -> None:
    """Keep each published version, and give shipped points to those that process templates asked for; the last event of
    a batch about one version counts."""
    found = {(r.assessment_key, r.version): r for r in map(m.read_assessment, events)}
    await ScoringRepository(uow.session, uow.tenant_id).upsert_assessments(list(found.values()))
    await ShippedPoints(uow).give(dict(filter(None, map(m.asked_points, events))))


async def score_submissions(uow: UnitOfWork, events: Sequence[Received[m.AssessmentSubmitted]]) -> None:
    """Score what has a profile, and let the rest wait for one."""
    await SubmissionService(uow).score_or_park([Arrival.of(event) for event in events])


async def keep_owners(uow: UnitOfWork, events: Sequence[Received[m.RecordObserved]]) -> None:
    """Keep whose each opportunity is; the last event of a batch about one counts."""
    newest: dict[str, OwnerRecord] = {}
    for found in map(m.read_owner, events):
        held = newest.setdefault(found.opportunity_id, found)
        if found.observed_no > held.observed_no:
            newest[found.opportunity_id] = found
    # In one order for all: two transactions that write the same rows in different orders would deadlock.
    ScoringRepository(uow.session, uow.tenant_id).keep_owners([newest[key] for key in sorted(newest)])
