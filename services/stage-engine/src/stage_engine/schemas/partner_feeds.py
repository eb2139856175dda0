"""Partner feeds."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class NewPartnerFeed(BaseModel):
    """A partner and the topic that gets every stage change of this tenant."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"partner_key": "northwind", "topic": "stagecraft.partner.acme.northwind.stage-changed.v1"}]
        },
    )

    partner_key: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    topic: Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{1,200}$")]


class PartnerFeedOut(BaseModel):
    """A partner's feed."""

    partner_key: str
    topic: str
    created_at: datetime
    created_by: str
