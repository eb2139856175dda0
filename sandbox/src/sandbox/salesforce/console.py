"""The operator's side, under `/_sim`: faults, clock, limits, bulk load, a person's edits, a dump."""

from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from sandbox.salesforce import schema
from sandbox.salesforce.access import Access
from sandbox.salesforce.errors import ApiError, NotFound
from sandbox.salesforce.events import OVERFLOW_ID, EventWriter
from sandbox.salesforce.faults import Fault, Faults
from sandbox.salesforce.flows import Flow
from sandbox.salesforce.founding import ADMIN_USERNAME, load, user_named
from sandbox.salesforce.ids import full_id
from sandbox.salesforce.journal import Entry
from sandbox.salesforce.limits import Limits
from sandbox.salesforce.oauth import Sessions
from sandbox.salesforce.rules import Record, ValidationRule
from sandbox.salesforce.store import Org, Transaction


class Load(BaseModel):
    """Rows by kind, under Salesforce's field names."""

    model_config = ConfigDict(extra="forbid")

    stages: list[dict[str, Any]] = []
    record_types: list[dict[str, Any]] = []
    users: list[dict[str, Any]] = []
    accounts: list[dict[str, Any]] = []
    campaigns: list[dict[str, Any]] = []
    contacts: list[dict[str, Any]] = []
    opportunities: list[dict[str, Any]] = []
    leads: list[dict[str, Any]] = []
    contact_roles: list[dict[str, Any]] = []
    tasks: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []
    history: list[dict[str, Any]] = []


class Edit(BaseModel):
    """What a person changes on one record; `user` is an id or username."""

    id: str
    fields: dict[str, Any]
    user: str = ADMIN_USERNAME


class Advance(BaseModel):
    seconds: float = Field(ge=0)


class Gap(BaseModel):
    """A gap event; GAP_OVERFLOW concerns no single record."""

    change_type: Literal["GAP_CREATE", "GAP_UPDATE", "GAP_DELETE", "GAP_UNDELETE", "GAP_OVERFLOW"]
    record_ids: list[str] = []


class Permissions(BaseModel):
    """Fields, as `Object.Field`, that the integration user may not see, or not edit."""

    model_config = ConfigDict(extra="forbid")

    hidden: frozenset[str] = frozenset()
    read_only: frozenset[str] = frozenset()


class Rule(BaseModel):
    """Whether the packaged validation rule of an object is active."""

    active: bool
    object: Literal["Opportunity", "Lead", "Account"] = "Opportunity"


class FlowBody(BaseModel):
    """A flow on opportunities: coming to the stage `on` it sets `sets`, before it is saved or as `user` afterwards."""

    model_config = ConfigDict(extra="forbid")

    on: str
    sets: str
    user: str = ADMIN_USERNAME
    before_save: bool = False


class Purge(BaseModel):
    """A record to delete for good."""

    id: str


@dataclass(frozen=True)
class Console:
    org: Org
    faults: Faults
    limits: Limits
    sessions: Sessions
    events: EventWriter


def console_router(console: Console) -> APIRouter:
    router = APIRouter(prefix="/_sim")
    org = console.org

    def person(name: str) -> str:
        user = user_named(org, name)
        if user is None:
            raise NotFound(f"no such user: {name}")
        return user["Id"]

    @router.get("/faults")
    async def list_faults() -> list[Fault]:
        return console.faults.ordered

    @router.post("/faults", status_code=201)
    async def order_fault(fault: Fault) -> Fault:
        console.faults.add(fault)
        return fault

    @router.delete("/faults", status_code=204)
    async def clear_faults() -> None:
        console.faults.clear()

    @router.put("/validation-rules")
    async def set_validation_rules(rules: list[ValidationRule]) -> list[ValidationRule]:
        org.validation_rules = rules
        return rules

    @router.put("/flows", status_code=204)
    async def set_flows(flows: list[FlowBody]) -> None:
        if any(flow.on == other.sets for flow in flows for other in flows):
            raise ApiError("INVALID_INPUT", "a flow would set off another, without end")
        org.flows = [Flow(flow.on, flow.sets, person(flow.user), flow.before_save) for flow in flows]

    @router.post("/tokens/expire")
    async def expire_tokens() -> dict[str, int]:
        count = console.sessions.revoke_all()
        await org.journal.flushed()
        return {"expired": count}

    @router.get("/sessions")
    async def count_sessions() -> dict[str, int]:
        return {"opened": console.sessions.opened}

    @router.post("/limits")
    async def set_limits(wanted: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
        try:
            console.limits.set(wanted)
        except KeyError as unknown:
            raise NotFound(f"no such limit: {unknown}") from None
        return console.limits.report()

    @router.post("/clock")
    async def advance_clock(by: Advance) -> dict[str, str]:
        org.clock.advance(timedelta(seconds=by.seconds))
        offset = str(org.clock.offset.total_seconds())
        org.journal.submit(Entry(meta={"clock_offset_seconds": offset}))
        await org.journal.flushed()
        return {"now": org.clock.now().isoformat()}

    @router.post("/gap", status_code=204)
    async def send_gap(gap: Gap) -> None:
        overflow = gap.change_type == "GAP_OVERFLOW"
        ids = [OVERFLOW_ID] if overflow else [full_id(i) for i in gap.record_ids]
        obj = schema.OPPORTUNITY if overflow else schema.object_of_id(ids[0]) or schema.OPPORTUNITY
        event = console.events.gap(obj.name, gap.change_type, ids, person(ADMIN_USERNAME), org.clock.now())
        org.journal.submit(Entry(events=[event]))
        await org.journal.flushed()

    @router.post("/load", status_code=201)
    async def bulk_load(rows: Load) -> dict[str, list[str]]:
        ids = load(org, person(ADMIN_USERNAME), rows.model_dump())
        await org.journal.flushed()
        return ids

    @router.post("/edit")
    async def edit(change: Edit) -> dict[str, Any]:
        transaction = Transaction(org, user=person(change.user), origin="")
        record = transaction.update(record_object(change.id), change.id, change.fields)
        org.commit(transaction)
        await org.journal.flushed()
        return record

    @router.post("/permissions", status_code=204)
    async def set_permissions(wanted: Permissions) -> None:
        org.access = Access(wanted.hidden, wanted.read_only)

    @router.post("/rule", status_code=204)
    async def switch_rule(rule: Rule) -> None:
        (org.rules_off.discard if rule.active else org.rules_off.add)(rule.object)

    @router.post("/purge", status_code=204)
    async def purge(wanted: Purge) -> None:
        obj = record_object(wanted.id)
        if wanted.id not in org.tables[obj.name]:
            raise NotFound()
        org.purge(obj, wanted.id)
        await org.journal.flushed()

    @router.get("/opportunities")
    async def dump(
        id: str | None = None,
        stage: str | None = None,
        assessed: bool | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> dict[str, Any]:
        rows = [r for r in org.tables["Opportunity"].values() if not r.get("IsDeleted")]
        if id is not None:
            wanted = set(id.split(","))
            rows = [r for r in rows if r["Id"] in wanted or r["Id"][:15] in wanted]
        if stage is not None:
            rows = [r for r in rows if r["StageName"] == stage]
        if assessed is not None:
            rows = [r for r in rows if bool(assessments(org, r["Id"])) == assessed]
        rows.sort(key=lambda r: r["Id"])
        found = [whole(org, r) for r in rows[offset : offset + limit]]
        await org.journal.flushed()
        return {"totalSize": len(rows), "opportunities": found}

    @router.get("/users")
    async def list_users() -> list[Record]:
        rows = sorted(org.tables["User"].values(), key=lambda user: user["Id"])
        await org.journal.flushed()
        return rows

    @router.get("/assessments")
    async def list_assessments(offset: int = 0) -> list[str]:
        ids = [row["External_Id__c"] for row in islice(org.tables["Stagecraft_Assessment__c"].values(), offset, None)]
        await org.journal.flushed()
        return ids

    @router.get("/tasks")
    async def list_tasks() -> list[str]:
        """The actions that asked for tasks which are there, one entry for each task."""
        found = [row["Stagecraft_Action_Id__c"] for row in org.tables["Task"].values() if not row["IsDeleted"]
                 and row.get("Stagecraft_Action_Id__c")]  # fmt: skip
        await org.journal.flushed()
        return found

    return router


def record_object(record_id: str) -> schema.SObject:
    """The object of the record's id. Raises NOT_FOUND."""
    obj = schema.object_of_id(record_id)
    if obj is None:
        raise NotFound()
    return obj


def children(org: Org, obj: schema.SObject, field_name: str, parent_id: str) -> list[Record]:
    field = obj.find(field_name)
    if field is None:
        raise ApiError("INVALID_FIELD", field_name)
    return org.with_value(obj, field, parent_id)


def assessments(org: Org, opportunity_id: str) -> list[Record]:
    return children(org, schema.ASSESSMENT, "Opportunity__c", opportunity_id)


def answers(org: Org, assessment_id: str) -> list[Record]:
    return children(org, schema.ANSWER, "Assessment__c", assessment_id)


def history(org: Org, opportunity_id: str) -> list[Record]:
    return children(org, schema.HISTORY, "OpportunityId", opportunity_id)


def whole(org: Org, opportunity: Record) -> dict[str, Any]:
    """An opportunity with everything that hangs on it."""
    key = opportunity["Id"]
    return {
        **opportunity,
        "assessments": [{**a, "answers": answers(org, a["Id"])} for a in assessments(org, key)],
        "history": history(org, key),
    }
