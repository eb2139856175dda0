"""What the org knows of each object: its fields, their types, and what may be done with them.

Describe, validation, SOQL and the change-event schemas all read this one declaration.
"""

from sandbox.salesforce.fields import (
    HIDDEN_STAMPS,
    IDENTITY,
    LONG_TEXT,
    NUMBERS,
    STAMPS,
    TEXTS,
    Field,
    SObject,
    key,
    long_text,
    lookup,
    master,
    number,
    picklist,
    system,
    text,
    user_stamp,
    written,
)
from sandbox.salesforce.sales_objects import (
    ACTION,
    CAMPAIGN,
    CONTACT,
    CONTACT_ROLE,
    EVENT,
    FEED_ITEM,
    LEAD,
    LEAD_STATUS,
    RECORD_TYPE,
    TASK,
)

__all__ = ["CONTACT", "LONG_TEXT", "NUMBERS", "TEXTS", "Field", "SObject"]

OPPORTUNITY = SObject(
    "Opportunity", "006", "Opportunity", "Opportunities",
    (
        IDENTITY,
        lookup("RecordTypeId", "RecordType", "RecordType"),
        lookup("AccountId", "Account", "Account", "Opportunities"),
        lookup("CampaignId", "Campaign", "Campaign"),
        Field("IsPrivate", "boolean"),
        text("Name", 120, required=True),
        long_text("Description", 32000),
        Field("StageName", "picklist", length=255, required=True),
        Field("Amount", "currency", scale=2),
        Field("Probability", "percent", precision=3),
        Field("ExpectedRevenue", "currency", scale=2, writable=False),
        number("TotalOpportunityQuantity", 18),
        Field("CloseDate", "date", required=True),
        picklist("Type", "New Business", "Existing Business"),
        text("NextStep"),
        picklist("LeadSource", "Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other"),
        system("IsClosed", "boolean"),
        system("IsWon", "boolean"),
        system("ForecastCategory", "picklist", 255),
        picklist("ForecastCategoryName", "Omitted", "Pipeline", "Best Case", "Commit", "Closed"),
        system("HasOpportunityLineItem", "boolean"),
        lookup("OwnerId", "User", "Owner"),
        *STAMPS,
        system("LastStageChangeDate", "datetime"),
        system("LastActivityDate", "date"),
        *written(),
        text("Stagecraft_Recommended_Stage__c"),
        text("Stagecraft_Last_Writer__c", 80),
        key("Stagecraft_External_Id__c", 64, required=False),
        ACTION,
        *HIDDEN_STAMPS,
    ),
)  # fmt: skip

ASSESSMENT = SObject(
    "Stagecraft_Assessment__c", "a0X", "Assessment", "Assessments",
    (
        IDENTITY,
        Field("Name", length=80, writable=False),
        master("Opportunity__c", "Opportunity", "Opportunity__r", "Stagecraft_Assessments__r"),
        key("External_Id__c", 64, required=True),
        text("Template_Key__c", 80),
        text("Template_Version__c", 20),
        text("Stage__c", 80),
        text("Status__c", 40),
        number("Score__c"),
        number("Max_Score__c"),
        text("Result__c", 80),
        Field("Completed_At__c", "datetime"),
        lookup("Completed_By__c", "User", "Completed_By__r"),
        Field("Deep_Link__c", "url", length=255),
        long_text("Answers_Json__c", 131072),
        *STAMPS,
        *HIDDEN_STAMPS,
    ),
    auto_number="SA-{:08d}",
)  # fmt: skip

ANSWER = SObject(
    "Stagecraft_Answer__c", "a0Y", "Answer", "Answers",
    (
        IDENTITY,
        Field("Name", length=80, writable=False),
        master("Assessment__c", "Stagecraft_Assessment__c", "Assessment__r", "Stagecraft_Answers__r"),
        key("External_Id__c", 160, required=True),
        text("Question_Key__c", 80),
        text("Question_Text__c"),
        text("Answer_Type__c", 40),
        long_text("Value_Text__c"),
        number("Value_Number__c", 18, 4),
        Field("Value_Boolean__c", "boolean"),
        Field("Value_Date__c", "date"),
        long_text("Value_Json__c"),
        number("Score__c"),
        number("Weight__c", 9, 4),
        number("Sequence__c", 4, 0),
        Field("Evidence_Url__c", "url", length=255),
        *STAMPS,
        *HIDDEN_STAMPS,
    ),
    auto_number="AN-{:08d}",
)  # fmt: skip

ACCOUNT = SObject(
    "Account", "001", "Account", "Accounts",
    (
        IDENTITY,
        text("Name", 255, required=True),
        lookup("RecordTypeId", "RecordType", "RecordType"),
        # The first are those of every org, the others stages of shipped processes.
        picklist(
            "Type", "Prospect", "Customer", "Partner", "Other", "Target", "In Play", "Customer - Call Due",
            "Former Customer",
        ),
        picklist("Industry"),
        picklist("Rating", "Hot", "Warm", "Cold", restricted=True),
        Field("Website", "url", length=255),
        Field("Phone", "phone", length=40),
        text("AccountNumber", 40),
        text("BillingCity", 40),
        text("BillingCountry", 80),
        Field("NumberOfEmployees", "int", precision=8),
        Field("AnnualRevenue", "currency"),
        long_text("Description", 32000),
        lookup("OwnerId", "User", "Owner"),
        *STAMPS,
        *written(),
        *HIDDEN_STAMPS,
    ),
)  # fmt: skip

USER = SObject(
    "User", "005", "User", "Users",
    (
        IDENTITY,
        text("Username", 80, required=True),
        text("FirstName", 40),
        text("LastName", 80, required=True),
        Field("Name", length=121, writable=False),
        Field("Email", "email", length=128, required=True),
        text("Alias", 8),
        text("Title", 80),
        text("Department", 80),
        Field("IsActive", "boolean"),
        lookup("ManagerId", "User", "Manager"),
        key("FederationIdentifier", 512, required=False),
        picklist("UserType", "Standard", "PowerPartner", "AutomatedProcess"),
        *STAMPS,
        Field("SystemModstamp", "datetime", writable=False, in_events=False),
    ),
)  # fmt: skip

STAGE = SObject(
    "OpportunityStage", "01J", "Opportunity Stage", "Opportunity Stages",
    (
        IDENTITY,
        text("ApiName"),
        text("MasterLabel"),
        Field("SortOrder", "int"),
        Field("IsActive", "boolean"),
        Field("IsClosed", "boolean"),
        Field("IsWon", "boolean"),
        Field("DefaultProbability", "percent"),
        text("ForecastCategory", 40),
        text("ForecastCategoryName", 40),
        text("Description"),
        *STAMPS,
        Field("SystemModstamp", "datetime", writable=False, in_events=False),
    ),
    writable=False,
)  # fmt: skip

HISTORY = SObject(
    "OpportunityHistory", "008", "Opportunity History", "Opportunity Histories",
    (
        IDENTITY,
        lookup("OpportunityId", "Opportunity", "Opportunity", "OpportunityHistories", cascade=True),
        text("StageName"),
        Field("Amount", "currency", scale=2),
        Field("Probability", "percent"),
        Field("CloseDate", "date"),
        Field("ExpectedRevenue", "currency", scale=2),
        text("ForecastCategory", 40),
        Field("PrevAmount", "currency", scale=2),
        Field("PrevCloseDate", "date"),
        system("CreatedDate", "datetime"),
        user_stamp("CreatedById"),
        *HIDDEN_STAMPS,
    ),
    writable=False,
)  # fmt: skip

ORGANIZATION = SObject(
    "Organization", "00D", "Organization", "Organizations",
    (
        IDENTITY,
        text("Name", 80),
        text("InstanceName", 5),
        Field("IsSandbox", "boolean"),
        text("OrganizationType", 40),
        text("NamespacePrefix", 15),
        Field("TrialExpirationDate", "datetime"),
    ),
    writable=False,
)  # fmt: skip

OBJECTS = (
    OPPORTUNITY, ASSESSMENT, ANSWER, ACCOUNT, USER, STAGE, HISTORY, ORGANIZATION, RECORD_TYPE, CAMPAIGN, CONTACT,
    CONTACT_ROLE, LEAD, LEAD_STATUS, TASK, EVENT, FEED_ITEM,
)  # fmt: skip
# Those whose changes become events, as the package selects them.
FOLLOWED = (OPPORTUNITY, USER, ACCOUNT, LEAD, TASK, EVENT, CONTACT_ROLE)
_BY_LOWER = {item.name.lower(): item for item in OBJECTS}
_BY_PREFIX = {item.prefix: item for item in OBJECTS}


# The field that holds the stage of a record, which the packaged rule compares; an org may take another one of accounts.
STAGE_FIELDS = {"Opportunity": "StageName", "Lead": "Status", "Account": "Type"}


def find_object(name: str) -> SObject | None:
    """Finds an object by its name in any case."""
    return _BY_LOWER.get(name.lower())


def object_of_id(record_id: str) -> SObject | None:
    """Finds the object an id belongs to by its three-character prefix."""
    return _BY_PREFIX.get(record_id[:3])


def children_of(parent: SObject) -> list[tuple[SObject, Field]]:
    """Lists the objects that hang on `parent` by a named child relationship."""
    return [(o, f) for o in OBJECTS for f in o.references if parent.name in f.targets and f.children]
