"""Notes each submission once and publishes one score for it; some texts make it fail on purpose."""

import asyncio
from uuid import UUID

from kit.delivery.people import PersonObserved, observe_people
from kit.errors import InvalidEvent, RetryableError
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from stagecraft.assessment.v1.assessment_submitted_pb2 import AssessmentSubmitted
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored

from sample.models import Note


class Faults:
    """What the next calls shall suffer, by assessment key."""

    def __init__(self) -> None:
        self.retries: dict[str, int] = {}
        self.hold: dict[str, asyncio.Event] = {}
        self.crashes: dict[str, int] = {}
        self.calls = 0


async def note_submissions(uow, events):
    faults = uow.resources.get(Faults)
    faults.calls += 1
    for event in events:
        key = event.message.assessment_key
        if key == "poison":
            raise InvalidEvent("poisoned", "as told")
        if key == "bug":
            raise ZeroDivisionError("a bug")
        if key == "broken sql":
            await uow.session.execute(text("SELECT 1/0"))
        if key == "broken table":
            await uow.session.execute(text("SELECT no_such_column FROM no_such_table"))
        if key in faults.hold:
            await faults.hold[key].wait()
        if faults.crashes.get(key, 0) > 0:
            faults.crashes[key] -= 1
            raise ZeroDivisionError("a bug")
        if faults.retries.get(key, 0) > 0:
            faults.retries[key] -= 1
            raise RetryableError("not yet")
        submission_id = UUID(event.message.submission_id)
        row = {"tenant_id": uow.tenant_id, "note_id": submission_id, "text": key, "seen": 1}
        statement = insert(Note).values(row)
        changed = {"seen": Note.__table__.c.seen + 1}
        await uow.session.execute(
            statement.on_conflict_do_update(index_elements=["tenant_id", "note_id"], set_=changed)
        )
        score = SubmissionScored(submission_id=str(submission_id), opportunity_id=event.message.opportunity_id)
        uow.publish(score, sequence=event.sequence, cause=event)


HANDLERS = {AssessmentSubmitted: note_submissions, PersonObserved: observe_people}
