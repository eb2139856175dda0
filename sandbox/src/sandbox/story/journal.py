"""What the simulated people did and were answered: the run's own memory, kept apart from the services' accounts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class HandIn:
    """An accepted submission. `sent_at` is the moment before it was sent, in seconds of `time.perf_counter`."""

    submission_id: str
    deal_key: str
    opportunity_id: str
    assessment_key: str
    online: bool
    sent_at: float
    trace_id: str


@dataclass
class Journal:
    """Grows while the story is played. `refusals` and `refused_moves` count by the answer's code; `abandoned` counts
    answers nobody asked for any more; `mistaken` tells of what should have been refused and was not, or the other way
    round."""

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
