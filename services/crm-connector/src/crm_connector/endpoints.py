"""The API: the state of the connection, imports, write intents, mappings of stages and fields."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Path, Query, Response
from kit.http.auth import Caller, Principal, requires
from kit.http.etag import IfMatch, etag
from kit.http.ownership import Owners
from kit.http.pagination import Page, Paging
from kit.http.texts import RecordId
from kit.http.web import Uow
from kit.http.web import router as kit_router
from kit.ids import utc_now, uuid7
from kit.operators import audit

from crm_connector import schemas
from crm_connector.domain.fields import UNKNOWN, value_of
from crm_connector.domain.intents import IN_LINE, IntentState, Move
from crm_connector.errors import ImportNotFound, IntentNotFound, OpportunityNotFound, TenantNotConnected
from crm_connector.records import ImportRecord, OpportunityRecord
from crm_connector.repository.connection import ConnectionRepository
from crm_connector.repository.listing import IntentList
from crm_connector.repository.opportunities import OpportunityRepository
from crm_connector.service import fields, mapping, parked
from crm_connector.settings import Settings
from crm_connector.signals import Signals

router = kit_router("crm-connector")
OpportunityId = Annotated[RecordId, Path(examples=["006Qy00000AbCdEIAV"])]
PipelineKey = Annotated[str, Path(examples=["field_example"])]
ObjectType = Annotated[Literal["opportunity", "lead", "account"], Query(alias="object")]
Version = Annotated[int | None, Query(ge=1, lt=2**31, description="the newest when left out")]


@router.get("/connection", dependencies=[requires("connection:read")])
async def get_connection(uow: Uow) -> schemas.ConnectionState:
    """Whether the CRM is connected, how fresh its changes are, and what went wrong last."""
    unfinished = await IntentList(uow.session, uow.tenant_id).backlog(*IN_LINE)
    connection = ConnectionRepository(uow.session, uow.tenant_id)
    found, holds = await connection.get(), await connection.holds()
    age = (utc_now() - found.position_at).total_seconds() if found.position_at else None
    used, allowed = found.events_used, found.events_allowed
    return schemas.ConnectionState(
        adapter=found.adapter,
        org_id=found.org_id,
        state=found.state or "NOT_CONNECTED",
        since=found.state_since,
        last_error=found.last_error,
        last_error_at=found.last_error_at,
        connected_at=found.connected_at,
        progress_at=found.progress_at,
        cursor_age_seconds=max(age, 0) if age is not None else None,
        sweeping_since=found.sweep_since,
        unfinished_since=unfinished.since,
        writes="HELD" if holds or found.missing else "FLOWING",
        holds=[schemas.Hold.model_validate(hold) for hold in holds],
        missing=list(found.missing),
        facts_unavailable=list(found.facts_unavailable),
        checked_at=found.checked_at,
        stages_as_of=found.stages_at,
        people_as_of=found.people_at,
        events=schemas.EventAllocation(used=used, allowed=allowed)
        if used is not None and allowed is not None
        else None,
    )


@router.post("/connection/retry", status_code=202)
async def retry_connection(uow: Uow, caller: Annotated[Principal, requires("connection:write")]) -> schemas.Asked:
    """Try at once what waits: a login that was refused, a broken connection, writes that are held back. Do so after you
    removed the cause; without it all is tried again by itself, after longer and longer pauses."""
    return await _ask(uow, caller, "connection.retried", retry_wanted_at=utc_now())


@router.post("/stage-mappings/refresh", status_code=202)
async def refresh_stages(uow: Uow, caller: Annotated[Principal, requires("connection:write")]) -> schemas.Asked:
    """Read the CRM's stages now, after they were changed there. `stages_as_of` shows when that is done."""
    return await _ask(uow, caller, "stages.refreshed", stages_wanted_at=utc_now())


async def _ask(uow: Uow, caller: Principal, action: str, **wanted: datetime) -> schemas.Asked:
    check_connected(uow)
    now = utc_now()
    await ConnectionRepository(uow.session, uow.tenant_id).note(now, **wanted)
    await audit.record(uow, caller, action, uow.tenant_id)
    uow.after_commit(uow.resources.get(Signals).attention.set)
    return schemas.Asked(asked_at=now)


def check_connected(uow: Uow) -> None:
    """TenantNotConnected where this deployment serves the CRM of another tenant."""
    if uow.resources.get(Settings).salesforce_tenant != uow.tenant_id:
        raise TenantNotConnected("No CRM of this tenant is connected to this deployment.")


@router.post("/imports", status_code=202)
async def start_import(
    uow: Uow, response: Response, caller: Annotated[Principal, requires("connection:write")]
) -> schemas.Import:
    """Read all opportunities of the CRM; what differs from what is known is published. One that is under way goes
    on and is returned."""
    check_connected(uow)
    run = await ConnectionRepository(uow.session, uow.tenant_id).start_import(uuid7(), caller.subject)
    await audit.record(uow, caller, "import.requested", str(run.import_id))
    uow.after_commit(uow.resources.get(Signals).attention.set)
    response.headers["Location"] = f"/v1/imports/{run.import_id}"
    return _import(run)


@router.get("/imports/{import_id}", dependencies=[requires("connection:read")])
async def get_import(uow: Uow, import_id: UUID) -> schemas.Import:
    """How far an import is."""
    run = await ConnectionRepository(uow.session, uow.tenant_id).get_import(import_id)
    if run is None:
        raise ImportNotFound(f"There is no import {import_id}.")
    return _import(run)


@router.get("/write-intents", dependencies=[requires("intents:read")])
async def list_write_intents(
    uow: Uow,
    paging: Paging,
    state: IntentState | None = None,
    opportunity_id: Annotated[RecordId | None, Query(max_length=200)] = None,
) -> Page[schemas.WriteIntent]:
    """What decisions asked of the CRM, the newest first."""
    after = paging.after(int)
    intents = IntentList(uow.session, uow.tenant_id)
    found = await intents.page(after, paging.limit + 1, state, opportunity_id)
    return paging.page(found, lambda intent: [intent.position], schemas.WriteIntent.model_validate)


@router.get("/write-intents/{intent_id}", dependencies=[requires("intents:read")])
async def get_write_intent(uow: Uow, intent_id: UUID) -> schemas.WriteIntent:
    """One write intent, with the CRM's words when it was refused."""
    found = await IntentList(uow.session, uow.tenant_id).get(intent_id)
    if found is None:
        raise IntentNotFound(f"There is no write intent {intent_id}.")
    return schemas.WriteIntent.model_validate(found)


@router.post("/write-intents/{intent_id}/retry")
async def retry_write_intent(
    uow: Uow, intent_id: UUID, caller: Annotated[Principal, requires("intents:write")]
) -> schemas.WriteIntent:
    """Send a parked write again, after its cause was repaired."""
    return schemas.WriteIntent.model_validate(await parked.move_one(uow, caller, intent_id, Move.RETRY))


@router.post("/write-intents/{intent_id}/discard")
async def discard_write_intent(
    uow: Uow, intent_id: UUID, caller: Annotated[Principal, requires("intents:write")]
) -> schemas.WriteIntent:
    """Give a parked write up for good."""
    return schemas.WriteIntent.model_validate(await parked.move_one(uow, caller, intent_id, Move.DISCARD))


@router.post("/write-intents/retry")
async def retry_write_intents(
    uow: Uow, wanted: schemas.ParkedWrites, caller: Annotated[Principal, requires("intents:write")]
) -> schemas.ParkedWritesDone:
    """Send parked writes again, those that match the whole filter; repeat it while there are more."""
    return _done(await parked.move_many(uow, caller, wanted.filter(), wanted.limit, Move.RETRY))


@router.post("/write-intents/discard")
async def discard_write_intents(
    uow: Uow, wanted: schemas.ParkedWrites, caller: Annotated[Principal, requires("intents:write")]
) -> schemas.ParkedWritesDone:
    """Give parked writes up for good, those that match the whole filter; repeat it while there are more."""
    return _done(await parked.move_many(uow, caller, wanted.filter(), wanted.limit, Move.DISCARD))


def _done(done: parked.Done) -> schemas.ParkedWritesDone:
    return schemas.ParkedWritesDone(count=done.count, more=done.more)


@router.get("/stage-mappings/{pipeline_key}", dependencies=[requires("connection:read")])
async def get_stage_mapping(
    uow: Uow, response: Response, pipeline_key: PipelineKey, version: Version = None
) -> schemas.StageMapping:
    """The mapping in force for a pipeline version; by equal names until a person sets one."""
    return await _mapping(uow, response, pipeline_key, version)


@router.put("/stage-mappings/{pipeline_key}")
async def put_stage_mapping(
    uow: Uow,
    response: Response,
    pipeline_key: PipelineKey,
    change: schemas.StageMappingChange,
    caller: Annotated[Principal, requires("connection:write")],
    revision: IfMatch,
    version: Version = None,
) -> schemas.StageMapping:
    """Set the mapping of a pipeline version. Opportunities in it whose stage is read differently are published anew, a
    page at a time. A stage that a later version removed is mapped by naming its version."""
    await mapping.replace_mapping(uow, caller, (pipeline_key, version), change.stages, revision)
    return await _mapping(uow, response, pipeline_key, version)


@router.get("/field-mappings", dependencies=[requires("connection:read")])
async def get_field_mappings(uow: Uow, response: Response) -> schemas.FieldMappings:
    """Which fields of the CRM become which facts; as shipped until a person sets a mapping."""
    return await _field_mappings(uow, response)


@router.put("/field-mappings")
async def put_field_mappings(
    uow: Uow,
    response: Response,
    change: schemas.FieldMappingChange,
    caller: Annotated[Principal, requires("connection:write")],
    revision: IfMatch,
) -> schemas.FieldMappings:
    """Set which fields become facts. Each is looked up in the CRM; where that cannot be reached, the mapping is
    accepted unchecked. All records are read again with it, a page at a time."""
    await fields.replace_fields(uow, caller, change.mapping(), revision)
    return await _field_mappings(uow, response)


@router.get("/field-mappings/candidates", dependencies=[requires("connection:read")])
async def list_field_candidates(uow: Uow, object_type: ObjectType = "opportunity") -> schemas.FieldCandidates:
    """The fields of an object of the CRM that may be read, and the types that their facts may have."""
    found = await fields.candidates(uow, object_type)
    listed = [schemas.FieldCandidate.model_validate(each) for each in found]
    return schemas.FieldCandidates(object_type=object_type, fields=listed)


@router.get("/opportunities/{opportunity_id}", dependencies=[requires("opportunities:read")])
async def get_opportunity(uow: Uow, opportunity_id: OpportunityId, caller: Caller) -> schemas.Opportunity:
    """What was last known of an opportunity in the CRM."""
    absent = OpportunityNotFound(f"There is no opportunity {opportunity_id!r} of yours.")
    row = await OpportunityRepository(uow.session, uow.tenant_id).get(opportunity_id)
    if row is None:
        raise absent
    facts = row.known.facts
    Owners.seen_by(caller).demand(facts.owner_id if facts else None, absent)
    return _opportunity(row)


async def _mapping(uow: Uow, response: Response, pipeline_key: str, version: int | None) -> schemas.StageMapping:
    row, found = await mapping.read_mapping(uow, pipeline_key, version)
    response.headers["ETag"] = etag(row.mapping_revision)
    connection = await ConnectionRepository(uow.session, uow.tenant_id).get()
    return schemas.StageMapping(
        pipeline_key=row.pipeline_key,
        pipeline_version=row.version,
        is_default=row.mapping_revision == 0,
        stages=dict(found.crm_by_key),
        unmapped=[stage.key for stage in row.stages if found.crm_stage(stage.key) is None],
        stages_as_of=connection.stages_at,
    )


async def _field_mappings(uow: Uow, response: Response) -> schemas.FieldMappings:
    record = await fields.read_fields(uow)
    response.headers["ETag"] = etag(record.revision)
    connection = await ConnectionRepository(uow.session, uow.tenant_id).get()
    return schemas.FieldMappings(
        is_default=record.revision == 0,
        checked=record.checked,
        facts={name: schemas.FactSource(field=each.field, type=each.type) for name, each in record.facts.items()},
        contact_roles={name: list(roles) for name, roles in record.contact_roles.items()},
        unavailable=list(connection.facts_unavailable),
    )


def _import(run: ImportRecord) -> schemas.Import:
    return schemas.Import.model_validate(run, from_attributes=True)


def _opportunity(row: OpportunityRecord) -> schemas.Opportunity:
    facts = row.known.facts
    known = facts.fields if facts else {}
    amount, close_date = (value_of(known.get(f"opportunity.{name}", UNKNOWN)) for name in ("amount", "close_date"))
    return schemas.Opportunity(
        object_type=row.object_type,
        opportunity_id=row.opportunity_id,
        pipeline_key=row.pipeline_key,
        pipeline_version=row.pipeline_version,
        stage_key=row.stage_key,
        crm_stage=facts.stage if facts else None,
        amount=amount if isinstance(amount, Decimal) else None,
        close_date=close_date if isinstance(close_date, date) else None,
        owner_id=facts.owner_id if facts else "",
        deleted=row.known.deleted,
        awaits_echo=bool(row.known.awaited),
        sequence=row.sequence,
        updated_at=row.updated_at,
    )
