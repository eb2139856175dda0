"""Facts that programs report."""

from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from kit.http.texts import RecordId
from pydantic import BaseModel, ConfigDict, Field, model_validator

from stage_engine.schemas.moments import Moment
from stage_engine.schemas.opportunities import FactValue

MAX_ITEMS = 1000


class FactItem(BaseModel):
    """What a source says of one fact of one record."""

    model_config = ConfigDict(extra="forbid")

    idempotency_key: str = Field(min_length=1, max_length=200, description="names this report once for its source")
    object_type: str = Field("opportunity", max_length=64, examples=["opportunity", "account"])
    subject_id: Annotated[RecordId, Field(max_length=200, examples=["006Qy00000AbCdEIAV"])]
    name: str = Field(max_length=140, examples=["contacts.decision_makers"])
    value: FactValue | None = Field(description="numbers, dates and instants as texts; null: it is unknown now")
    observed_at: Moment
    source: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$", examples=["dialler"])
    hops: int = Field(
        0,
        ge=0,
        le=1000,
        description="of the move that led to this report, so that subjects come to rest",
    )


class FactReport(BaseModel):
    """Up to 1,000 facts, each judged by itself."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "items": [
                        {
                            "idempotency_key": "call-4711",
                            "subject_id": "006Qy00000AbCdEIAV",
                            "name": "activity.last_touch_at",
                            "value": "2026-03-02T09:30:00Z",
                            "observed_at": "2026-03-02T09:31:00Z",
                            "source": "dialler",
                        }
                    ]
                }
            ]
        },
    )

    items: list[FactItem] = Field(min_length=1, max_length=MAX_ITEMS)

    @model_validator(mode="after")
    def _names_each_once(self) -> Self:
        if len({(item.source, item.idempotency_key) for item in self.items}) < len(self.items):
            raise ValueError("two items of a source have the same idempotency key")
        return self


class FactOutcome(StrEnum):
    """Decided on; nothing here reads it; not taken; reported before."""

    DECIDED = "decided"
    NOT_READ = "not_read"
    REFUSED = "refused"
    DUPLICATE = "duplicate"


class FactAnswer(BaseModel):
    """What became of one item, in the order of the report."""

    idempotency_key: str
    outcome: FactOutcome
    # Why it was refused, or is not kept.
    code: str = ""
    detail: str = ""
    decision_id: UUID | None = None


class FactAnswers(BaseModel):
    """An answer for each item."""

    items: list[FactAnswer]
