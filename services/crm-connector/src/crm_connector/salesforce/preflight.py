"""Whether an org has what we need there: objects, fields with their permissions, and the rule on which it rests that
no stage of a person is overwritten."""

from dataclasses import dataclass
from typing import Annotated
from uuid import uuid4

from pydantic import Field, TypeAdapter

from crm_connector.crm import Lack
from crm_connector.salesforce.errors import HALTED, STAGE_CONFLICT, LastingRefusal, error_items
from crm_connector.salesforce.graph import OPPORTUNITY, REPLIES, readable
from crm_connector.salesforce.rest import Rest

# Every field that is written, by object; those of answers vary with the type of the answer.
WRITTEN_FIELDS = {
    "Opportunity": (
        "StageName", "Stagecraft_Write_Id__c", "Stagecraft_Expected_Stage__c", "Stagecraft_Last_Assessed__c",
        "Stagecraft_Score__c", "Stagecraft_Earned_Stage__c", "Stagecraft_Health__c", "Stagecraft_Outcome__c",
        "Stagecraft_Reason__c", "Stagecraft_Sync_Error__c",
    ),
    "Stagecraft_Assessment__c": (
        "External_Id__c", "Opportunity__c", "Template_Key__c", "Template_Version__c", "Stage__c", "Status__c",
        "Max_Score__c", "Completed_At__c", "Answers_Json__c", "Score__c", "Result__c", "Completed_By__c",
    ),
    "Stagecraft_Answer__c": (
        "External_Id__c", "Assessment__c", "Question_Key__c", "Question_Text__c", "Answer_Type__c", "Score__c",
        "Weight__c", "Sequence__c", "Value_Text__c", "Value_Number__c", "Value_Boolean__c", "Value_Json__c",
    ),
}  # fmt: skip
# No org has a stage or a record of these names.
_NO_STAGE = "No such stage (check by Stagecraft)"
_NEVER = "never"
_NO_RECORD = "006000000000000AAA"
RULE_MISSING = (
    "The validation rule Stagecraft_Stage_Conflict of Opportunity is missing or inactive: a write could replace a stage"
    " that a person set, so no stage is written."
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


async def lacks(rest: Rest) -> list[Lack]:
    """What is missing."""
    missing = [lack for name in WRITTEN_FIELDS for lack in await _fields_missing(rest, name)]
    # Without the fields of the rule, the rule cannot be asked.
    if any(lack.subject == OPPORTUNITY for lack in missing):
        return missing
    return missing + await _rule_missing(rest)


async def _fields_missing(rest: Rest, name: str) -> list[Lack]:
    try:
        described = await rest.get(f"{rest.base}/sobjects/{name}/describe", _OBJECT)
    except LastingRefusal as refusal:
        return [Lack(name, f"The object {name} is missing or may not be read: {refusal}.")]
    known = {field.name: field for field in described.fields}
    missing: list[Lack] = []
    for field in WRITTEN_FIELDS[name]:
        found = known.get(field)
        if found is None:
            words = f"The field {name}.{field} is missing, or the integration user may not see it."
        elif not (found.updateable or found.createable):
            words = f"The integration user may not edit the field {name}.{field}."
        else:
            continue
        missing.append(Lack(name, words))
    return missing


async def _rule_missing(rest: Rest) -> list[Lack]:
    """Ask for a write that the rule has to refuse. A second one that must fail makes sure that neither is done."""
    ids = await rest.get(f"{rest.base}/query", _IDS, {"q": "SELECT Id FROM Opportunity ORDER BY Id LIMIT 1"})
    if not ids.records:
        return []
    fields = {"Stagecraft_Write_Id__c": f"check-{uuid4()}", "Stagecraft_Expected_Stage__c": _NO_STAGE}
    nodes = [
        {"method": "PATCH", "url": f"{rest.base}/sobjects/Opportunity/{key}", "referenceId": reference, "body": fields}
        for reference, key in (("opportunity", ids.records[0].id), (_NEVER, _NO_RECORD))
    ]
    graph = {"graphs": [{"graphId": "check", "compositeRequest": nodes}]}
    found = await rest.post(f"{rest.base}/composite/graph", graph, REPLIES)
    nodes_replied = [node for each in readable(found) for node in (each.response.nodes if each.response else ())]
    errors = [(node.reference, item) for node in nodes_replied for item in error_items(node.body)]
    # Only the second node's own refusal proves that the first was let through.
    let_through = any(reference == _NEVER and item.code != HALTED for reference, item in errors)
    if let_through and not any(STAGE_CONFLICT in item.message for _, item in errors):
        return [Lack(OPPORTUNITY, RULE_MISSING)]
    return []
