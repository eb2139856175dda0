"""What the CRM shows, taken into what we know and published as far as it is news."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from kit.database.unit_of_work import UnitOfWork

from crm_connector.crm import ChangeBatch
from crm_connector.domain.intents import IntentState
from crm_connector.domain.observation import (
    ChangeKind,
    CrmChange,
    CrmOpportunity,
    Effect,
    Known,
    ObservationKind,
    Occasion,
    fold,
    fold_record,
    needs_read,
    since_written,
)
from crm_connector.records import OpportunityRecord
from crm_connector.repository.connection import ConnectionRepository
from crm_connector.repository.intents import IntentRepository
from crm_connector.repository.opportunities import OpportunityRepository
from crm_connector.service.maps import Maps, load_maps
from crm_connector.service.publishing import confirm, observe, show_confirmed

Names = Mapping[str, str]
_THE_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
# What a read is published as that a change of this kind made necessary.
_READ_AFTER = {ChangeKind.UNDELETED: ObservationKind.UNDELETED, ChangeKind.CREATED: ObservationKind.CREATED}


async def ids_to_read(uow: UnitOfWork, changes: Sequence[CrmChange]) -> list[str]:
    """Opportunities whose changes leave the facts unknown."""
    rows = await OpportunityRepository(uow.session, uow.tenant_id).read(c.opportunity_id for c in changes)
    created: set[str] = set()
    wanted: dict[str, None] = {}
    for change in changes:
        key = change.opportunity_id
        if change.kind is ChangeKind.CREATED:
            created.add(key)
        known = rows[key].known if key in rows else Known()
        gap = change.kind in (ChangeKind.GAP, ChangeKind.UNDELETED)
        if change.kind is not ChangeKind.OVERFLOW and (gap or key not in created) and needs_read(known, change):
            wanted[key] = None
    return list(wanted)


async def apply_changes(
    uow: UnitOfWork, batch: ChangeBatch, records: Mapping[str, CrmOpportunity], names: Names, now: datetime
) -> None:
    """Apply a batch and move the position behind it, in one transaction. `records` holds what was read for it."""
    connection = ConnectionRepository(uow.session, uow.tenant_id)
    fresh = await connection.unseen(change.change_id for change in batch.changes)
    changes = [change for change in batch.changes if change.change_id in fresh]
    position: dict[str, Any] = {"position": batch.position, "position_at": now}
    if batch.changes:
        position |= {"position_at": batch.changes[-1].committed_at, "schema_id": batch.schema_id}
    if any(change.kind is ChangeKind.OVERFLOW for change in changes):
        position |= {"sweep_since": _THE_BEGINNING}
    single = [change for change in changes if change.kind is not ChangeKind.OVERFLOW]
    if single:
        intake = await _Intake.open(uow, single, names, now)
        for change in single:
            intake.take_change(change, records.get(change.opportunity_id))
        await intake.save()
    await connection.note(now, **position)


async def apply_records(
    uow: UnitOfWork, page: Sequence[CrmOpportunity], kind: ObservationKind, names: Names, now: datetime
) -> int:
    """Take over records as they were read; the number of them that were news."""
    intake = await _Intake.open(uow, page, names, now)
    news = sum(intake.take_record(record, kind) for record in page)
    await intake.save()
    return news


async def apply_import_page(
    uow: UnitOfWork, import_id: UUID, page: Sequence[CrmOpportunity], names: Names, now: datetime
) -> None:
    """Take over one page of an import and note how far it came, in one transaction."""
    news = await apply_records(uow, page, ObservationKind.IMPORTED, names, now)
    connection = ConnectionRepository(uow.session, uow.tenant_id)
    await connection.advance_import(import_id, page[-1].opportunity_id, len(page), news, now)


@dataclass(frozen=True, slots=True)
class _OwnWrite:
    """A write of ours that the CRM shows: the attempt that arrived, and its intent."""

    intent_id: UUID
    write_id: str
    target_stage: str
    sent: Mapping[str, object]
    intent: Mapping[str, Any]


class _Intake:
    """Folds what the CRM shows into the opportunities that it locked, in one transaction."""

    def __init__(self, uow: UnitOfWork, names: Names, now: datetime, maps: Maps) -> None:
        self._uow = uow
        self._names = names
        self._now = now
        self._maps = maps
        self._rows: dict[str, OpportunityRecord] = {}
        self._writes: dict[str, _OwnWrite] = {}
        self._proven: set[UUID] = set()

    @classmethod
    async def open(
        cls, uow: UnitOfWork, shown: Sequence[CrmChange | CrmOpportunity], names: Names, now: datetime
    ) -> "_Intake":
        """Lock the opportunities that are shown, and find our own writes among what is shown of them."""
        opportunities = OpportunityRepository(uow.session, uow.tenant_id)
        rows = await opportunities.lock(each.opportunity_id for each in shown)
        intake = cls(uow, names, now, await load_maps(uow))
        intake._rows = rows
        await intake._find_own_writes({each.write_id for each in shown if each.write_id})
        return intake

    async def _find_own_writes(self, write_ids: Iterable[str]) -> None:
        """Note that our own writes came back. Proven are the intents that no reply had confirmed before."""
        intents = IntentRepository(self._uow.session, self._uow.tenant_id)
        for write_id, entry in (await intents.ledger(write_ids)).items():
            self._writes[write_id] = _OwnWrite(
                entry["intent_id"], write_id, entry["target_stage"], entry["sent"], entry
            )
        echoed = [
            {
                "intent_id": intent_id,
                "state": IntentState.ECHOED.value,
                "echoed_at": self._now,
                "updated_at": self._now,
            }
            for intent_id in {write.intent_id for write in self._writes.values()}
        ]
        await intents.move(echoed, IntentState.CONFIRMED)
        proven = [{**row, "confirmed_at": self._now} for row in echoed]
        self._proven = await intents.move(proven, IntentState.SENT, IntentState.NEW)

    def take_change(self, change: CrmChange, record: CrmOpportunity | None) -> None:
        """Fold a change; `record` is its opportunity as it was read, if it had to be."""
        known = self._rows[change.opportunity_id].known
        write = self._writes.get(change.write_id)
        if needs_read(known, change):
            effect = _effect_of_read(known, record, change)
        else:
            effect = fold(known, change, write.sent if write else None)
        occasion = Occasion(change.change_id, change.committed_at, change.changed_by, self._names)
        self._take(change.opportunity_id, effect, write, occasion)

    def take_record(self, record: CrmOpportunity, kind: ObservationKind) -> bool:
        """Fold a record that was read; whether it was news, to be published as `kind`."""
        effect = fold_record(self._rows[record.opportunity_id].known, record, kind)
        occasion = _reading(record, f"read:{record.opportunity_id}:{record.modified_at.isoformat()}", self._names)
        self._take(record.opportunity_id, effect, self._writes.get(record.write_id), occasion)
        return effect.kind is not None

    def _take(self, key: str, effect: Effect, write: _OwnWrite | None, occasion: Occasion) -> None:
        row = self._rows[key]
        if write and write.intent_id in self._proven:
            self._proven.discard(write.intent_id)
            if write.target_stage:
                row = confirm(self._uow, row, write.intent, write.write_id, self._now)
                effect = since_written(effect, self._stage_of(write))
            else:
                show_confirmed(write.intent)
        after = observe(self._uow, self._maps, row, effect, occasion)
        self._rows[key] = replace(after, stage_is_ours=self._is_ours(row, after, write))

    def _is_ours(self, before: OpportunityRecord, after: OpportunityRecord, write: _OwnWrite | None) -> bool:
        facts, was = after.known.facts, before.known.facts
        if facts is None:
            return after.stage_is_ours
        if write and self._stage_of(write) == facts.stage:
            return True
        unchanged = was is not None and facts.stage == was.stage
        return unchanged and after.stage_is_ours

    def _stage_of(self, write: _OwnWrite) -> str | None:
        """The stage that was sent, by the CRM's name; None of a write that carried answers alone."""
        sent = write.sent.get(self._names.get("stage", "stage"))
        return sent if isinstance(sent, str) else None

    async def save(self) -> None:
        """Write the opportunities back."""
        opportunities = OpportunityRepository(self._uow.session, self._uow.tenant_id)
        await opportunities.save(list(self._rows.values()), self._now)


def _effect_of_read(known: Known, record: CrmOpportunity | None, change: CrmChange) -> Effect:
    if record is not None:
        return fold_record(known, record, _READ_AFTER.get(change.kind, ObservationKind.UPDATED))
    if known.facts is None or known.deleted:
        return Effect(known)
    # The CRM says something happened to a record that it no longer has.
    return Effect(replace(known, deleted=True), ObservationKind.DELETED)


def _reading(record: CrmOpportunity, change_id: str, names: Names) -> Occasion:
    return Occasion(change_id, record.modified_at, record.modified_by, names)


async def observe_conflicts(
    uow: UnitOfWork,
    conflicts: Sequence[Mapping[str, Any]],
    records: Mapping[str, CrmOpportunity],
    names: Names,
    now: datetime,
) -> None:
    """Publish what the CRM holds where our writes met another stage, even if we knew it already."""
    opportunities = OpportunityRepository(uow.session, uow.tenant_id)
    rows = await opportunities.lock(conflict["opportunity_id"] for conflict in conflicts)
    maps = await load_maps(uow)
    for conflict in conflicts:
        row = rows[conflict["opportunity_id"]]
        record, since = records.get(row.opportunity_id), row.known.awaited_since
        # A write after the refusal holds, and the record may have been read before that.
        if record is None or (since is not None and since > conflict["updated_at"]):
            continue
        # The refusal proves that the CRM does not hold our stage, so no echo of it will come.
        known = replace(row.known, awaited="", awaited_since=None)
        effect = fold_record(known, record, ObservationKind.CONFLICT)
        effect = replace(effect, kind=effect.kind or ObservationKind.CONFLICT)
        occasion = _reading(record, f"conflict:{conflict['write_id']}", names)
        rows[row.opportunity_id] = replace(observe(uow, maps, row, effect, occasion), stage_is_ours=False)
    await opportunities.save(list(rows.values()), now)
    observed = [{"intent_id": c["intent_id"], "conflict_observed_at": now, "updated_at": now} for c in conflicts]
    await IntentRepository(uow.session, uow.tenant_id).move(observed, IntentState.CONFLICT)
