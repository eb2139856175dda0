"""What the org knows of each object: its fields, their types, and what may be done with them.

Describe, validation, SOQL and the change-event schemas all read this one declaration.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

Kind = Literal[
    "id", "string", "textarea", "picklist", "boolean", "currency", "double", "percent", "int",
    "date", "datetime", "reference", "url", "email", "phone",
]  # fmt: skip

NUMBERS = frozenset({"currency", "double", "percent", "int"})
TEXTS = frozenset({"string", "textarea", "picklist", "url", "email", "phone"})
LONG_TEXT = 255


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an object. `length` is in UTF-16 characters; `precision` counts all digits of a number."""

    name: str
    kind: Kind = "string"
    length: int = 0
    precision: int = 18
    scale: int = 0
    required: bool = False
    writable: bool = True
    updateable: bool = True
    unique: bool = False
    external_id: bool = False
    restricted: bool = False
    values: tuple[str, ...] = ()
    refers_to: str | None = None
    relationship: str | None = None
    children: str | None = None
    master: bool = False
    in_events: bool = True

    @property
    def custom(self) -> bool:
        return self.name.endswith("__c")

    @property
    def label(self) -> str:
        return self.name.removesuffix("__c").removeprefix("Stagecraft_").replace("_", " ")

    @property
    def searchable(self) -> bool:
        """Whether WHERE and ORDER BY may name it; long text areas may not be filtered."""
        return not (self.kind == "textarea" and self.length > LONG_TEXT)


@dataclass(frozen=True)
class SObject:
    """One object of the org."""

    name: str
    prefix: str
    label: str
    plural: str
    fields: tuple[Field, ...]
    writable: bool = True
    auto_number: str | None = None
    by_lower: dict[str, Field] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_lower", {f.name.lower(): f for f in self.fields})

    def find(self, name: str) -> Field | None:
        return self.by_lower.get(name.lower())

    @cached_property
    def by_relationship(self) -> dict[str, Field]:
        """Reference fields by the lower-case name a parent is reached with (`owner`, `assessment__r`)."""
        return {f.relationship.lower(): f for f in self.fields if f.relationship}

    @cached_property
    def keys(self) -> tuple[Field, ...]:
        """Fields of which no two records may share a value."""
        return tuple(f for f in self.fields if f.unique)

    @cached_property
    def references(self) -> tuple[Field, ...]:
        return tuple(f for f in self.fields if f.kind == "reference")

    @cached_property
    def masters(self) -> tuple[Field, ...]:
        return tuple(f for f in self.fields if f.master)

    @cached_property
    def booleans(self) -> tuple[Field, ...]:
        return tuple(f for f in self.fields if f.kind == "boolean")

    @cached_property
    def required(self) -> tuple[Field, ...]:
        return tuple(f for f in self.fields if f.required)


def text(name: str, length: int = 255, *, required: bool = False) -> Field:
    return Field(name, length=length, required=required)


def long_text(name: str, length: int = 32768) -> Field:
    return Field(name, "textarea", length=length)


def number(name: str, precision: int = 9, scale: int = 2) -> Field:
    return Field(name, "double", precision=precision, scale=scale)


def key(name: str, length: int, *, required: bool) -> Field:
    return Field(name, length=length, required=required, unique=True, external_id=True)


def picklist(name: str, *values: str, restricted: bool = False) -> Field:
    return Field(name, "picklist", length=255, values=values, restricted=restricted)


def system(name: str, kind: Kind, length: int = 0) -> Field:
    return Field(name, kind, length=length, writable=False)


def lookup(name: str, target: str, relationship: str, children: str | None = None) -> Field:
    return Field(name, "reference", length=18, refers_to=target, relationship=relationship, children=children)


def master(name: str, target: str, relationship: str, children: str) -> Field:
    """A master-detail parent: required, fixed after creation, and its deletion deletes the child."""
    return Field(
        name, "reference", length=18, refers_to=target, relationship=relationship, children=children,
        required=True, updateable=False, master=True,
    )  # fmt: skip


def user_stamp(name: str) -> Field:
    return Field(name, "reference", length=18, writable=False, refers_to="User", relationship=name.removesuffix("Id"))


IDENTITY = Field("Id", "id", length=18, writable=False, in_events=False)
STAMPS = (
    system("CreatedDate", "datetime"),
    user_stamp("CreatedById"),
    system("LastModifiedDate", "datetime"),
    user_stamp("LastModifiedById"),
)
HIDDEN_STAMPS = (
    Field("SystemModstamp", "datetime", writable=False, in_events=False),
    Field("IsDeleted", "boolean", writable=False, in_events=False),
)

OPPORTUNITY = SObject(
    "Opportunity", "006", "Opportunity", "Opportunities",
    (
        IDENTITY,
        lookup("AccountId", "Account", "Account", "Opportunities"),
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
        number("Stagecraft_Score__c"),
        text("Stagecraft_Earned_Stage__c"),
        text("Stagecraft_Recommended_Stage__c"),
        text("Stagecraft_Health__c", 40),
        text("Stagecraft_Outcome__c", 40),
        text("Stagecraft_Reason__c"),
        Field("Stagecraft_Last_Assessed__c", "datetime"),
        text("Stagecraft_Expected_Stage__c"),
        text("Stagecraft_Write_Id__c", 64),
        text("Stagecraft_Last_Writer__c", 80),
        long_text("Stagecraft_Sync_Error__c"),
        key("Stagecraft_External_Id__c", 64, required=False),
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
        picklist("Type", "Prospect", "Customer", "Partner", "Other"),
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
        lookup("OpportunityId", "Opportunity", "Opportunity", "OpportunityHistories"),
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

OBJECTS = (OPPORTUNITY, ASSESSMENT, ANSWER, ACCOUNT, USER, STAGE, HISTORY, ORGANIZATION)
_BY_LOWER = {item.name.lower(): item for item in OBJECTS}
_BY_PREFIX = {item.prefix: item for item in OBJECTS}


def find_object(name: str) -> SObject | None:
    """Finds an object by its name in any case."""
    return _BY_LOWER.get(name.lower())


def object_of_id(record_id: str) -> SObject | None:
    """Finds the object an id belongs to by its three-character prefix."""
    return _BY_PREFIX.get(record_id[:3])


def children_of(parent: SObject) -> list[tuple[SObject, Field]]:
    """Lists the objects that hang on `parent` by a named child relationship."""
    return [(o, f) for o in OBJECTS for f in o.references if f.refers_to == parent.name and f.children]
