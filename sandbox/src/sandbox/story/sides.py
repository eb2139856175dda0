"""What each participant saw of a run."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.story.arrivals import Arrivals
from sandbox.story.journal import Journal
from sandbox.story.partner import Partner
from sandbox.story.witness import Witness


@dataclass(frozen=True, slots=True)
class Sides:
    """The records of one run: of the reps, of the reader of all topics, of the partner and of the org. None comes from
    a service's own database."""

    journal: Journal
    witness: Witness
    partner: Partner
    arrivals: Arrivals

    @property
    def event_count(self) -> int:
        """Events that any participant saw."""
        return self.witness.event_count + self.partner.count
