"""Scoring profiles, the assessments they are for, scores, and submissions that wait for a profile."""

from kit.database.migrations import create_kit_tables, create_tables, let_relay_count
from scoring.models import Base, parked_submission

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_kit_tables("scoring")
    create_tables("scoring", *Base.metadata.sorted_tables, append_only=("score",))
    let_relay_count("scoring", parked_submission, "parked_at")
