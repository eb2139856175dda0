"""Which events this service handles, and how."""

from collections.abc import Sequence

from kit.database.unit_of_work import UnitOfWork
from kit.delivery.batch import Handlers
from kit.events import Received

from scoring.messages import AssessmentPublished, AssessmentSubmitted, read_assessment
from scoring.repository import ScoringRepository
from scoring.service.submissions import Arrival, SubmissionService


async def keep_assessments(uow: UnitOfWork, events: Sequence[Received[AssessmentPublished]]) -> None:
    """Keep each published version; the last event of a batch about one version counts."""
    found = {(r.assessment_key, r.version): r for r in map(read_assessment, events)}
    await ScoringRepository(uow.session, uow.tenant_id).upsert_assessments(list(found.values()))


async def score_submissions(uow: UnitOfWork, events: Sequence[Received[AssessmentSubmitted]]) -> None:
    """Score what has a profile, and let the rest wait for one."""
    await SubmissionService(uow).score_or_park([Arrival.of(event.message, event.sequence, event) for event in events])


HANDLERS: Handlers = {AssessmentPublished: keep_assessments, AssessmentSubmitted: score_submissions}
