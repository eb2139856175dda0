"""An integration partner: reads the stage changes made for it, and records what it got.

A partner is promised every change of an opportunity exactly once by event id, and in order. It recognises a repeated
delivery by `ce_id`; a second event for a revision it already has, a revision before its predecessor or a revision that
never comes would each break the promise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from google.protobuf.message import Message
from kit.contracts.events import Received
from stagecraft.stage.v1.stage_changed_pb2 import StageChanged

TOPIC = "stagecraft.partner.acme.northwind.stage-changed.v1"
NAME = "northwind"
USER = "partner.acme.northwind"


@dataclass(frozen=True, slots=True)
class Change:
    """One stage change as the partner got it; `seen_at` in seconds of `time.perf_counter`."""

    event_id: str
    opportunity_id: str
    revision: int
    to_stage: str
    submission_id: str
    traceparent: str
    seen_at: float


class Partner:
    """What the partner knows of each opportunity."""

    def __init__(self) -> None:
        self.changes: dict[str, list[Change]] = {}
        self.by_submission: dict[str, Change] = {}
        self.repeated_deliveries = 0
        self.doubled = 0
        self.out_of_order = 0
        self._seen: set[str] = set()

    @property
    def count(self) -> int:
        """Changes received, repeated deliveries not counted."""
        return len(self._seen)

    def read(self, event: Received[Message], now: float) -> None:
        """Take in an event of the partner's topic."""
        message = cast(StageChanged, event.message)
        self.receive(
            Change(
                str(event.id),
                message.opportunity_id,
                event.sequence,
                message.to_stage,
                message.submission_id,
                event.traceparent,
                now,
            )
        )

    def receive(self, change: Change) -> None:
        """Take in a change, and note when it breaks the promise."""
        if change.event_id in self._seen:
            self.repeated_deliveries += 1
            return
        self._seen.add(change.event_id)
        known = self.changes.setdefault(change.opportunity_id, [])
        if any(other.revision == change.revision for other in known):
            self.doubled += 1
        elif known and change.revision < known[-1].revision:
            self.out_of_order += 1
        known.append(change)
        if change.submission_id:
            self.by_submission.setdefault(change.submission_id, change)

    def missing(self, opportunity_id: str, revision: int) -> int:
        """How many of an opportunity's changes up to `revision` never came."""
        got = {change.revision for change in self.changes.get(opportunity_id, ())}
        return sum(1 for number in range(1, revision + 1) if number not in got)
