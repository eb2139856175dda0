"""The service's first schema."""

from assessment.models import Base, held_submission
from kit.schema.migrations import create_kit_tables, create_tables, let_relay_count

revision = "0001"
down_revision = None

_FACTS = ("submission", "pipeline_version", "submission_score", "stage_decision", "stage_change")


def upgrade() -> None:
    create_kit_tables("assessment")
    create_tables("assessment", *Base.metadata.sorted_tables, append_only=_FACTS)
    let_relay_count("assessment", held_submission, "received_at", "outcome")
