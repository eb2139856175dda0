"""Whom a refusal of the CRM is about. Only one that is about a record is a verdict on the write of that record."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

# The second pause is twice the first, and so on up to this.
LONGEST_HOLD = timedelta(minutes=15)


class Scope(StrEnum):
    """What a refusal is about: one record, a field or an object of the CRM, or the CRM as a whole."""

    RECORD = "RECORD"
    FIELD = "FIELD"
    OBJECT = "OBJECT"
    ORG = "ORG"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal that is about more than one record. `subject` is the object it is about; empty for the whole CRM."""

    scope: Scope
    subject: str
    fields: tuple[str, ...]
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Writes that are held back, all of them or those that touch an object, because the CRM refuses them. From `until`
    on a few are sent to find out whether it still does."""

    scope: Scope
    subject: str
    fields: tuple[str, ...]
    code: str
    reason: str
    since: datetime
    until: datetime
    refusals: int


class Holds:
    """What is held back now. A hold ends when the CRM takes a write that it would have held back."""

    def __init__(self, clock: Callable[[], datetime], held: Collection[Hold] = ()) -> None:
        self._clock = clock
        self._held = {hold.subject: hold for hold in held}

    @property
    def all(self) -> list[Hold]:
        """Every hold, that of the whole CRM first."""
        return [self._held[subject] for subject in sorted(self._held)]

    @property
    def probing(self) -> bool:
        """Whether the next call is to find out whether something is still refused."""
        now = self._clock()
        return any(hold.until <= now for hold in self._held.values())

    def blocks(self, touched: Collection[str]) -> bool:
        """Whether a write that touches these objects has to wait now."""
        now = self._clock()
        return any(hold.until > now for hold in self._held.values() if not hold.subject or hold.subject in touched)

    def refused(self, refusal: Refusal, first: timedelta, longest: timedelta = LONGEST_HOLD) -> None:
        """Hold back what the refusal is about; longer each time."""
        now, before = self._clock(), self._held.get(refusal.subject)
        if before is not None and before.until > now:
            return
        refusals = before.refusals + 1 if before else 1
        pause = min(first * 2 ** min(refusals - 1, 20), longest)
        self._held[refusal.subject] = Hold(
            scope=refusal.scope,
            subject=refusal.subject,
            fields=refusal.fields,
            code=refusal.code,
            reason=refusal.reason,
            since=before.since if before else now,
            until=now + pause,
            refusals=refusals,
        )

    def taken(self, touched: Collection[str]) -> None:
        """The CRM took a write that touches these objects."""
        for subject in ("", *touched):
            self._held.pop(subject, None)

    def try_now(self) -> None:
        """Let everything be tried at once, because a person asked for it."""
        now = self._clock()
        self._held = {subject: replace(hold, until=now) for subject, hold in self._held.items()}
