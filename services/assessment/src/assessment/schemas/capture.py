"""Captures coming in, one by one or as an offline queue, and what is answered."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from kit.http.texts import Instant, RecordId, Shape
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from assessment.domain import capture as domain
from assessment.schemas.answers import Answers
from assessment.schemas.move import MoveBody

MAX_ITEMS = 100
MAX_INTEGER = 2**31 - 1

OpportunityId = Annotated[
    RecordId,
    Shape(
        r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}",
        "An opportunity's id has 1 to 128 letters, digits, '_', '.', ':' and '-', and starts with a letter or a digit.",
    ),
    Field(examples=["006Qy00000AbCdEIAV"]),
]
# An item of a batch is judged alone, so the text of its members is not checked before.
_Storable = Shape(r"[^\x00]+", "This must not be empty or contain U+0000.")
_Hash = Shape(r"[0-9a-f]{64}", "The hash is 64 hexadecimal digits in small letters, as the version has it.")


class VisitBody(BaseModel):
    """One stay of an opportunity in one stage."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    stage_key: Annotated[str, _Storable] = Field(max_length=100, examples=["prospecting"])
    visit_no: int = Field(ge=1, le=MAX_INTEGER, description="counts all visits of the opportunity")


_EXAMPLE: dict[str, Any] = {
    "opportunity_id": "006Qy00000AbCdEIAV",
    "assessment_key": "prospecting",
    "assessment_version": 1,
    "answers": {"hours": "over_5", "compliance": "yes"},
    "visit": {"stage_key": "prospecting", "visit_no": 1},
    "captured_at": "2026-03-02T09:30:00Z",
    "sent_at": "2026-03-02T09:30:01Z",
    "attempt_no": 1,
    "channel": "online",
}


class SubmissionBody(BaseModel):
    """A finished assessment. Send it again unchanged, as often as it takes, until an answer arrives."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    opportunity_id: OpportunityId
    assessment_key: Annotated[str, _Storable] = Field(max_length=64, examples=["prospecting"])
    assessment_version: int = Field(ge=1, le=MAX_INTEGER, description="the version that was answered")
    definition_hash: Annotated[str, _Hash] | None = Field(None, description="proof of what was answered")
    answers: Answers
    visit: VisitBody | None = Field(None, description="where the rep worked; absent: the current visit")
    captured_at: Instant = Field(description="when the rep finished, by the device's clock")
    sent_at: Instant | None = Field(None, description="the device's clock now: tells how wrong it is")
    attempt_no: int = Field(1, ge=1, le=MAX_INTEGER, description="as next-assessment gave it")
    channel: domain.Channel = domain.Channel.ONLINE
    move: MoveBody | None = Field(None, description="to be made in the same decision; takes transitions:write")

    def capture(self, submission_id: UUID) -> domain.Capture:
        """The domain's view of it."""
        visit = domain.Visit(self.visit.stage_key, self.visit.visit_no) if self.visit else None
        return domain.Capture(
            submission_id=submission_id,
            opportunity_id=self.opportunity_id,
            assessment_key=self.assessment_key,
            assessment_version=self.assessment_version,
            answers=self.answers,
            captured_at=self.captured_at,
            channel=self.channel,
            attempt_no=self.attempt_no,
            definition_hash=self.definition_hash,
            visit=visit,
            sent_at=self.sent_at,
            move=self.move.move() if self.move else None,
        )


class BatchItem(SubmissionBody):
    """A queued submission with the id the device gave it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"submission_id": "0197b7e0-51c4-7bb5-8a5e-3f6f5d1c2a10", **_EXAMPLE, "channel": "offline"}]
        },
    )

    submission_id: UUID
    channel: domain.Channel = domain.Channel.OFFLINE


class _JudgedAlone:
    """Documents an item as BatchItem and checks nothing yet: a malformed one must not refuse the whole batch."""

    def __get_pydantic_json_schema__(self, _: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(BatchItem.__pydantic_core_schema__)


class BatchBody(BaseModel):
    """An offline queue. Each item is judged alone; one that is malformed spoils no other."""

    model_config = ConfigDict(extra="forbid")

    items: list[Annotated[Any, _JudgedAlone()]] = Field(
        min_length=1, max_length=MAX_ITEMS, description="up to 2 MiB in all"
    )


class KeptOut(BaseModel):
    """The acknowledgement of a submission that waits for a reviewer: it need not be sent again."""

    submission_id: UUID
    status: Literal["waiting", "discarded"]
    code: str = Field(description="why it does not count by itself", examples=["version_retired"])
    detail: str


class ReceiptOut(BaseModel):
    """The acknowledgement of a submission: the same at every retry."""

    submission_id: UUID
    opportunity_id: str
    visit: VisitBody | None = Field(description="null until the opportunity is known")
    captured_at: datetime = Field(description="estimated on the server's clock")
    received_at: datetime
    body_sha256: str = Field(description="of the canonical JSON of what was captured")
    warnings: list[str] = Field(examples=[["clock_skew"]])


def _printable(text: Any) -> Any:
    return text.encode("utf-8", "backslashreplace").decode() if isinstance(text, str) else text


# What an item said may hold half a surrogate pair, which no answer can carry back.
Quoted = Annotated[str, BeforeValidator(_printable)]


class ItemError(BaseModel):
    """One thing wrong with an item."""

    pointer: Quoted = Field(examples=["/items/3/answers/hours"])
    code: str
    detail: Quoted


class ItemOut(BaseModel):
    """What became of one item: accepted and duplicate have a receipt, rejected has code, detail and errors. One that
    is kept waits for a reviewer, for the reason in code and detail: it need not be sent again."""

    submission_id: Quoted | None = Field(description="null when the item had none that could be read")
    status: Literal["accepted", "duplicate", "kept", "rejected"]
    receipt: ReceiptOut | None = None
    code: str | None = None
    detail: Quoted | None = None
    errors: tuple[ItemError, ...] = ()
    stored_sha256: str | None = None
    received_sha256: str | None = None


class BatchOut(BaseModel):
    """One status per item, in the order of the items."""

    items: list[ItemOut]
