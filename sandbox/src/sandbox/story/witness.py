"""What went over the topics between the services: which submission was scored, decided and moved, and when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message
from kit.contracts.events import Received, event_type
from stagecraft.assessment.v1.assessment_submitted_pb2 import AssessmentSubmitted
from stagecraft.crm.v1.crm_write_confirmed_pb2 import CrmWriteConfirmed
from stagecraft.crm.v1.crm_write_parked_pb2 import CrmWriteParked
from stagecraft.crm.v1.record_observed_pb2 import RecordObserved
from stagecraft.recommendation.v1.stage_recommended_pb2 import StageRecommended
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored
from stagecraft.stage.v1.stage_changed_pb2 import StageChanged
from stagecraft.stage.v1.stage_decided_pb2 import StageDecided

from sandbox.story.stream import Reader

Seen = tuple[Received[Any], float]


class Witness:
    """Events by what they are about, a repeated delivery counted once.

    `scores` and `decisions` by submission hold every one there was; `confirmed` holds the first confirmation of the
    stage that it led to.
    """

    def __init__(self) -> None:
        self.scores: dict[str, list[Seen]] = defaultdict(list)
        self.decisions: dict[str, list[Seen]] = defaultdict(list)
        self.other_decisions: list[Seen] = []
        self.confirmed: dict[str, Seen] = {}
        self.recommended: dict[str, Seen] = {}
        self.event_count = 0
        self._seen: set[str] = set()

    @property
    def readers(self) -> dict[str, Reader]:
        """What to read each topic with."""
        readers: dict[type[Message], Callable[[Received[Any], float], None]] = {
            SubmissionScored: self._score,
            StageDecided: self._decision,
            CrmWriteConfirmed: self._confirmation,
            CrmWriteParked: _only_counted,
            RecordObserved: _only_counted,
            StageRecommended: self._recommendation,
            AssessmentSubmitted: _only_counted,
            StageChanged: _only_counted,
        }
        return {event_type(message).topic: self._once(reader) for message, reader in readers.items()}

    def _once(self, reader: Callable[[Received[Any], float], None]) -> Reader:
        def read(event: Received[Message], now: float) -> None:
            self.event_count += 1
            if (event_id := str(event.id)) not in self._seen:
                self._seen.add(event_id)
                reader(event, now)

        return read

    def _score(self, event: Received[SubmissionScored], now: float) -> None:
        self.scores[event.message.submission_id].append((event, now))

    def _decision(self, event: Received[StageDecided], now: float) -> None:
        if event.message.HasField("submission"):
            self.decisions[event.message.submission.submission_id].append((event, now))
        else:
            self.other_decisions.append((event, now))

    def _confirmation(self, event: Received[CrmWriteConfirmed], now: float) -> None:
        if event.message.submission_id:
            self.confirmed.setdefault(event.message.submission_id, (event, now))

    def _recommendation(self, event: Received[StageRecommended], now: float) -> None:
        self.recommended[event.message.submission_id] = (event, now)


def _only_counted(event: Received[Any], now: float) -> None:
    """Its effects are seen elsewhere."""
