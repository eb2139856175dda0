"""The API: the state of the connection, imports, write intents, stage mappings."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response
from kit.http import audit
from kit.http.auth import Principal, requires
from kit.http.etag import IfMatch, etag
from kit.http.pagination import Page, Paging
from kit.http.web import Uow
from kit.http.web import router as kit_router
from kit.ids import utc_now, uuid7

from crm_connector import schemas
from crm_connector.domain.intents import IN_LINE, IntentState
from crm_connector.errors import ImportNotFound, IntentNotFound, OpportunityNotFound, TenantNotConnected
from crm_connector.records import ImportRecord, OpportunityRecord
from crm_connector.repository.connection import ConnectionRepository
from crm_connector.repository.intents import IntentRepository
from crm_connector.repository.opportunities import OpportunityRepository
from crm_connector.service import mapping, settling
from crm_connector.settings import Settings
from crm_connector.signals import Signals

router = kit_router("crm-connector")


@router.get("/connection", dependencies=[requires("connection:read")])
async def get_connection(uow: Uow) -> schemas.ConnectionState:
    """Whether the CRM is connected, how fresh its changes are, and what went wrong last."""
    unfinished = await IntentRepository(uow.session, uow.tenant_id).backlog(*IN_LINE)
    found = await ConnectionRepository(uow.session, uow.tenant_id).get()
    age = (utc_now() - found.position_at).total_seconds() if found.position_at else None
    return schemas.ConnectionState(
        adapter=found.adapter,
        org_id=found.org_id,
        state=found.state or "NOT_CONNECTED",
        last_error=found.last_error,
        last_error_at=found.last_error_at,
        connected_at=found.connected_at,
        cursor_age_seconds=max(age, 0) if age is not None else None,
        sweeping_since=found.sweep_since,
        unfinished_since=unfinished.since,
    )


@router.post("/imports", status_code=202)
async def start_import(
    uow: Uow, response: Response, caller: Annotated[Principal, requires("connection:write")]
) -> schemas.Import:
    """Read all opportunities of the CRM; what differs from what is known is published. One that is under way goes
    on and is returned."""
    if uow.resources.get(Settings).salesforce_tenant != uow.tenant_id:
        raise TenantNotConnected("no CRM of this tenant is connected to this deployment")
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
        raise ImportNotFound(f"there is no import {import_id}")
    return _import(run)


@router.get("/write-intents", dependencies=[requires("intents:read")])
async def list_write_intents(
    uow: Uow,
    paging: Paging,
    state: IntentState | None = None,
    opportunity_id: Annotated[str | None, Query(max_length=200)] = None,
) -> Page[schemas.WriteIntent]:
    """What decisions asked of the CRM, the newest first."""
    after = paging.after(int)
    intents = IntentRepository(uow.session, uow.tenant_id)
    found = await intents.page(after, paging.limit + 1, state, opportunity_id)
    return paging.page(found, lambda intent: [intent.position], schemas.WriteIntent.model_validate)


@router.get("/write-intents/{intent_id}", dependencies=[requires("intents:read")])
async def get_write_intent(uow: Uow, intent_id: UUID) -> schemas.WriteIntent:
    """One write intent, with the CRM's words when it was refused."""
    found = await IntentRepository(uow.session, uow.tenant_id).get(intent_id)
    if found is None:
        raise IntentNotFound(f"There is no write intent {intent_id}.")
    return schemas.WriteIntent.model_validate(found)


@router.post("/write-intents/{intent_id}/retry")
async def retry_write_intent(
    uow: Uow, intent_id: UUID, caller: Annotated[Principal, requires("intents:write")]
) -> schemas.WriteIntent:
    """Send a parked write again, after its cause was repaired."""
    return schemas.WriteIntent.model_validate(await settling.retry_intent(uow, caller, intent_id))


@router.get("/stage-mappings/{pipeline_key}", dependencies=[requires("connection:read")])
async def get_stage_mapping(uow: Uow, response: Response, pipeline_key: str) -> schemas.StageMapping:
    """The mapping in force for a pipeline; by equal names until a person sets one."""
    return await _mapping(uow, response, pipeline_key)


@router.put("/stage-mappings/{pipeline_key}")
async def put_stage_mapping(
    uow: Uow,
    response: Response,
    pipeline_key: str,
    change: schemas.StageMappingChange,
    caller: Annotated[Principal, requires("connection:write")],
    revision: IfMatch,
) -> schemas.StageMapping:
    """Set a pipeline's mapping. Opportunities whose stage it reads differently are published anew."""
    await mapping.replace_mapping(uow, caller, pipeline_key, change.stages, revision)
    return await _mapping(uow, response, pipeline_key)


@router.get("/opportunities/{opportunity_id}", dependencies=[requires("opportunities:read")])
async def get_opportunity(uow: Uow, opportunity_id: str) -> schemas.Opportunity:
    """What was last known of an opportunity in the CRM."""
    row = await OpportunityRepository(uow.session, uow.tenant_id).get(opportunity_id)
    if row is None:
        raise OpportunityNotFound(f"there is no opportunity {opportunity_id!r}")
    return _opportunity(row)


async def _mapping(uow: Uow, response: Response, pipeline_key: str) -> schemas.StageMapping:
    row, found = await mapping.read_mapping(uow, pipeline_key)
    response.headers["ETag"] = etag(row.mapping_revision)
    return schemas.StageMapping(
        pipeline_key=row.pipeline_key,
        pipeline_version=row.version,
        is_default=row.mapping_revision == 0,
        stages=dict(found.crm_by_key),
        unmapped=[stage.key for stage in row.stages if found.crm_stage(stage.key) is None],
    )


def _import(run: ImportRecord) -> schemas.Import:
    return schemas.Import.model_validate(run, from_attributes=True)


def _opportunity(row: OpportunityRecord) -> schemas.Opportunity:
    facts = row.known.facts
    return schemas.Opportunity(
        opportunity_id=row.opportunity_id,
        pipeline_key=row.pipeline_key,
        stage_key=row.stage_key,
        crm_stage=facts.stage if facts else None,
        amount=facts.amount if facts else None,
        close_date=facts.close_date if facts else None,
        owner_id=facts.owner_id if facts else "",
        deleted=row.known.deleted,
        awaits_echo=bool(row.known.awaited),
        sequence=row.sequence,
        updated_at=row.updated_at,
    )
