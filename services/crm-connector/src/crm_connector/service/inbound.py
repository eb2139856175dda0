"""What the CRM shows, taken into what we know and published as far as it is news."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from kit.database.unit_of_work import UnitOfWork

from crm_connector.crm import ChangeBatch
from crm_connector.domain.observation import (
    STAGE,
    ChangeKind,
    CrmChange,
    CrmRecord,
    Effect,
    FactChanges,
    Known,
    ObservationKind,
    Occasion,
    StageClock,
    fold,
    fold_record,
    hides_stage,
    kind_of_read,
    needs_read,
    of_first_sight,
    since_written,
)
from crm_connector.records import Attempt, Conflict, OpportunityRecord, QueuedWrite
from crm_connector.repository.connection import ConnectionRepository
from crm_connector.repository.opportunities import OpportunityRepository
from crm_connector.repository.settled import SettledRepository
from crm_connector.service.maps import Maps, maps_of
from crm_connector.service.publishing import observe
from crm_connector.service.settling import confirm, show_confirmed, take_echoes

# A record's stamp is set before its transaction commits, so a sweep looks back beyond the last commit seen.
OVERLAP = timedelta(seconds=600)
# What is noted when a sweep has to begin anew.
NEW_SWEEP: Mapping[str, Any] = {"sweep_after": "", "sweep_began_at": None}
_THE_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
# What a read is published as that a change of this kind made necessary.
_READ_AFTER = {ChangeKind.UNDELETED: ObservationKind.UNDELETED, ChangeKind.CREATED: ObservationKind.CREATED}


async def ids_to_read(uow: UnitOfWork, changes: Sequence[CrmChange]) -> list[str]:
    """Opportunities whose changes leave the facts unknown."""
    rows = await OpportunityRepository(uow.session, uow.tenant_id).read(c.record_id for c in changes)
    written = {change.write_id for change in changes if change.write_id and STAGE not in change.facts}
    attempts = await SettledRepository(uow.session, uow.tenant_id).ledger(written) if written else {}
    created: set[str] = set()
    wanted: dict[str, None] = {}
    for change in changes:
        key = change.record_id
        if change.kind is ChangeKind.CREATED:
            created.add(key)
        known = rows[key].known if key in rows else Known()
        gap = change.kind in (ChangeKind.GAP, ChangeKind.UNDELETED)
        anyway = gap or change.incomplete or key not in created
        attempt = attempts.get(change.write_id)
        unknown = needs_read(known, change) or hides_stage(change, attempt.stage if attempt else None)
        if change.kind is not ChangeKind.OVERFLOW and anyway and unknown:
            wanted[key] = None
    return list(wanted)


async def apply_changes(uow: UnitOfWork, batch: ChangeBatch, records: Mapping[str, CrmRecord], now: datetime) -> None:
    """Apply a batch and move the position behind it, in one transaction. `records` holds what was read for it."""
    connection = ConnectionRepository(uow.session, uow.tenant_id)
    fresh = await connection.unseen(change.change_id for change in batch.changes)
    changes = [change for change in batch.changes if change.change_id in fresh]
    position: dict[str, Any] = {"position": batch.position, "position_at": now}
    if batch.changes:
        position |= {"position_at": batch.changes[-1].committed_at, "schema_id": batch.schema_id}
    position |= {"progress_at": now}
    if any(change.kind is ChangeKind.OVERFLOW for change in changes):
        position |= {"sweep_since": _THE_BEGINNING, **NEW_SWEEP}
    elif batch.blind:
        position |= await _blind(connection, now)
    await connection.set_aside(batch.unread)
    single = [change for change in changes if change.kind is not ChangeKind.OVERFLOW]
    if single:
        intake = await _Intake.open(uow, single, now)
        for change in single:
            intake.take_change(change, records.get(change.record_id))
        await intake.save()
    await connection.note(now, **position)


async def _blind(connection: ConnectionRepository, now: datetime) -> dict[str, Any]:
    """It is not known which records a change was about: all that were touched since the last place are read again."""
    known = await connection.get()
    since = (known.position_at or now) - OVERLAP
    return {"sweep_since": min(since, known.sweep_since or since), **NEW_SWEEP}


async def apply_shown(uow: UnitOfWork, changes: Sequence[CrmChange], now: datetime) -> None:
    """Apply changes of our own making that the CRM does not show by itself."""
    intake = await _Intake.open(uow, changes, now)
    for change in changes:
        # What has no stage of its own begins.
        facts = change.facts
        if change.kind is ChangeKind.CREATED:
            facts = FactChanges(stage=intake.maps.first_stage(change.object_type), owner_id="") | facts
        intake.take_change(replace(change, facts=facts), None)
    await intake.save()


async def apply_records(uow: UnitOfWork, page: Sequence[CrmRecord], kind: ObservationKind, now: datetime) -> int:
    """Take over records as they were read; the number of them that were news."""
    intake = await _Intake.open(uow, page, now)
    news = sum(intake.take_record(record, kind) for record in page)
    await intake.save()
    return news


async def not_yet_observed(uow: UnitOfWork, page: Sequence[CrmRecord]) -> list[CrmRecord]:
    """Those of the records of which nothing is known."""
    rows = await OpportunityRepository(uow.session, uow.tenant_id).read(record.record_id for record in page)
    known = {key for key, row in rows.items() if row.known.facts is not None}
    return [record for record in page if record.record_id not in known]


def with_clocks(page: Sequence[CrmRecord], clocks: Mapping[str, StageClock]) -> list[CrmRecord]:
    """The records with what is known better of when they came into their stage."""
    return [replace(each, stage_clock=clocks.get(each.record_id, each.stage_clock)) for each in page]


async def apply_import_page(uow: UnitOfWork, import_id: UUID, page: Sequence[CrmRecord], now: datetime) -> None:
    """Take over one page of an import and note how far it came, in one transaction."""
    news = await apply_records(uow, page, ObservationKind.IMPORTED, now)
    connection = ConnectionRepository(uow.session, uow.tenant_id)
    await connection.advance_import(import_id, page[-1].record_id, len(page), news, now)


async def apply_absences(
    uow: UnitOfWork, types: Mapping[str, str], records: Mapping[str, CrmRecord], now: datetime
) -> None:
    """Take over that the CRM no longer has some records, of these types by id; `records` holds those of them of which
    there is something left."""
    gone = [_absence(key, kind, now) for key, kind in types.items() if key not in records]
    intake = await _Intake.open(uow, [*records.values(), *gone], now)
    for record in records.values():
        intake.take_record(record, ObservationKind.UPDATED)
    for change in gone:
        intake.take_change(change, None)
    await intake.save()


def _absence(key: str, object_type: str, now: datetime) -> CrmChange:
    return CrmChange(f"absent:{key}:{now.isoformat()}", key, ChangeKind.GAP, now, object_type=object_type)


@dataclass(frozen=True, slots=True)
class _Intake:
    """Folds what the CRM shows into the opportunities that it locked, in one transaction. `attempts` are our own writes
    among what is shown; `proven` are those that no reply had confirmed before. `followed` says since when the types are
    followed."""

    uow: UnitOfWork
    now: datetime
    rows: dict[str, OpportunityRecord]
    maps: Maps
    attempts: Mapping[str, Attempt]
    proven: dict[UUID, QueuedWrite]
    followed: Mapping[str, datetime]

    @classmethod
    async def open(cls, uow: UnitOfWork, shown: Sequence[CrmChange | CrmRecord], now: datetime) -> "_Intake":
        """Lock the opportunities that are shown, and take the echoes of our own writes."""
        opportunities = OpportunityRepository(uow.session, uow.tenant_id)
        rows = await opportunities.lock(each.record_id for each in shown)
        maps = await maps_of(uow, rows.values())
        written = {each.write_id for each in shown if each.write_id}
        attempts = await SettledRepository(uow.session, uow.tenant_id).ledger(written)
        proven = await take_echoes(uow, (attempt.intent_id for attempt in attempts.values()), now)
        first_seen = any(row.known.facts is None for row in rows.values())
        followed = await ConnectionRepository(uow.session, uow.tenant_id).followed_since() if first_seen else {}
        return cls(uow, now, rows, maps, attempts, proven, followed)

    def take_change(self, change: CrmChange, record: CrmRecord | None) -> None:
        """Fold a change; `record` is its opportunity as it was read, if it had to be."""
        known = self.rows[change.record_id].known
        attempt = self.attempts.get(change.write_id)
        if needs_read(known, change) or (
            record is not None and hides_stage(change, attempt.stage if attempt else None)
        ):
            effect = self._effect_of_read(known, record, change)
        else:
            effect = fold(known, change, attempt.sent if attempt else None)
            effect = of_first_sight(effect, change.committed_at, self.followed.get(change.object_type))
        occasion = Occasion(change.change_id, change.committed_at, change.changed_by)
        self._take(change, effect, attempt, occasion)

    def take_record(self, record: CrmRecord, kind: ObservationKind) -> bool:
        """Fold a record that was read; whether it was news, to be published as `kind`."""
        row = self.rows[record.record_id]
        effect = self._fold_read(row.known, record, kind)
        # Facts that come from elsewhere change without the record's own stamp: the number of the news names them.
        number = f":{row.sequence + 1}" if row.known.state_at == record.modified_at else ""
        occasion = _reading(record, f"read:{record.record_id}:{record.modified_at.isoformat()}{number}")
        self._take(record, effect, self.attempts.get(record.write_id), occasion)
        return effect.kind is not None

    def _effect_of_read(self, known: Known, record: CrmRecord | None, change: CrmChange) -> Effect:
        if record is not None:
            return self._fold_read(known, record, _READ_AFTER.get(change.kind, ObservationKind.UPDATED))
        if known.facts is None or known.deleted:
            return Effect(known)
        # The CRM says something happened to a record that it no longer has.
        return Effect(replace(known, deleted=True), ObservationKind.DELETED)

    def _fold_read(self, known: Known, record: CrmRecord, kind: ObservationKind) -> Effect:
        since = self.followed.get(record.object_type)
        return fold_record(known, record, kind_of_read(known, record, kind, since))

    def _take(self, shown: CrmChange | CrmRecord, effect: Effect, attempt: Attempt | None, occasion: Occasion) -> None:
        row = replace(self.rows[shown.record_id], object_type=shown.object_type)
        proven = self.proven.pop(attempt.intent_id, None) if attempt else None
        if attempt and proven and proven.target_stage:
            row = confirm(self.uow, row, proven, attempt.write_id, self.now)
            effect = since_written(effect, attempt.stage)
        elif proven:
            show_confirmed(proven)
        after = observe(self.uow, self.maps, row, effect, occasion)
        self.rows[shown.record_id] = replace(after, stage_is_ours=self._is_ours(row, after, attempt))

    def _is_ours(self, before: OpportunityRecord, after: OpportunityRecord, attempt: Attempt | None) -> bool:
        facts, was = after.known.facts, before.known.facts
        if facts is None:
            return after.stage_is_ours
        if attempt and attempt.stage and attempt.stage == facts.stage:
            return True
        unchanged = was is not None and facts.stage == was.stage
        return unchanged and after.stage_is_ours

    async def save(self) -> None:
        """Write the opportunities back."""
        opportunities = OpportunityRepository(self.uow.session, self.uow.tenant_id)
        await opportunities.save(list(self.rows.values()), self.now)


def _reading(record: CrmRecord, change_id: str) -> Occasion:
    return Occasion(change_id, record.modified_at, record.modified_by, record.stage_clock)


async def observe_conflicts(
    uow: UnitOfWork,
    conflicts: Sequence[Conflict],
    records: Mapping[str, CrmRecord],
    now: datetime,
) -> None:
    """Publish what the CRM holds where our writes met another stage, even if we knew it already."""
    opportunities = OpportunityRepository(uow.session, uow.tenant_id)
    rows = await opportunities.lock(conflict.opportunity_id for conflict in conflicts)
    maps = await maps_of(uow, rows.values())
    for conflict in conflicts:
        row = rows[conflict.opportunity_id]
        record, since = records.get(row.opportunity_id), row.known.awaited_since
        # A write after the refusal holds, and the record may have been read before that.
        if record is None or (since is not None and since > conflict.settled_at):
            continue
        # The refusal proves that the CRM does not hold our stage, so no echo of it will come.
        known = replace(row.known, awaited="", awaited_since=None)
        effect = fold_record(known, record, ObservationKind.CONFLICT)
        effect = replace(effect, kind=effect.kind or ObservationKind.CONFLICT)
        occasion = _reading(record, f"conflict:{conflict.write_id}")
        rows[row.opportunity_id] = replace(observe(uow, maps, row, effect, occasion), stage_is_ours=False)
    await opportunities.save(list(rows.values()), now)
    observed = [conflict.intent_id for conflict in conflicts]
    await SettledRepository(uow.session, uow.tenant_id).conflicts_observed(observed, now)
