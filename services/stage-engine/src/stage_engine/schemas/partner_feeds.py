"""Partner feeds."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

PartnerKey = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$", examples=["northwind"])]


class NewPartnerFeed(BaseModel):
    """A partner that gets every stage change of this tenant. The topic of its feed follows from both names."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"partner_key": "northwind"}]})

    partner_key: PartnerKey


class PartnerFeedOut(BaseModel):
    """A partner's feed."""

    partner_key: str
    topic: str = Field(examples=["stagecraft.partner.acme.northwind.stage-changed.v1"])
    created_at: datetime
    created_by: str
