"""Expand: `text` shall be called `body`. Until the first release is gone, a trigger lets each release find in its own
column what the other wrote."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("ALTER TABLE note ADD COLUMN body varchar, ALTER COLUMN text DROP NOT NULL")
    op.execute(
        """CREATE FUNCTION note_renamed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF TG_OP = 'INSERT' THEN
               NEW.body := coalesce(NEW.body, NEW.text);
             ELSIF NEW.text IS DISTINCT FROM OLD.text THEN
               NEW.body := NEW.text;
             END IF;
             NEW.text := NEW.body;
             RETURN NEW;
           END $$"""
    )
    op.execute(
        "CREATE TRIGGER note_renamed BEFORE INSERT OR UPDATE ON note FOR EACH ROW EXECUTE FUNCTION note_renamed()"
    )
