"""Scoring profiles, the assessments they are for, scores, and submissions that wait for a profile."""

from kit.schema.migrations import create_kit_tables, create_tables
from scoring.models import Base

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_kit_tables("scoring")
    create_tables("scoring", *Base.metadata.sorted_tables, append_only=("score",))
