"""The topics of the sample service."""

from kit.contracts.events import MAX_RECORD_BYTES, event_type
from sandbox.stack.topics import Topic
from stagecraft.assessment.v1.assessment_submitted_pb2 import AssessmentSubmitted
from stagecraft.crm.v1.person_observed_pb2 import PersonObserved
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored

# As all topics of the platform.
LARGE = {"max.message.bytes": str(MAX_RECORD_BYTES)}


def topics_of_the_sample(partitions: int) -> list[Topic]:
    """What it reads, the dead letters of that, and what it writes."""
    read = [event_type(kind).topic for kind in (AssessmentSubmitted, PersonObserved)]
    names = [*read, *(f"{name}.dlq.sample" for name in read), event_type(SubmissionScored).topic]
    return [Topic(name=name, partitions=partitions, configs=LARGE, writer="sample") for name in names]
