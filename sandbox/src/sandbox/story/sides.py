"""What everybody who takes part in a run saw of it."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.story.arrivals import Arrivals
from sandbox.story.journal import Journal
from sandbox.story.partner import Partner
from sandbox.story.witness import Witness


@dataclass(frozen=True, slots=True)
class Sides:
    """The accounts of one run: of the reps, of whoever reads all topics, of the partner and of the org. None of them
    is a service's own."""

    journal: Journal
    witness: Witness
    partner: Partner
    arrivals: Arrivals

    @property
    def event_count(self) -> int:
        """Events seen by anybody."""
        return self.witness.event_count + self.partner.count
