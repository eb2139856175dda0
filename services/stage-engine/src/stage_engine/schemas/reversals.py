"""Taking back: an outcome, evidence, a quarantine."""

from pydantic import BaseModel, ConfigDict, Field

from stage_engine.domain.requests import Keep


class ReopenBody(BaseModel):
    """Why a closed subject is open again, and where it goes on."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"reason_code": "CONTRACT_BOUNCED", "text": "They did not sign after all."}]},
    )

    reason_code: str = Field(min_length=1, max_length=64)
    text: str = Field("", max_length=2000)
    to_stage: str = Field("", max_length=64, description="empty: the open stage that it was closed in")


class VoidBody(BaseModel):
    """Why a submission must not count."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=2000, examples=["The answers are about another buyer."])


class ReleaseBody(BaseModel):
    """Whose stage counts from now on: that of the CRM, then nothing is written; or the engine's, which the CRM is
    brought to. Switch off what set the stage in the CRM first, or it begins anew."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=2000, examples=["The flow that set it is switched off."])
    keep: Keep = Keep.CRM
