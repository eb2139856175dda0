"""Contract, one release later: nobody knows `text` any more."""

from alembic import op
from kit.schema.migrations import serves_since

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("DROP TRIGGER note_renamed ON note")
    op.execute("DROP FUNCTION note_renamed")
    op.execute("ALTER TABLE note ALTER COLUMN body SET NOT NULL, DROP COLUMN text")
    serves_since("0003")
