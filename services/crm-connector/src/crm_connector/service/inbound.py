"""What the CRM shows, taken into what we know and published as far as it is news."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from kit.database.unit_of_work import UnitOfWork

from crm_connector.crm import ChangeBatch
from crm_connector.domain.observation import (
    ChangeKind,
    CrmChange,
    CrmOpportunity,
    Known,
    ObservationKind,
    Step,
    fold,
    fold_record,
    needs_read,
    since_written,
)
from crm_connector.records import Attempt, Conflict, QueuedWrite
from crm_connector.repository.connection import ConnectionRepository
from crm_connector.repository.intents import IntentRepository
from crm_connector.repository.opportunities import OpportunityRepository, OpportunityRow
from crm_connector.service.maps import load_maps
from crm_connector.service.publishing import Occasion, observe
from crm_connector.service.settling import confirm, show_confirmed, take_echoes

Names = Mapping[str, str]
_THE_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


async def ids_to_read(uow: UnitOfWork, changes: Sequence[CrmChange]) -> list[str]:
    """Opportunities whose changes do not tell everything."""
    rows = await OpportunityRepository(uow.session, uow.tenant_id).read(c.opportunity_id for c in changes)
    told: set[str] = set()
    wanted: dict[str, None] = {}
    for change in changes:
        key = change.opportunity_id
        if change.kind is ChangeKind.CREATED:
            told.add(key)
        known = rows[key].known if key in rows else Known()
        gap = change.kind in (ChangeKind.GAP, ChangeKind.UNDELETED)
        if change.kind is not ChangeKind.OVERFLOW and (gap or key not in told) and needs_read(known, change):
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
        position["sweep_since"] = _THE_BEGINNING
    await _apply(uow, [c for c in changes if c.kind is not ChangeKind.OVERFLOW], records, names, now)
    await connection.note(now, **position)


async def _apply(
    uow: UnitOfWork,
    changes: Sequence[CrmChange],
    records: Mapping[str, CrmOpportunity],
    names: Names,
    now: datetime,
) -> None:
    if not changes:
        return
    opportunities = OpportunityRepository(uow.session, uow.tenant_id)
    rows = await opportunities.lock(change.opportunity_id for change in changes)
    ledger = await IntentRepository(uow.session, uow.tenant_id).ledger(
        change.write_id for change in changes if change.write_id
    )
    maps = await load_maps(uow)
    proven = await take_echoes(uow, (entry.intent_id for entry in ledger.values()), now)
    for change in changes:
        row = rows[change.opportunity_id]
        entry = ledger.get(change.write_id)
        sent = entry.sent if entry else None
        record = records.get(change.opportunity_id)
        if needs_read(row.known, change):
            step = _step_by_record(row.known, record, change)
        else:
            step = fold(row.known, change, sent)
        if entry and (write := proven.pop(entry.intent_id, None)):
            row, step = _proven(uow, row, step, entry, write, names, now)
        occasion = Occasion(change.change_id, change.committed_at, change.changed_by, names)
        after = observe(uow, maps, row, step, occasion)
        rows[change.opportunity_id] = _credited(row, after, sent, names)
    await opportunities.save(list(rows.values()), now)


def _step_by_record(known: Known, record: CrmOpportunity | None, change: CrmChange) -> Step:
    if record is not None:
        kinds = {ChangeKind.UNDELETED: ObservationKind.UNDELETED, ChangeKind.CREATED: ObservationKind.CREATED}
        return fold_record(known, record, kinds.get(change.kind, ObservationKind.UPDATED))
    if known.facts is None or known.deleted:
        return Step(known)
    # The CRM says something happened to a record that it no longer has.
    return Step(replace(known, deleted=True), ObservationKind.DELETED)


def _proven(
    uow: UnitOfWork, row: OpportunityRow, step: Step, entry: Attempt, write: QueuedWrite, names: Names, now: datetime
) -> tuple[OpportunityRow, Step]:
    """The row once it is told that a write is proven, and what of the step is news then."""
    if not write.target_stage:
        show_confirmed(write)
        return row, step
    return confirm(uow, row, write, entry.write_id, now), since_written(step, _stage_sent(entry.sent, names))


def _stage_sent(sent: Mapping[str, Any], names: Names) -> str | None:
    """None of a write that carried answers alone."""
    return sent.get(names.get("stage", "stage"))


def _credited(
    before: OpportunityRow, after: OpportunityRow, sent: Mapping[str, Any] | None, names: Names
) -> OpportunityRow:
    facts, was = after.known.facts, before.known.facts
    if facts is None:
        return after
    if sent and _stage_sent(sent, names) == facts.stage:
        return replace(after, stage_is_ours=True)
    if was is None or facts.stage != was.stage:
        return replace(after, stage_is_ours=False)
    return after


async def apply_records(
    uow: UnitOfWork, page: Sequence[CrmOpportunity], kind: ObservationKind, names: Names, now: datetime
) -> int:
    """Take over records as they were read; the number of them that were news."""
    opportunities = OpportunityRepository(uow.session, uow.tenant_id)
    rows = await opportunities.lock(record.opportunity_id for record in page)
    maps = await load_maps(uow)
    ledger = await IntentRepository(uow.session, uow.tenant_id).ledger(r.write_id for r in page if r.write_id)
    proven = await take_echoes(uow, (entry.intent_id for entry in ledger.values()), now)
    news = 0
    for record in page:
        row = rows[record.opportunity_id]
        step = fold_record(row.known, record, kind)
        news += step.kind is not None
        entry = ledger.get(record.write_id)
        if entry and (write := proven.pop(entry.intent_id, None)):
            row, step = _proven(uow, row, step, entry, write, names, now)
        after = observe(uow, maps, row, step, _reading(record, names))
        rows[record.opportunity_id] = _credited(row, after, entry.sent if entry else None, names)
    await opportunities.save(list(rows.values()), now)
    return news


def _reading(record: CrmOpportunity, names: Names) -> Occasion:
    change_id = f"read:{record.opportunity_id}:{record.modified_at.isoformat()}"
    return Occasion(change_id, record.modified_at, record.modified_by, names)


async def apply_import_page(
    uow: UnitOfWork, import_id: UUID, page: Sequence[CrmOpportunity], names: Names, now: datetime
) -> None:
    """Take over one page of an import and note how far it came, in one transaction."""
    connection = ConnectionRepository(uow.session, uow.tenant_id)
    run = await connection.get_import(import_id)
    assert run is not None
    news = await apply_records(uow, page, ObservationKind.IMPORTED, names, now)
    await connection.update_import(
        import_id,
        now,
        last_id=page[-1].opportunity_id,
        read_count=run["read_count"] + len(page),
        published_count=run["published_count"] + news,
    )


async def observe_conflicts(
    uow: UnitOfWork,
    conflicts: Sequence[Conflict],
    records: Mapping[str, CrmOpportunity],
    names: Names,
    now: datetime,
) -> None:
    """Publish what stands where our writes met another stage, also when we knew it already."""
    opportunities = OpportunityRepository(uow.session, uow.tenant_id)
    rows = await opportunities.lock(conflict.opportunity_id for conflict in conflicts)
    maps = await load_maps(uow)
    for conflict in conflicts:
        row = rows[conflict.opportunity_id]
        record, since = records.get(row.opportunity_id), row.known.awaited_since
        # What we wrote after the refusal stands, and the record may have been read before that.
        if record is None or (since is not None and since > conflict.settled_at):
            continue
        # The refusal proves that our stage does not stand, so an echo of it is no longer to come.
        known = replace(row.known, awaited="", awaited_since=None)
        step = fold_record(known, record, ObservationKind.CONFLICT)
        told = step if step.kind else replace(step, kind=ObservationKind.CONFLICT)
        change_id = f"conflict:{conflict.write_id}"
        occasion = Occasion(change_id, record.modified_at, record.modified_by, names)
        rows[row.opportunity_id] = replace(observe(uow, maps, row, told, occasion), stage_is_ours=False)
    await opportunities.save(list(rows.values()), now)
    observed = [conflict.intent_id for conflict in conflicts]
    await IntentRepository(uow.session, uow.tenant_id).conflicts_observed(observed, now)
