"""What other services said: assessments are kept, submissions are scored."""

from collections.abc import Sequence
from decimal import InvalidOperation

from forms.definition import form_to_json
from forms.lint import Severity, lint
from forms.messages import form_from_event
from kit.consumer import Handlers
from kit.db import UnitOfWork
from kit.errors import InvalidEvent
from kit.events import Received
from stagecraft.assessment.v1.assessment_published_pb2 import ASSESSMENT_STATUS_RETIRED, AssessmentPublished
from stagecraft.assessment.v1.assessment_submitted_pb2 import AssessmentSubmitted

from scoring.repository import Row, ScoringRepository
from scoring.service.submissions import SubmissionService, read_submission


async def keep_assessments(uow: UnitOfWork, events: Sequence[Received[AssessmentPublished]]) -> None:
    """Keep each published version; the last event of a batch about one version counts."""
    found: dict[tuple[str, int], Row] = {}
    for event in events:
        row = _assessment_row(event)
        found[row["assessment_key"], row["version"]] = row
    await ScoringRepository(uow.session, uow.tenant_id).upsert_assessments(list(found.values()))


def _assessment_row(event: Received[AssessmentPublished]) -> Row:
    message = event.message
    try:
        form = form_from_event(message)
    except (ValueError, InvalidOperation) as error:
        raise InvalidEvent("bad_definition", str(error)) from error
    errors = [finding for finding in lint(form) if finding.severity is Severity.ERROR]
    if errors:
        raise InvalidEvent("bad_definition", f"{errors[0].pointer}: {errors[0].message}")
    return {
        "assessment_key": form.key,
        "version": form.version,
        "definition": form_to_json(form),
        "retired": message.status == ASSESSMENT_STATUS_RETIRED,
        "revision": event.sequence,
    }


async def score_submissions(uow: UnitOfWork, events: Sequence[Received[AssessmentSubmitted]]) -> None:
    submissions = [read_submission(event.message, event.sequence, event) for event in events]
    await SubmissionService(uow).score_or_park(submissions)


HANDLERS: Handlers = {AssessmentPublished: keep_assessments, AssessmentSubmitted: score_submissions}
