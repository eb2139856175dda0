"""An adapter without a CRM: every write counts as done and nothing ever changes elsewhere. It serves a trial, or a load
test of the rest."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime

from crm_connector.crm import Adopted, ChangeBatch, Lack, Related, Usage
from crm_connector.domain.actions import ActionKind, Carried, CrmAction
from crm_connector.domain.activities import Activity
from crm_connector.domain.fields import CrmField, FactType, FieldMapping, kept
from crm_connector.domain.intents import Reply, Verdict
from crm_connector.domain.observation import ChangeKind, CrmChange, CrmRecord, FactChanges, StageClock
from crm_connector.domain.people import CrmPerson
from crm_connector.domain.stages import CrmStage
from crm_connector.domain.writes import CrmWrite, SentFields


class RecordingCrm:
    """A CRM that has no records and accepts everything."""

    name = "recording"
    default_fields = FieldMapping()
    writes_at_once = 500
    subject_objects: Mapping[str, str] = {}
    evidence_objects: Sequence[str] = ()

    async def connect(self) -> str:
        return ""

    async def lacks(self) -> list[Lack]:
        return []

    async def events_used(self) -> Usage | None:
        return None

    def retry(self) -> None:
        return None

    async def close(self) -> None:
        return None

    async def fields(self, object_type: str) -> list[CrmField]:
        return []

    async def adopt(self, mapping: FieldMapping, object_types: Sequence[str]) -> Adopted:
        return Adopted()

    async def stages(self) -> list[CrmStage]:
        return []

    async def records(
        self, after: str = "", since: datetime | None = None, object_types: Sequence[str] | None = None
    ) -> AsyncGenerator[list[CrmRecord], None]:
        for page in ():
            yield page

    async def concerned(self, related: Sequence[Related]) -> AsyncGenerator[list[CrmRecord], None]:
        for page in ():
            yield page

    async def activities(self, related: Sequence[Related]) -> list[Activity]:
        return []

    async def read(self, record_ids: Sequence[str]) -> list[CrmRecord]:
        return []

    async def deleted(self, since: datetime, until: datetime) -> list[str]:
        return []

    async def in_stage_since(self, records: Sequence[CrmRecord]) -> dict[str, StageClock]:
        return {}

    async def people(self, after: str = "", since: datetime | None = None) -> AsyncGenerator[list[CrmPerson], None]:
        for page in ():
            yield page

    async def people_touched(self) -> AsyncGenerator[None, None]:
        await asyncio.Event().wait()
        yield

    def sent_fields(self, write: CrmWrite) -> SentFields:
        return {"stage": write.stage.target} if write.stage else {}

    async def write(self, writes: Sequence[CrmWrite]) -> list[Reply]:
        return [Reply(write.write_id, Verdict.CONFIRMED) for write in writes]

    async def carry_out(self, action: CrmAction) -> Carried:
        return await self.carried_out(action)

    async def carried_out(self, action: CrmAction) -> Carried:
        change = _change_of(action)
        reply = Reply(str(action.action_id), Verdict.CONFIRMED)
        return Carried(reply, change.record_id if change and change.kind is ChangeKind.CREATED else "", change)

    async def changes(self, position: bytes | None) -> AsyncGenerator[ChangeBatch, None]:
        await asyncio.Event().wait()
        yield ChangeBatch((), b"")


def _change_of(action: CrmAction) -> CrmChange | None:
    """What a CRM would show of it."""
    change_id, at = f"action:{action.action_id}", action.requested_at
    if action.kind is ActionKind.OWNER:
        kind, facts = ChangeKind.UPDATED, FactChanges(owner_id=action.person_id)
        return CrmChange(change_id, action.opportunity_id, kind, at, facts=facts, object_type=action.object_type)
    if action.kind is ActionKind.LEAD:
        mapped = {
            f"lead.{name}": kept(action.fields.get(name), FactType.TEXT) for name in ("company", "source", "kind")
        }
        kind, id_ = ChangeKind.CREATED, f"lead-{action.action_id}"
        return CrmChange(change_id, id_, kind, at, mapped=mapped, object_type=action.object_type)
    return None
