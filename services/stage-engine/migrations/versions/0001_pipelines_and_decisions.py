"""Pipelines, opportunities, decisions, transitions, score replicas, migrations, calendars, obligations,
assignments, partner feeds, and what figures are counted from."""

from kit.schema.migrations import create_kit_tables, create_tables, let_relay_count
from stage_engine.models import Base
from stage_engine.models.opportunities import opportunity, placement
from stage_engine.models.pipelines import migration, mode_switching
from stage_engine.models.work import action, activity

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_kit_tables("stage_engine")
    append_only = ("decision", "transition", "pipeline_version", "mode_switching", "calendar", "assignment_rules",
                   "assignment", "install_refusal")  # fmt: skip
    create_tables("stage_engine", *Base.metadata.sorted_tables, append_only=append_only)
    seen = ("quarantined", "deleted", "updated_at", "category", "stage_rank", "earned_rank", "tenant_id", "due_at")
    let_relay_count("stage_engine", opportunity, *seen)
    let_relay_count("stage_engine", activity, "tenant_id", "kind", "done", "withdrawn", "occurred_at")
    let_relay_count("stage_engine", action, "state", "requested_at")
    let_relay_count("stage_engine", placement, "tenant_id", "started_at")
    switched = ("tenant_id", "pipeline_key", "revision", "rule_id", "switch", "changed_at")
    let_relay_count("stage_engine", mode_switching, *switched)
    let_relay_count("stage_engine", migration, "tenant_id", "migration_id", "started_at", "finished_at")
