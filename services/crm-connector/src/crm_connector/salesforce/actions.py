"""Actions in the org. Tasks and new records carry the action's id in a field of their own, so that a repetition finds
them; posts are found by their words, updates by their values, and a lead says itself that it was converted."""

import re
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import Field, TypeAdapter

from crm_connector.domain.actions import ActionKind, CrmAction
from crm_connector.salesforce.errors import ApiRefusal, LastingRefusal
from crm_connector.salesforce.objects import ACTION_ID, LEAD, OWN_FIELDS, Objects, SubjectObject
from crm_connector.salesforce.plan import LEAD_KIND, RECORD_TYPE
from crm_connector.salesforce.rest import Rest

# The package brings it: the REST API of an org converts no leads by itself.
CONVERT = "/services/apexrest/stagecraft/convert"
_OWNER = "OwnerId"
_OBJECTS = {ActionKind.TASK: "Task", ActionKind.LEAD: "Lead"}
_LEAD_FIELDS = {"company": "Company", "source": "LeadSource", "kind": LEAD_KIND, "email": "Email", "phone": "Phone"}
# Every field that the intake of leads writes.
INTAKE_FIELDS = ("FirstName", "LastName", *_LEAD_FIELDS.values(), ACTION_ID)
_RECORD_ID, _DEVELOPER_NAME = (
    re.compile("012[A-Za-z0-9]{12}([A-Za-z0-9]{3})?"),
    re.compile("[A-Za-z][A-Za-z0-9_]{0,79}"),
)
_SUBJECT, _BODY, _DESCRIPTION, _FIRST_NAME = 255, 10_000, 32_000, 40


@dataclass(frozen=True, slots=True)
class _Created:
    id: str


@dataclass(frozen=True, slots=True)
class _Found:
    id: Annotated[str, Field(alias="Id")]


@dataclass(frozen=True, slots=True)
class _Post:
    id: Annotated[str, Field(alias="Id")]
    body: Annotated[str | None, Field(alias="Body")] = None


@dataclass(frozen=True, slots=True)
class _Posts:
    records: list[_Post]


@dataclass(frozen=True, slots=True)
class _RecordTypes:
    records: list[_Found]


@dataclass(frozen=True, slots=True)
class _Lead:
    converted: Annotated[bool, Field(alias="IsConverted")]
    opportunity_id: Annotated[str | None, Field(alias="ConvertedOpportunityId")] = None


@dataclass(frozen=True, slots=True)
class _Conversion:
    opportunity_id: Annotated[str | None, Field(alias="opportunityId")] = None


_CREATED, _FOUND, _POSTS = TypeAdapter(_Created), TypeAdapter(_Found), TypeAdapter(_Posts)
_RECORD_TYPES = TypeAdapter(_RecordTypes)
_LEAD, _CONVERSION = TypeAdapter(_Lead), TypeAdapter(_Conversion)
_ROW: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])


async def carry_out(rest: Rest, objects: Objects, action: CrmAction) -> str:
    """Do it; the id of the record that was created, empty where none was. ApiRefusal and the CrmUnavailable errors."""
    match action.kind:
        case ActionKind.TASK | ActionKind.CREATE_RECORD | ActionKind.LEAD:
            name = _created_object(action)
            if not name:
                words = f"{action.target!r} is no name of an object. Name another one in the action."
                raise LastingRefusal(400, "OBJECT_UNKNOWN", words)
            return (
                await rest.patch(_by_action(rest, name, action), await _new_fields(rest, name, action), _CREATED)
            ).id
        case ActionKind.NOTIFICATION:
            body = {"ParentId": action.opportunity_id, "Body": action.text[:_BODY]}
            return (await rest.post(f"{rest.base}/sobjects/FeedItem", body, _CREATED)).id
        case ActionKind.FIELD_UPDATE:
            _refuse_own(action, OWN_FIELDS | {_about(objects, action).stage})
            fields = await _fields(rest, _about(objects, action).name, action)
            await rest.change(_subject(rest, objects, action), fields)
            return ""
        case ActionKind.OWNER:
            await rest.change(_subject(rest, objects, action), {_OWNER: action.person_id})
            return ""
        case ActionKind.CONVERT_LEAD:
            # A person may have done it in the org, which takes no second conversion.
            converted = await carried_out(rest, objects, action)
            if converted is not None:
                return converted
            body = {"leadId": action.opportunity_id, "opportunityName": action.text, "ownerId": action.person_id}
            return (await rest.post(CONVERT, body, _CONVERSION)).opportunity_id or ""


async def carried_out(rest: Rest, objects: Objects, action: CrmAction) -> str | None:
    """What a reading says: the id of the record that was created, empty where none is; None: it was not done."""
    match action.kind:
        case ActionKind.TASK | ActionKind.CREATE_RECORD | ActionKind.LEAD:
            name = _created_object(action)
            return await _record(rest, name, action) if name else None
        case ActionKind.NOTIFICATION:
            return await _post(rest, action)
        case ActionKind.FIELD_UPDATE:
            names = {"fields": ",".join(action.fields)}
            row = await rest.get(_subject(rest, objects, action), _ROW, names)
            fields = await _fields(rest, _about(objects, action).name, action)
            return "" if all(str(row.get(name)) == value for name, value in fields.items()) else None
        case ActionKind.OWNER:
            row = await rest.get(_subject(rest, objects, action), _ROW, {"fields": _OWNER})
            return "" if row.get(_OWNER) == action.person_id else None
        case ActionKind.CONVERT_LEAD:
            names = {"fields": "IsConverted,ConvertedOpportunityId"}
            lead = await rest.get(_subject(rest, objects, action), _LEAD, names)
            return (lead.opportunity_id or "") if lead.converted else None


async def _fields(rest: Rest, name: str, action: CrmAction) -> dict[str, str]:
    """The fields to set. A record type may be named by its developer name: its id differs from org to org."""
    fields = dict(action.fields)
    named = fields.get(RECORD_TYPE, "")
    if not named or _RECORD_ID.fullmatch(named):
        return fields
    if not _DEVELOPER_NAME.fullmatch(named):
        raise LastingRefusal(400, "RECORD_TYPE_UNKNOWN", f"{named!r} is no developer name of a record type.")
    query = f"SELECT Id FROM RecordType WHERE SobjectType = '{name}' AND DeveloperName = '{named}'"  # noqa: S608
    found = (await rest.get(f"{rest.base}/query", _RECORD_TYPES, {"q": query})).records
    if not found:
        words = f"{name} has no record type {named} in this org. Make it, or name another one in the action."
        raise LastingRefusal(400, "RECORD_TYPE_UNKNOWN", words)
    return {**fields, RECORD_TYPE: found[0].id}


def _created_object(action: CrmAction) -> str:
    """The object of the record to create, empty of what is no name: it becomes a part of addresses and of queries."""
    name = _OBJECTS.get(action.kind, action.target)
    return name if _DEVELOPER_NAME.fullmatch(name) else ""


def _by_action(rest: Rest, name: str, action: CrmAction) -> str:
    return f"{rest.base}/sobjects/{quote(name, safe='')}/{ACTION_ID}/{action.action_id}"


def _subject(rest: Rest, objects: Objects, action: CrmAction) -> str:
    return f"{rest.base}/sobjects/{_about(objects, action).name}/{quote(action.opportunity_id, safe='')}"


def _about(objects: Objects, action: CrmAction) -> SubjectObject:
    found = objects.get(action.object_type)
    if found is None:
        words = f"No object of the org is known for records of type {action.object_type}."
        raise LastingRefusal(400, "OBJECT_UNKNOWN", words)
    return found


async def _new_fields(rest: Rest, name: str, action: CrmAction) -> dict[str, Any]:
    if action.kind is ActionKind.TASK:
        return _task(action)
    if action.kind is ActionKind.LEAD:
        return _lead(action)
    _refuse_own(action, OWN_FIELDS)
    return await _fields(rest, name, action)


def _task(action: CrmAction) -> dict[str, Any]:
    about = "WhoId" if action.object_type == LEAD else "WhatId"
    fields = {
        about: action.opportunity_id,
        "Subject": action.text[:_SUBJECT],
        "Description": action.details[:_DESCRIPTION],
        "OwnerId": action.person_id,
        "ActivityDate": action.due_on.date().isoformat() if action.due_on else "",
    }
    return {name: value for name, value in fields.items() if value}


def _lead(action: CrmAction) -> dict[str, Any]:
    first, _, last = action.text.rpartition(" ")
    fields = {_LEAD_FIELDS[name]: value for name, value in action.fields.items() if name in _LEAD_FIELDS}
    return {**fields, "LastName": last, **({"FirstName": first[:_FIRST_NAME]} if first else {})}


def _refuse_own(action: CrmAction, protected: frozenset[str]) -> None:
    """A second way to set a stage, or what we write beside it, would be one past every decision."""
    # The org reads names in letters of either case.
    ours = {name.lower() for name in protected}
    for name in action.fields:
        if name.lower() in ours:
            words = f"An action may not set {name}: stages are moved by decisions. Take it out of the action."
            raise LastingRefusal(400, "FIELD_PROTECTED", words)


async def _record(rest: Rest, name: str, action: CrmAction) -> str | None:
    try:
        return (await rest.get(_by_action(rest, name, action), _FOUND, {"fields": "Id"})).id
    except ApiRefusal as refusal:
        if refusal.status == 404:
            return None
        raise


async def _post(rest: Rest, action: CrmAction) -> str | None:
    since = f"{action.requested_at:%Y-%m-%dT%H:%M:%SZ}"
    parent = quote(action.opportunity_id, safe="")
    # A long text is in no condition of a query, so the words are compared here.
    query = f"SELECT Id, Body FROM FeedItem WHERE ParentId = '{parent}' AND CreatedDate >= {since}"  # noqa: S608
    posts = await rest.get(f"{rest.base}/query", _POSTS, {"q": query})
    return next((post.id for post in posts.records if post.body == action.text[:_BODY]), None)
