"""What the API takes and gives."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from kit.contracts.wire import PlainDecimal
from kit.http.pagination import in_utc
from kit.http.read_back import ReadBack
from kit.http.texts import Instant
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from crm_connector.domain.fields import MOST_FACTS, FactType, FieldMapping, MappedField
from crm_connector.domain.intents import IntentState, Lane
from crm_connector.domain.stages import Category, PipelineStage
from crm_connector.records import ParkedFilter

OPPORTUNITY_ID = "006Sg0000000001AAA"
MOMENT = "2026-11-22T19:00:05Z"
# PostgreSQL stores no NUL.
NO_NUL = r"^[^\x00]*$"
Moment = Annotated[Instant, AfterValidator(in_utc)]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Hold(BaseModel):
    """Something of the CRM that refuses writes, so that they are held back instead of failing one by one."""

    model_config = ConfigDict(from_attributes=True)

    scope: Literal["ORG", "OBJECT", "FIELD"] = Field(examples=["FIELD"])
    subject: str = Field(description="the CRM's object; empty for all of the CRM", examples=["Stagecraft_Answer__c"])
    fields: list[str] = Field(description="the fields that the CRM names", examples=[["Value_Json__c"]])
    code: str = Field(description="the CRM's code", examples=["INVALID_FIELD_FOR_INSERT_UPDATE"])
    reason: str = Field(description="the CRM's own words", examples=["Unable to create/update fields: Value_Json__c."])
    since: datetime = Field(examples=[MOMENT])
    until: datetime = Field(description="when a few writes are sent to see whether it still refuses", examples=[MOMENT])
    refusals: int = Field(description="attempts that were refused in a row", examples=[3])


class EventAllocation(BaseModel):
    """How many events the CRM has delivered, of those it delivers in a day."""

    used: int = Field(examples=[1200])
    allowed: int = Field(examples=[25000])


class ConnectionState(BaseModel):
    """The state of the connection to the CRM."""

    adapter: str = Field(examples=["salesforce"])
    org_id: str = Field(examples=["00DSg0000000001EAA"])
    state: Literal[
        "NOT_CONNECTED", "CONNECTING", "WAITING_FOR_PIPELINE", "IMPORTING", "LIVE", "RECORDING", "SWEEPING",
        "UNAVAILABLE", "REFUSED", "FAILED",
    ] = Field(
        description="RECORDING: no CRM is written; SWEEPING: changes are found by reading, since the CRM delivers no"
        " events; FAILED: by a fault of our own",
        examples=["LIVE"],
    )  # fmt: skip
    since: datetime | None = Field(description="when it came into this state", examples=[MOMENT])
    last_error: str = Field(description="in words; empty when there was none since it last worked", examples=[""])
    last_error_at: datetime | None = Field(examples=[None])
    connected_at: datetime | None = Field(examples=[MOMENT])
    progress_at: datetime | None = Field(
        description="when something was last heard from the CRM or read in it", examples=[MOMENT]
    )
    cursor_age_seconds: float | None = Field(
        description="since the stream of changes last moved; null before it first did", examples=[12.5]
    )
    sweeping_since: datetime | None = Field(
        description="changes from then on may have been missed and will be read again", examples=[None]
    )
    unfinished_since: datetime | None = Field(
        description="when the oldest write was asked for that the CRM has not taken", examples=[None]
    )
    writes: Literal["FLOWING", "HELD"] = Field(
        description="HELD: the CRM refuses all writes or some of them; they go on by themselves once it takes one",
        examples=["FLOWING"],
    )
    holds: list[Hold] = Field(description="what the CRM refuses")
    missing: list[str] = Field(
        description="what the CRM lacks of what we need there; what depends on it is not written", examples=[[]]
    )
    facts_unavailable: list[str] = Field(
        description="mapped facts whose fields the CRM does not show any more: they count as unknown", examples=[[]]
    )
    checked_at: datetime | None = Field(description="when that was last checked", examples=[MOMENT])
    stages_as_of: datetime | None = Field(description="when the CRM's stages were last read", examples=[MOMENT])
    people_as_of: datetime | None = Field(description="when the CRM's users were last read", examples=[MOMENT])
    events: EventAllocation | None = Field(description="null where the CRM does not say")


class Asked(BaseModel):
    """A request that the leading instance carries out within seconds."""

    asked_at: datetime = Field(examples=[MOMENT])


class Import(BaseModel):
    """One reading of all opportunities of the CRM."""

    import_id: UUID
    state: Literal["RUNNING", "COMPLETED"] = Field(examples=["RUNNING"])
    requested_by: str = Field(examples=["crm-connector"])
    read_count: int = Field(description="opportunities read so far", examples=[4000])
    published_count: int = Field(description="those among them that were news", examples=[3987])
    last_error: str = Field(examples=[""])
    created_at: datetime = Field(examples=[MOMENT])
    finished_at: datetime | None = Field(examples=[None])


class WriteIntent(BaseModel):
    """What one decision wants written into the CRM, and how far that is."""

    model_config = ConfigDict(from_attributes=True)

    intent_id: UUID
    object_type: str = Field(examples=["opportunity"])
    opportunity_id: str = Field(examples=[OPPORTUNITY_ID])
    decision_id: UUID
    decision_no: int = Field(examples=[7])
    submission_id: str = Field(description="empty when only a stage is written", examples=[""])
    pipeline_key: str = Field(examples=["sales"])
    pipeline_version: int = Field(examples=[1])
    lane: Lane
    target_stage: str = Field(description="empty when only answers are written", examples=["discovery"])
    expected_stage: str = Field(examples=["prospecting"])
    state: IntentState
    attempts: int = Field(examples=[1])
    write_id: str = Field(description="kept with the record in the CRM", examples=["019ab3c4-0000-7000-8000-000000000000"])  # fmt: skip  # noqa: E501
    code: str = Field(description="the CRM's code when it refused", examples=["FIELD_CUSTOM_VALIDATION_EXCEPTION"])
    reason: str = Field(description="the CRM's own words", examples=["Close date must not be in the past"])
    left_out: dict[str, str] = Field(
        description="why the CRM refused an answer, by question; empty for the assessment as a whole", examples=[{}]
    )
    follows: UUID | None = Field(description="the intent whose answers these are", examples=[None])
    due_at: datetime = Field(
        description="when it is sent or looked for; since when it is parked or settled", examples=[MOMENT]
    )
    sent_at: datetime | None = Field(examples=[MOMENT])
    confirmed_at: datetime | None = Field(examples=[None])
    echoed_at: datetime | None = Field(examples=[None])
    created_at: datetime = Field(examples=[MOMENT])


class ParkedWrites(_Document):
    """Which parked writes: those that match all that is given. Without anything they are all meant."""

    code: Annotated[str | None, Field(max_length=200, pattern=NO_NUL)] = Field(
        None, description="exactly", examples=["FIELD_CUSTOM_VALIDATION_EXCEPTION"]
    )
    reason: Annotated[str | None, Field(max_length=500, pattern=NO_NUL)] = Field(
        None, description="a part of the CRM's words", examples=["Close date"]
    )
    opportunity_id: Annotated[str | None, Field(max_length=200, pattern=NO_NUL)] = Field(None, examples=[None])
    parked_since: Moment | None = Field(None, examples=[MOMENT])
    parked_before: Moment | None = Field(None, examples=[None])
    limit: int = Field(1000, ge=1, le=1000, description="so many at a time")

    def filter(self) -> ParkedFilter:
        """The filter as the service takes it."""
        return ParkedFilter(**self.model_dump(exclude={"limit"}))


class ParkedWritesDone(BaseModel):
    """What became of them."""

    count: int = Field(description="writes that were moved", examples=[199])
    more: bool = Field(description="more of them may be left: send the request again", examples=[False])


class StageMapping(BaseModel):
    """Which stage of a pipeline version is which of the CRM."""

    pipeline_key: str = Field(examples=["sales"])
    pipeline_version: int = Field(examples=[1])
    is_default: bool = Field(description="pairs by equal name, as no person set any", examples=[True])
    stages: dict[str, str] = Field(
        description="the API name of the CRM's stage by our stage's key", examples=[{"prospecting": "Prospecting"}]
    )
    unmapped: list[str] = Field(description="stages of ours without a counterpart", examples=[[]])
    stages_as_of: datetime | None = Field(description="when the CRM's stages were last read", examples=[MOMENT])


class StageMappingChange(_Document, ReadBack):
    """The whole mapping of a pipeline version; stages that are left out are not mapped."""

    only_read = frozenset({"pipeline_key", "pipeline_version", "is_default", "unmapped", "stages_as_of"})
    stages: Annotated[
        dict[Annotated[str, Field(max_length=200)], Annotated[str, Field(min_length=1, max_length=255)]],
        Field(max_length=200, examples=[{"prospecting": "Prospecting", "closed_won": "Closed Won"}]),
    ]


class StageToCheck(_Document):
    """A stage of a pipeline that is yet to be published."""

    key: str = Field(min_length=1, max_length=200, pattern=NO_NUL, examples=["demo"])
    name: str = Field(min_length=1, max_length=200, pattern=NO_NUL, examples=["Demo"])
    category: Category = Field(examples=["open"])

    def stage(self) -> PipelineStage:
        return PipelineStage(self.key, self.name, self.category)


class StagesToCheck(_Document):
    """All stages of a pipeline, in their order; it may be new."""

    pipeline_key: str = Field(min_length=1, max_length=200, pattern=NO_NUL, examples=["sales"])
    stages: list[StageToCheck] = Field(min_length=1, max_length=200)


class StageMissing(BaseModel):
    """A stage that has no counterpart in the CRM, and why."""

    stage_key: str = Field(examples=["demo"])
    code: str = Field(examples=["crm_stage_missing"])
    detail: str


class StagesChecked(BaseModel):
    """What the CRM has for these stages."""

    stages: dict[str, str] = Field(description="the CRM's stage by our stage's key", examples=[{"demo": "Demo"}])
    missing: list[StageMissing] = Field(description="empty: everything can be written")
    stages_as_of: datetime | None = Field(description="when the CRM's stages were last read", examples=[MOMENT])


class Opportunity(BaseModel):
    """What the connector last knew of an opportunity in the CRM."""

    object_type: str = Field(examples=["opportunity"])
    opportunity_id: str = Field(examples=[OPPORTUNITY_ID])
    pipeline_key: str = Field(examples=["sales"])
    pipeline_version: int = Field(description="0 before the stage engine placed it", examples=[1])
    stage_key: str = Field(description="empty when the CRM's stage is not mapped there", examples=["discovery"])
    crm_stage: str | None = Field(description="null before the CRM first showed it", examples=["Discovery"])
    amount: PlainDecimal | None = Field(examples=["50000"])
    close_date: date | None = Field(examples=["2026-12-31"])
    owner_id: str = Field(examples=["005Sg0000000001AAA"])
    deleted: bool = Field(examples=[False])
    awaits_echo: bool = Field(description="our stage is written and has not come back yet", examples=[False])
    sequence: int = Field(description="of the last event published about it", examples=[3])
    updated_at: datetime = Field(examples=[MOMENT])


class FactSource(_Document):
    """The field that a fact comes from, of the object that the fact's name begins with."""

    field: Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[A-Za-z][A-Za-z0-9_]*$")] = Field(
        examples=["LeadSource"]
    )
    type: FactType = Field(description="`money` is a number in the currency of its record", examples=["text"])


_Facts = Annotated[
    dict[Annotated[str, Field(max_length=120)], FactSource],
    Field(
        max_length=MOST_FACTS,
        description="by the fact's name, `<object>.<name>`; those of an account are facts of its opportunities, too",
        examples=[{"opportunity.lead_source": {"field": "LeadSource", "type": "text"}}],
    ),
]
_Roles = Annotated[
    dict[
        Annotated[str, Field(max_length=80)],
        Annotated[list[Annotated[str, Field(min_length=1, max_length=255, pattern=NO_NUL)]], Field(max_length=50)],
    ],
    Field(
        max_length=20,
        description="contacts of an opportunity in these roles are counted as the fact `contacts.<name>`",
        examples=[{"decision_makers": ["Decision Maker"]}],
    ),
]


class FieldMappingChange(_Document, ReadBack):
    """The whole mapping; facts that are left out are not read any more."""

    only_read = frozenset({"is_default", "checked", "unavailable"})
    facts: _Facts
    contact_roles: _Roles = {}

    def mapping(self) -> FieldMapping:
        """The mapping as the service takes it."""
        facts = {name: MappedField(each.field, each.type) for name, each in self.facts.items()}
        return FieldMapping(facts, {name: tuple(roles) for name, roles in self.contact_roles.items()})


class FieldMappings(BaseModel):
    """Which fields of the CRM become which facts."""

    is_default: bool = Field(description="as shipped, as no person set any", examples=[False])
    checked: bool = Field(
        description="the CRM had every field when the mapping was set; false when it could not be asked then",
        examples=[True],
    )
    facts: _Facts
    contact_roles: _Roles
    unavailable: list[str] = Field(
        description="facts whose fields the CRM does not show: they are unknown", examples=[["opportunity.next_step"]]
    )


class FieldCandidate(BaseModel):
    """A field of the CRM."""

    model_config = ConfigDict(from_attributes=True)

    name: str = Field(examples=["LeadSource"])
    label: str = Field(examples=["Lead Source"])
    crm_type: str = Field(description="the CRM's own type", examples=["picklist"])
    types: list[FactType] = Field(description="those that its fact may have; none: it cannot be a fact")


class FieldCandidates(BaseModel):
    """The fields of one object that the integration user may read."""

    object_type: str = Field(examples=["opportunity"])
    fields: list[FieldCandidate]
