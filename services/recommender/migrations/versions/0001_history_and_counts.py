"""Histories of opportunities, the counts learned from them, and recommendations."""

from kit.schema.migrations import create_kit_tables, create_tables, let_relay_count
from recommender.models import Base, parked_submission

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_kit_tables("recommender")
    create_tables("recommender", *Base.metadata.sorted_tables, append_only=("recommendation",))
    let_relay_count("recommender", parked_submission, "tenant_id", "parked_at")
