"""What is owed about an opportunity, as it is kept with it."""

from datetime import datetime
from enum import StrEnum

from stage_engine.domain.value import value


class OwedState(StrEnum):
    """Still to be met; met in time; missed, and met afterwards or not yet; no longer owed before it was due."""

    OPEN = "open"
    MET = "met"
    LATE = "late"
    MISSED = "missed"
    CANCELLED = "cancelled"


@value
class Touch:
    """An activity that took place, as obligations ask for it: `by` whom, empty where that is not known."""

    activity_id: str
    kind: str
    inbound: bool
    at: datetime
    by: str


@value
class Owed:
    """One obligation; its key and `made_at` name it. `owner_id` owes it: the owner for as long as it is open. `until`
    is when it was no longer asked for, None while it is; `met_with` the activity that met it."""

    key: str
    made_at: datetime
    due: datetime
    owner_id: str
    state: OwedState = OwedState.OPEN
    met_at: datetime | None = None
    by: str = ""
    met_with: str = ""
    until: datetime | None = None


@value
class Owing:
    """What is owed under one key: the newest and the one before, which may still be met. `visit_no` is that of a series
    of one visit, 0 of another; `next_at` is when it owes the next, `rests_since` since when it is on hold, `ended`
    whether nothing more is made."""

    visit_no: int
    owed: tuple[Owed, ...]
    next_at: datetime | None = None
    rests_since: datetime | None = None
    ended: bool = False
