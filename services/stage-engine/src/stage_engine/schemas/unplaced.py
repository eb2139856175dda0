"""Records that are in no stage."""

from datetime import datetime

from pydantic import BaseModel, Field

from stage_engine.domain.choosing import NotPlaced


class Unplaced(BaseModel):
    """A record that no pipeline takes, with the reason."""

    record_id: str = Field(examples=["00QQy00000AbCdEIAV"])
    object_type: str = Field(examples=["lead"])
    owner_id: str
    code: NotPlaced
    reason: str = Field(examples=["no pipeline is for a record of type lead"])
    since: datetime


class Aside(BaseModel):
    """Records that are in no stage for one reason, so that no stage counts them."""

    code: str = Field(examples=["NONE_APPLIES"])
    records: int
