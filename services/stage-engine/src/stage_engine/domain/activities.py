"""Facts that come from what people did about a subject: how often, and when last.

The CRM tells of an activity again whenever it changes, perhaps twice or late. Of each activity the last state counts,
so the facts do not depend on the order in which states come.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from stage_engine.domain.facts import ACTIVITY_COUNT, CRM, LAST_INBOUND, LAST_TOUCH, FactInForce
from stage_engine.domain.literals import StoredLiteral
from stage_engine.domain.owed import Touch

# A subject and an activity, or a subject and a kind.
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Activity:
    """An activity about a subject, as it was at `committed_at`. One that is planned or `withdrawn` does not count.
    `person_id` is whose it is, empty where that is not known."""

    subject_id: str
    activity_id: str
    kind: str
    done: bool
    withdrawn: bool
    inbound: bool
    occurred_at: datetime
    committed_at: datetime
    person_id: str = ""

    @property
    def touch(self) -> Touch:
        """As obligations ask for it."""
        return Touch(self.activity_id, self.kind, self.inbound, self.occurred_at, self.person_id)

    @property
    def counts(self) -> bool:
        return self.done and not self.withdrawn

    @property
    def key(self) -> Key:
        return self.subject_id, self.activity_id

    @property
    def order(self) -> tuple[datetime, bool, bool, str, bool, datetime, str]:
        """Greater is later. A meeting that has begun is done without having been changed; what is gone stays gone."""
        return self.committed_at, self.withdrawn, self.done, self.kind, self.inbound, self.occurred_at, self.person_id


@dataclass(frozen=True, slots=True)
class Asked:
    """What obligations ask of activities: those that took place, and ids of those that count no more."""

    touches: tuple[Touch, ...] = ()
    withdrawn: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Total:
    """The activities of one kind that count for a subject. `changes` counts all that was heard of them."""

    subject_id: str
    kind: str
    count: int
    last_at: datetime | None
    last_inbound_at: datetime | None
    observed_at: datetime
    changes: int


@dataclass(frozen=True, slots=True)
class Change:
    """What a total gains or loses."""

    subject_id: str
    kind: str
    count: int
    observed_at: datetime
    changes: int


def latest(held: Mapping[Key, Activity], given: Iterable[Activity]) -> list[Activity]:
    """The last state of each activity of which something newer is given."""
    found: dict[Key, Activity] = {}
    for each in given:
        before = found.get(each.key) or held.get(each.key)
        if before is None or each.order > before.order:
            found[each.key] = each
    return list(found.values())


def withdrawn_of(held: Mapping[Key, Activity], new: Iterable[Activity]) -> dict[str, list[str]]:
    """Activities that counted and do so no more, or as another one, by subject: what they met is open again."""
    found: dict[str, list[str]] = {}
    for after in new:
        before = held.get(after.key)
        if before is not None and before.counts and not (after.counts and before.touch == after.touch):
            found.setdefault(after.subject_id, []).append(after.activity_id)
    return found


def asked_of(
    new: Sequence[Activity], withdrawn: Mapping[str, Sequence[str]], others: Iterable[Activity]
) -> dict[str, Asked]:
    """What obligations ask of new states, by subject; `others` are those that may take the place of what was
    withdrawn."""
    touches: dict[str, dict[str, Touch]] = {each.subject_id: {} for each in new}
    for each in (*others, *new):
        if each.counts:
            touches[each.subject_id][each.activity_id] = each.touch
    return {id_: Asked(tuple(found.values()), tuple(withdrawn.get(id_, ()))) for id_, found in touches.items()}


def changes_of(held: Mapping[Key, Activity], new: Iterable[Activity]) -> list[Change]:
    """What these states change in the totals of their subjects and kinds, in the order of both."""
    counts: Counter[Key] = Counter()
    heard: Counter[Key] = Counter()
    observed: dict[Key, datetime] = {}
    for after in new:
        before = held.get(after.key)
        for each, sign in ((before, -1), (after, 1)):
            if each is not None:
                place = each.subject_id, each.kind
                counts[place] += sign if each.counts else 0
                heard[place] += 1
                observed[place] = max(observed.get(place, after.committed_at), after.committed_at)
    return [Change(*place, counts[place], at, heard[place]) for place, at in sorted(observed.items())]


def facts_of(totals: Sequence[Total]) -> tuple[FactInForce, ...]:
    """The facts of one subject, by all of its totals."""
    at, number = max(each.observed_at for each in totals), sum(each.changes for each in totals)
    values: dict[str, StoredLiteral | None] = {
        LAST_TOUCH: max((each.last_at for each in totals if each.last_at), default=None),
        LAST_INBOUND: max((each.last_inbound_at for each in totals if each.last_inbound_at), default=None),
        ACTIVITY_COUNT: Decimal(sum(each.count for each in totals)),
    }
    for each in totals:
        values[f"activity.{each.kind}.count"] = Decimal(each.count)
        values[f"activity.{each.kind}.last_at"] = each.last_at
    return tuple(FactInForce(name, value, CRM, at, number) for name, value in values.items())
