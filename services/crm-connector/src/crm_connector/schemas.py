"""What the API takes and gives."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from kit.wire import PlainDecimal
from pydantic import BaseModel, ConfigDict, Field

from crm_connector.domain.intents import IntentState, Lane

OPPORTUNITY_ID = "006Sg0000000001AAA"
MOMENT = "2026-11-22T19:00:05Z"


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ConnectionState(BaseModel):
    """The state of the connection to the CRM."""

    adapter: str = Field(examples=["salesforce"])
    org_id: str = Field(examples=["00DSg0000000001EAA"])
    state: Literal[
        "NOT_CONNECTED", "CONNECTING", "WAITING_FOR_PIPELINE", "IMPORTING", "LIVE", "UNAVAILABLE", "REFUSED"
    ] = Field(examples=["LIVE"])
    last_error: str = Field(description="in words; empty when there was none since the last connection", examples=[""])
    last_error_at: datetime | None = Field(examples=[None])
    connected_at: datetime | None = Field(examples=[MOMENT])
    cursor_age_seconds: float | None = Field(
        description="since the stream of changes last moved; null before it first did", examples=[12.5]
    )
    sweeping_since: datetime | None = Field(
        description="changes from then on may have been missed and will be read again", examples=[None]
    )
    unfinished_since: datetime | None = Field(
        description="when the oldest write was asked for that the CRM has not taken", examples=[None]
    )


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
    opportunity_id: str = Field(examples=[OPPORTUNITY_ID])
    decision_id: UUID
    decision_no: int = Field(examples=[7])
    submission_id: str = Field(description="empty when only a stage is written", examples=[""])
    pipeline_key: str = Field(examples=["sales"])
    lane: Lane
    target_stage: str = Field(description="empty when only answers are written", examples=["discovery"])
    expected_stage: str = Field(examples=["prospecting"])
    state: IntentState
    attempts: int = Field(examples=[1])
    write_id: str = Field(description="kept with the record in the CRM", examples=["019ab3c4-0000-7000-8000-000000000000"])  # fmt: skip  # noqa: E501
    code: str = Field(description="the CRM's code when it refused", examples=["FIELD_CUSTOM_VALIDATION_EXCEPTION"])
    reason: str = Field(description="the CRM's own words", examples=["Close date must not be in the past"])
    follows: UUID | None = Field(description="the intent whose answers these are", examples=[None])
    due_at: datetime = Field(
        description="when it is sent or looked for; since when it is parked or settled", examples=[MOMENT]
    )
    sent_at: datetime | None = Field(examples=[MOMENT])
    confirmed_at: datetime | None = Field(examples=[None])
    echoed_at: datetime | None = Field(examples=[None])
    created_at: datetime = Field(examples=[MOMENT])


class StageMapping(BaseModel):
    """Which stage of ours is which of the CRM."""

    pipeline_key: str = Field(examples=["sales"])
    pipeline_version: int = Field(examples=[1])
    is_default: bool = Field(description="pairs by equal name, as no person set any", examples=[True])
    stages: dict[str, str] = Field(
        description="the CRM's stage by our stage's key", examples=[{"prospecting": "Prospecting"}]
    )
    unmapped: list[str] = Field(description="stages of ours without a counterpart", examples=[[]])


class StageMappingChange(_Document):
    """The whole mapping of a pipeline; stages that are left out are not mapped."""

    stages: Annotated[
        dict[Annotated[str, Field(max_length=200)], Annotated[str, Field(min_length=1, max_length=255)]],
        Field(max_length=200, examples=[{"prospecting": "Prospecting", "closed_won": "Closed Won"}]),
    ]


class Opportunity(BaseModel):
    """What the connector last knew of an opportunity in the CRM."""

    opportunity_id: str = Field(examples=[OPPORTUNITY_ID])
    pipeline_key: str = Field(examples=["sales"])
    stage_key: str = Field(description="empty when the CRM's stage is not mapped", examples=["discovery"])
    crm_stage: str | None = Field(description="null before the CRM first showed it", examples=["Discovery"])
    amount: PlainDecimal | None = Field(examples=["50000"])
    close_date: date | None = Field(examples=["2026-12-31"])
    owner_id: str = Field(examples=["005Sg0000000001AAA"])
    deleted: bool = Field(examples=[False])
    awaits_echo: bool = Field(description="our stage is written and has not come back yet", examples=[False])
    sequence: int = Field(description="of the last event published about it", examples=[3])
    updated_at: datetime = Field(examples=[MOMENT])
