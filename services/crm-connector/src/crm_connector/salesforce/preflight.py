"""Whether an org has what we need there: objects, fields with their permissions, and the rule on which it rests that
no stage of a person is overwritten."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from uuid import uuid4

from pydantic import Field, TypeAdapter

from crm_connector.crm import Lack
from crm_connector.salesforce.actions import INTAKE_FIELDS
from crm_connector.salesforce.errors import HALTED, STAGE_CONFLICT, LastingRefusal, error_items
from crm_connector.salesforce.graph import REPLIES, SUBJECT, readable
from crm_connector.salesforce.objects import EXPECTED_STAGE, LEAD, STANDARD, WRITE_ID, SubjectObject
from crm_connector.salesforce.rest import Rest

# Every field of evidence that is written, by object; those of answers vary with the type of the answer.
EVIDENCE_FIELDS = {
    "Stagecraft_Assessment__c": (
        "External_Id__c", "Opportunity__c", "Template_Key__c", "Template_Version__c", "Stage__c", "Status__c",
        "Max_Score__c", "Completed_At__c", "Answers_Json__c", "Score__c", "Result__c", "Completed_By__c",
    ),
    "Stagecraft_Answer__c": (
        "External_Id__c", "Assessment__c", "Question_Key__c", "Question_Text__c", "Answer_Type__c", "Score__c",
        "Weight__c", "Sequence__c", "Value_Text__c", "Value_Number__c", "Value_Boolean__c", "Value_Json__c",
    ),
}  # fmt: skip
# What needs the fields that only new leads are written with. It is no object: stages of leads are written without them.
INTAKE = "intake of leads"
# No org has a stage or a record of these names.
_NO_STAGE = "No such stage (check by Stagecraft)"
_NEVER = "never"
RULE_MISSING = (
    "The validation rule Stagecraft_Stage_Conflict of {0} is missing or inactive: a write could replace a stage that a"
    " person set, so no {0} is written."
)
NO_STAGE_FIELD = (
    "No field of {0} is known to hold the stage, so no {0} is written. Name the field in the setting"
    " SALESFORCE_ACCOUNT_STAGE_FIELD."
)


@dataclass(frozen=True, slots=True)
class _Described:
    name: str
    createable: bool
    updateable: bool


@dataclass(frozen=True, slots=True)
class _Object:
    fields: list[_Described]


@dataclass(frozen=True, slots=True)
class _Id:
    id: Annotated[str, Field(alias="Id", pattern="^[0-9A-Za-z]{1,18}$")]


@dataclass(frozen=True, slots=True)
class _Ids:
    records: list[_Id]


_OBJECT = TypeAdapter(_Object)
_IDS = TypeAdapter(_Ids)


async def lacks(rest: Rest, subjects: Sequence[SubjectObject]) -> list[Lack]:
    """What is missing of these objects, of what holds evidence, and of the leads that are handed in."""
    missing = [lack for name, fields in EVIDENCE_FIELDS.items() for lack in await _fields_missing(rest, name, fields)]
    for each in subjects:
        missing += await _of_subject(rest, each)
        if each.name == STANDARD[LEAD].name:
            missing += [Lack(INTAKE, lack.words) for lack in await _fields_missing(rest, each.name, INTAKE_FIELDS)]
    return missing


async def _of_subject(rest: Rest, about: SubjectObject) -> list[Lack]:
    if not about.stage:
        return [Lack(about.name, NO_STAGE_FIELD.format(about.name))]
    # Without the fields of the rule, the rule cannot be asked.
    return await _fields_missing(rest, about.name, about.written_fields) or await _rule_missing(rest, about)


async def _fields_missing(rest: Rest, name: str, fields: Sequence[str]) -> list[Lack]:
    try:
        described = await rest.get(f"{rest.base}/sobjects/{name}/describe", _OBJECT)
    except LastingRefusal as refusal:
        return [Lack(name, f"The object {name} is missing or may not be read: {refusal}.")]
    known = {field.name: field for field in described.fields}
    missing: list[Lack] = []
    for field in fields:
        found = known.get(field)
        if found is None:
            words = f"The field {name}.{field} is missing, or the integration user may not see it."
        elif not (found.updateable or found.createable):
            words = f"The integration user may not edit the field {name}.{field}."
        else:
            continue
        missing.append(Lack(name, words))
    return missing


async def _rule_missing(rest: Rest, about: SubjectObject) -> list[Lack]:
    """Ask for a write that the rule has to refuse. A second one that must fail makes sure that neither is done."""
    query = f"SELECT Id FROM {about.name} ORDER BY Id LIMIT 1"  # noqa: S608 - constants
    ids = await rest.get(f"{rest.base}/query", _IDS, {"q": query})
    if not ids.records:
        return []
    fields = {WRITE_ID: f"check-{uuid4()}", EXPECTED_STAGE: _NO_STAGE}
    records, no_record = f"{rest.base}/sobjects/{about.name}", f"{about.prefix}000000000000AAA"
    nodes = [
        {"method": "PATCH", "url": f"{records}/{key}", "referenceId": reference, "body": fields}
        for reference, key in ((SUBJECT, ids.records[0].id), (_NEVER, no_record))
    ]
    graph = {"graphs": [{"graphId": "check", "compositeRequest": nodes}]}
    found = await rest.post(f"{rest.base}/composite/graph", graph, REPLIES)
    nodes_replied = [node for each in readable(found) for node in (each.response.nodes if each.response else ())]
    errors = [(node.reference, item) for node in nodes_replied for item in error_items(node.body)]
    # Only the second node's own refusal proves that the first was let through.
    let_through = any(reference == _NEVER and item.code != HALTED for reference, item in errors)
    if let_through and not any(STAGE_CONFLICT in item.message for _, item in errors):
        return [Lack(about.name, RULE_MISSING.format(about.name))]
    return []
