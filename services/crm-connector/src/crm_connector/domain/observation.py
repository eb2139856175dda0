"""What the CRM shows of a record, and whether it is news.

The connector keeps, per record, the last facts it knows. A change of the CRM is folded into them and comes out
as an observation, as the echo of our own write, or as nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypedDict

from crm_connector.domain.fields import OWNER, STAGE, UNKNOWN

OPPORTUNITY = "opportunity"
# A write whose echo has not come by then is taken to have lost it.
ECHO_PATIENCE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the platform wants to know of a record; the stage by the CRM's name, `fields` holds the mapped facts."""

    stage: str
    owner_id: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


class ClockSource(StrEnum):
    """How it is known since when an opportunity is in its stage: by the CRM's history of stages, by its stamp of the
    last change of stage, or, when the stage never changed, by the record's creation."""

    HISTORY = "HISTORY"
    STAGE_STAMP = "STAGE_STAMP"
    CREATION = "CREATION"


@dataclass(frozen=True, slots=True)
class StageClock:
    """Since when an opportunity is in its stage."""

    since: datetime
    source: ClockSource


@dataclass(frozen=True, slots=True)
class CrmRecord:
    """A record as the CRM gave it to a read. `write_id` is that of our last write which the CRM holds. Without
    `created_at` it is not known when it was created."""

    record_id: str
    facts: Facts
    modified_at: datetime
    modified_by: str = ""
    write_id: str = ""
    deleted: bool = False
    stage_clock: StageClock | None = None
    object_type: str = OPPORTUNITY
    created_at: datetime | None = None


class FactChanges(TypedDict, total=False):
    """Those of the facts that a change gives anew; the mapped ones are apart."""

    stage: str
    owner_id: str


class ChangeKind(StrEnum):
    """What a change of the CRM says happened. GAP: something, read the record; OVERFLOW: anything, read them all."""

    CREATED = "CREATED"
    UPDATED = "UPDATED"
    DELETED = "DELETED"
    UNDELETED = "UNDELETED"
    GAP = "GAP"
    OVERFLOW = "OVERFLOW"


@dataclass(frozen=True, slots=True)
class CrmChange:
    """One change of one record, in the order of commits.

    `fields` holds what a person or a flow changed, by the CRM's names: neither what the CRM derives by itself nor our
    own bookkeeping. `facts` and `mapped` hold those of them that are facts. With `incomplete` some facts can only be
    read, such as those of another account. `write_id` is set when the change carries one of ours.
    """

    change_id: str
    record_id: str
    kind: ChangeKind
    committed_at: datetime
    changed_by: str = ""
    write_id: str = ""
    fields: Mapping[str, object] = field(default_factory=dict)
    facts: FactChanges = field(default_factory=FactChanges)
    mapped: Mapping[str, str] = field(default_factory=dict)
    incomplete: bool = False
    object_type: str = OPPORTUNITY


class ObservationKind(StrEnum):
    """Why an observation is published."""

    IMPORTED = "IMPORTED"
    CREATED = "CREATED"
    UPDATED = "UPDATED"
    DELETED = "DELETED"
    UNDELETED = "UNDELETED"
    CONFLICT = "CONFLICT"


@dataclass(frozen=True, slots=True)
class Known:
    """What we know of an opportunity before the next change.

    `facts` is None before the first observation. `state_at` is the record's own time of the last read: the facts
    contain the changes that were committed before it. `awaited` is the write of a stage that the CRM confirmed and
    whose echo has not come: until then the stream of changes is behind, and any stage in it is older than ours.
    """

    facts: Facts | None = None
    deleted: bool = False
    state_at: datetime | None = None
    awaited: str = ""
    awaited_since: datetime | None = None

    def awaits_at(self, moment: datetime) -> bool:
        """Whether a stage seen in a change of that moment is older than our own write."""
        return bool(self.awaited) and self.awaited_since is not None and moment < self.awaited_since + ECHO_PATIENCE


@dataclass(frozen=True, slots=True)
class Effect:
    """What a change makes of what we knew. `kind` is set when that is to be published as an observation; `changed` are
    then the names of the facts that changed."""

    known: Known
    kind: ObservationKind | None = None
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Occasion:
    """When and by whom something was observed."""

    change_id: str
    committed_at: datetime
    changed_by: str = ""
    stage_clock: StageClock | None = None


def is_echo(change: CrmChange, sent: Mapping[str, object] | None) -> bool:
    """Whether the change is nothing but our own write coming back.

    The write id alone proves only that our write is in it: automation in the CRM may have changed more in the same
    transaction, and that is news. `sent` is what that write sent, None when no write of ours has the id.
    """
    return sent is not None and not foreign_fields(change, sent)


def foreign_fields(change: CrmChange, sent: Mapping[str, object] | None) -> tuple[str, ...]:
    """Names of the changed fields that our write did not set to just these values."""
    ours = sent or {}
    return tuple(name for name, value in change.fields.items() if name not in ours or ours[name] != value)


def needs_read(known: Known, change: CrmChange) -> bool:
    """Whether the change alone leaves the facts unknown, so that the record has to be read."""
    if change.kind in (ChangeKind.GAP, ChangeKind.UNDELETED) or change.incomplete:
        return True
    return change.kind is ChangeKind.UPDATED and (known.facts is None or known.deleted)


def hides_stage(change: CrmChange, sent_stage: str | None) -> bool:
    """Whether our write of a stage came back without it: a flow may have put the stage back before it was saved, which
    only the record shows."""
    return bool(sent_stage) and change.kind is ChangeKind.UPDATED and STAGE not in change.facts


def fold(known: Known, change: CrmChange, sent: Mapping[str, object] | None) -> Effect:
    """The change's effect on what we know. Only for changes that need no read."""
    known = _echoed(known, change.write_id)
    if known.state_at is not None and change.committed_at < known.state_at:
        return Effect(known)
    if change.kind is ChangeKind.DELETED:
        kind = None if known.deleted else ObservationKind.DELETED
        return Effect(replace(known, deleted=True), kind)
    before = known.facts or Facts("")
    facts = replace(before, fields={**before.fields, **change.mapped}, **change.facts)
    if known.awaits_at(change.committed_at):
        facts = replace(facts, stage=before.stage)
    after = replace(known, facts=facts, deleted=False)
    if known.facts is None:
        # A record that our own write made is as new to every service as any other.
        return Effect(after, ObservationKind.CREATED)
    if not is_other(known.facts, facts) or is_echo(change, sent):
        return Effect(after)
    return Effect(after, ObservationKind.UPDATED, _foreign_facts(change, sent, changed_facts(before, facts)))


def _foreign_facts(change: CrmChange, sent: Mapping[str, object] | None, names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the facts that our write did not set."""
    ours = sent is not None and change.facts.get("stage") in sent.values()
    return tuple(name for name in names if not (ours and name == STAGE))


def kind_of_read(
    known: Known, record: CrmRecord, kind: ObservationKind, followed_since: datetime | None
) -> ObservationKind:
    """What a read is published as, for which `kind` is meant: CREATED where it is the first that we see of a record
    that was made since we follow its type. A read may come before the change that tells of the creation, and the record
    may have been deleted and undeleted before anything was read of it."""
    if known.facts is not None or kind is ObservationKind.CONFLICT:
        return kind
    return _kind_of_first(kind, record.created_at, followed_since)


def of_first_sight(effect: Effect, made_at: datetime, followed_since: datetime | None) -> Effect:
    """The effect of the change that tells of a creation. The stream may go back to before we followed the type: what
    was made then is none of our time, whichever shows it first."""
    if effect.kind is not ObservationKind.CREATED:
        return effect
    return replace(effect, kind=_kind_of_first(effect.kind, made_at, followed_since))


def _kind_of_first(kind: ObservationKind, made_at: datetime | None, followed_since: datetime | None) -> ObservationKind:
    if followed_since is None or made_at is None:
        return kind
    if made_at >= followed_since:
        return ObservationKind.CREATED
    return ObservationKind.IMPORTED if kind is ObservationKind.CREATED else kind


def fold_record(known: Known, record: CrmRecord, kind: ObservationKind) -> Effect:
    """The effect of having read the record itself; `kind` is what to publish if it is news."""
    known = _echoed(known, record.write_id)
    if known.state_at is not None and record.modified_at < known.state_at:
        return Effect(known)
    facts, state_at = record.facts, record.modified_at
    if known.facts is not None and known.awaits_at(record.modified_at):
        # The record's stage may be older than ours, or newer: the changes will show it, so none of them counts as read.
        facts, state_at = replace(facts, stage=known.facts.stage), known.state_at
    if record.deleted and known.facts is None:
        # Nobody was shown it. Should it come back, that is the first that anyone sees of it.
        return Effect(replace(known, deleted=True, state_at=state_at))
    after = replace(known, facts=facts, deleted=record.deleted, state_at=state_at)
    if record.deleted:
        kind = ObservationKind.DELETED
        news = not known.deleted
    else:
        news = known.deleted or is_other(known.facts, facts)
        if known.deleted and kind is ObservationKind.UPDATED:
            kind = ObservationKind.UNDELETED
    if not news:
        return Effect(after)
    return Effect(after, kind, changed_facts(known.facts, facts))


def since_written(effect: Effect, stage: str | None) -> Effect:
    """The effect of what proved that our write of this stage was carried out. If the CRM shows another stage by now,
    that came after our write and has to be published after it, even if we knew it already."""
    facts = effect.known.facts
    if not stage or facts is None or facts.stage == stage or effect.kind is not None:
        return effect
    return replace(effect, kind=ObservationKind.UPDATED, changed=(STAGE,))


def is_other(before: Facts | None, after: Facts) -> bool:
    """Whether what is known differs. A fact that is not read is as unknown as one that is empty."""
    return before is None or bool(changed_facts(before, after))


def changed_facts(before: Facts | None, after: Facts) -> tuple[str, ...]:
    """Names of the facts that differ; none at the first observation."""
    if before is None:
        return ()
    was, now = _named(before), _named(after)
    return tuple(name for name in dict.fromkeys([*now, *was]) if was.get(name, UNKNOWN) != now.get(name, UNKNOWN))


def _named(facts: Facts) -> dict[str, str]:
    return {STAGE: facts.stage, OWNER: facts.owner_id, **facts.fields}


def written(known: Known, stage: str, write_id: str, at: datetime) -> Known:
    """What we know once the CRM confirmed that it holds our stage. Before the first observation the other facts stay
    unknown, so that the echo makes us read the record.

    A read before the confirmation may have shown an edit made after our write, so no change counts as read any more.
    """
    facts = replace(known.facts, stage=stage) if known.facts else None
    return replace(known, facts=facts, state_at=None, awaited=write_id, awaited_since=at)


def _echoed(known: Known, write_id: str) -> Known:
    # Write ids are in the order of writes, so a later one shows that the awaited one is past, too.
    if known.awaited and write_id >= known.awaited:
        return replace(known, awaited="", awaited_since=None)
    return known
