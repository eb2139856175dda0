from kit.schema.migrations import create_kit_tables, create_tables
from sample.models import Base

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_kit_tables("sample")
    create_tables("sample", *Base.metadata.sorted_tables)
