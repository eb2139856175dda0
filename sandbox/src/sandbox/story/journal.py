"""What the simulated people did and which replies they got: the run's own record, apart from the services' records."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class HandIn:
    """An accepted submission. `sent_at` is the moment before it was sent, in seconds of `time.perf_counter`."""

    submission_id: str
    opportunity_key: str
    opportunity_id: str
    assessment_key: str
    online: bool
    sent_at: float
    trace_id: str


@dataclass
class Journal:
    """Grows while the story is played. `refusals` and `refused_moves` count by the code of the reply; `abandoned`
    counts answers that were no longer asked for; `mistaken` lists what was accepted and should have been refused, and
    the reverse."""

    accepted: dict[str, HandIn] = field(default_factory=dict)
    refusals: Counter[str] = field(default_factory=Counter)
    refused_moves: Counter[str] = field(default_factory=Counter)
    refusal_words: dict[str, str] = field(default_factory=dict)
    duplicates: int = 0
    next_asked: int = 0
    edits: int = 0
    abandoned: int = 0
    mistaken: list[str] = field(default_factory=list)

    def accept(self, done: HandIn) -> None:
        self.accepted[done.submission_id] = done

    def refuse(self, counter: Counter[str], code: str, words: str) -> None:
        """Count a refusal and keep its first wording."""
        counter[code] += 1
        self.refusal_words.setdefault(code, words)
