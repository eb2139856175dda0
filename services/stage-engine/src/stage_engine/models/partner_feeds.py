# SQLModel declares __tablename__ as a method, though a plain name is what it documents.
# pyright: reportAssignmentType=false
"""Topics of partners."""

from datetime import datetime

from sqlmodel import Field

from stage_engine.models.base import Base, created


class PartnerFeedRow(Base, table=True):
    """A topic that gets every stage change of the tenant."""

    __tablename__ = "partner_feed"

    tenant_id: str = Field(primary_key=True)
    partner_key: str = Field(primary_key=True)
    topic: str
    created_at: datetime = created()
    created_by: str


partner_feed = Base.metadata.tables["partner_feed"]
