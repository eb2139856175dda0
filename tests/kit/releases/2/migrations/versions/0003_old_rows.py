"""Rows from before the trigger."""

from kit.schema.migrations import backfill

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    backfill("note", "body = text", "body IS NULL")
