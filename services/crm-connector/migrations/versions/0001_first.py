"""The first tables."""

from crm_connector.models import Base
from kit.schema.migrations import create_kit_tables, create_tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_kit_tables("crm_connector")
    create_tables("crm_connector", *Base.metadata.sorted_tables, append_only=("write_attempt",))
