"""The objects of the org whose records may have a pipeline: one description of each, from which all else follows."""

from collections.abc import Mapping
from dataclasses import dataclass

# What we write on a record besides its stage, whatever its object.
WRITE_ID, EXPECTED_STAGE = "Stagecraft_Write_Id__c", "Stagecraft_Expected_Stage__c"
SCORE, LAST_ASSESSED = "Stagecraft_Score__c", "Stagecraft_Last_Assessed__c"
EARNED_STAGE, HEALTH = "Stagecraft_Earned_Stage__c", "Stagecraft_Health__c"
OUTCOME, REASON = "Stagecraft_Outcome__c", "Stagecraft_Reason__c"
SYNC_ERROR = "Stagecraft_Sync_Error__c"
WRITTEN = (WRITE_ID, EXPECTED_STAGE, LAST_ASSESSED, SCORE, EARNED_STAGE, HEALTH, OUTCOME, REASON, SYNC_ERROR)
# What a record that an action created is found by.
ACTION_ID = "Stagecraft_Action_Id__c"
# No change of another is ever about these.
OWN_FIELDS = frozenset(
    {*WRITTEN, "Stagecraft_Recommended_Stage__c", "Stagecraft_Last_Writer__c", "Stagecraft_External_Id__c", ACTION_ID}
)


@dataclass(frozen=True, slots=True)
class SubjectObject:
    """An object of the org: its API name, the first characters of its ids, and the field that holds the stage; empty
    where none does. `outcome` and `reason` say how and why a record ended."""

    name: str
    prefix: str
    stage: str
    outcome: str = OUTCOME
    reason: str = REASON

    @property
    def written_fields(self) -> tuple[str, ...]:
        """Every field that is written."""
        named = {OUTCOME: self.outcome, REASON: self.reason}
        return tuple(filter(None, (self.stage, *(named.get(name, name) for name in WRITTEN))))


# By object type.
Objects = Mapping[str, SubjectObject]
OPPORTUNITY, LEAD, ACCOUNT = "opportunity", "lead", "account"


def subject_objects(outcome: str = OUTCOME, reason: str = REASON, account_stage: str = "") -> Objects:
    """The objects of an org, in the order of their ids, with the fields that it has for the end of an opportunity and
    for the stage of an account."""
    return {
        ACCOUNT: SubjectObject("Account", "001", account_stage),
        OPPORTUNITY: SubjectObject("Opportunity", "006", "StageName", outcome, reason),
        LEAD: SubjectObject("Lead", "00Q", "Status"),
    }


STANDARD = subject_objects()
