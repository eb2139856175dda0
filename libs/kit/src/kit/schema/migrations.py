"""Schema changes: what a migration needs to make a table safe and to change one in use, and the check that refuses a
schema that does not fit the code."""

import importlib.util
from pathlib import Path

from alembic import context, op
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Table, create_engine, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool

from kit.database import tables

_TENANT = "current_setting('app.tenant_id', true)"
# A migration that waits for a lock holds up all that come after it: it lets them pass and tries again.
_LOCK_TIMEOUT = "1s"
_BACKFILL_ROWS = 1000


def create_kit_tables(package: str) -> None:
    """Create the tables that every service has, with their rights. For a service's first migration."""
    app, relay = f"{package}_app", f"{package}_relay"
    for table in tables.metadata.sorted_tables:
        table.create(op.get_bind())
        isolate(table.name)
    op.execute(f'GRANT SELECT, INSERT ON outbox, inbox, audit TO "{app}"')
    op.execute(f'GRANT SELECT, INSERT, UPDATE ON idempotency, dead_letter, person TO "{app}"')
    op.execute(f'GRANT SELECT, INSERT, DELETE ON parked, team TO "{app}"')
    op.execute(f'GRANT SELECT, INSERT, UPDATE, DELETE ON unmatched_person TO "{app}"')
    op.execute(f'GRANT SELECT, DELETE, UPDATE (dismissed_at) ON quarantined_event TO "{app}"')
    op.execute(f'GRANT SELECT ON lease TO "{app}"')
    op.execute(f'GRANT SELECT ON alembic_version TO "{app}"')
    # The relay serves all tenants, so it is the one role with a policy that sees every row, and only here.
    for name in ("outbox", "inbox", "idempotency"):
        op.execute(f'GRANT SELECT, DELETE ON {name} TO "{relay}"')
        op.execute(f'CREATE POLICY relay ON {name} TO "{relay}" USING (true)')
    for name in ("quarantined_event", "lease"):
        op.execute(f'GRANT SELECT, INSERT ON {name} TO "{relay}"')
        op.execute(f'CREATE POLICY relay ON {name} TO "{relay}" USING (true) WITH CHECK (true)')
    op.execute(f'GRANT UPDATE ON lease TO "{relay}"')
    # Of dead letters and parked events it sees how many wait, and whose are due.
    let_relay_count(
        package, tables.dead_letter, "tenant_id", "dead_letter_id", "retry_at", "replayed_at", "dismissed_at"
    )
    let_relay_count(package, tables.parked, "tenant_id", "parked_at")
    # Rows live for milliseconds: without this the table bloats to many times its content.
    op.execute(
        "ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,"
        " autovacuum_vacuum_cost_delay = 0)"
    )
    # For housekeeping, once an hour. Rows come in the order of time, so that page ranges tell it at no cost to inserts.
    # A range is summed up as soon as it is full, or all rows since the last vacuum would be read.
    for table, column in (("inbox", "received_at"), ("idempotency", "created_at")):
        op.execute(f"CREATE INDEX {table}_{column} ON {table} USING brin ({column}) WITH (autosummarize = on)")


def isolate(table: str) -> None:
    """Force row-level security: a row is visible to its tenant's transactions only, also for the owner."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON {table} USING (tenant_id = {_TENANT}) WITH CHECK (tenant_id = {_TENANT})")


def create_tables(package: str, *service_tables: Table, append_only: tuple[str, ...] = ()) -> None:
    """Create a service's tables with isolation and the least rights; the append-only ones can never be changed
    or deleted from by the application."""
    for table in service_tables:
        table.create(op.get_bind())
        isolate(table.name)
        rights = "SELECT, INSERT" if table.name in append_only else "SELECT, INSERT, UPDATE, DELETE"
        op.execute(f'GRANT {rights} ON {table.name} TO "{package}_app"')


def let_relay_count(package: str, table: Table, *columns: str) -> None:
    """Let the relay's role, which serves all tenants, see these columns of a table, so that it can count rows."""
    relay = f"{package}_relay"
    op.execute(f'GRANT SELECT ({", ".join(columns)}) ON {table.name} TO "{relay}"')
    op.execute(f'CREATE POLICY relay ON {table.name} FOR SELECT TO "{relay}" USING (true)')


def backfill(table: str, assignment: str, unfinished: str) -> None:
    """Fill a new column of a table in use: `assignment` is what to SET in rows that are `unfinished`. A revision of its
    own: it commits every thousand rows, so that no request waits long for a row, and goes on where it was interrupted.

    Forced row-level security hides all rows from the owner too, and an UPDATE would silently find none. It is lifted
    within each transaction; the application is not the owner and stays confined."""
    with op.get_context().autocommit_block():
        op.execute(
            # All three come from the migration's author.
            f"""DO $$
            DECLARE filled bigint := 1;
            BEGIN
              WHILE filled > 0 LOOP
                ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY;
                UPDATE {table} SET {assignment} WHERE ctid = ANY (ARRAY(
                  SELECT ctid FROM {table} WHERE {unfinished} LIMIT {_BACKFILL_ROWS} FOR UPDATE));
                GET DIAGNOSTICS filled = ROW_COUNT;
                ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
                COMMIT;
              END LOOP;
            END $$"""  # noqa: S608
        )


def serves_since(revision: str) -> None:
    """For a migration that contracts: code that does not know `revision` finds no place for its data any more, and
    `check_schema` refuses to start it."""
    op.execute(f"COMMENT ON TABLE alembic_version IS '{revision}'")


def run_migrations() -> None:
    """The whole of a service's migrations/env.py."""
    url = context.config.get_main_option("sqlalchemy.url")
    assert url, "run migrations through `python -m kit migrate <package>`"
    # Without a pool, so that a migration that failed lets go of the lock below: it belongs to the session.
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        # Two instances may start the same migration: the second waits and finds nothing to do.
        connection.execute(text("SELECT pg_advisory_lock(7235940122)"))
        connection.execute(text(f"SET lock_timeout = '{_LOCK_TIMEOUT}'"))
        # Both belong to the session. Left open, this transaction would be the one of all migrations.
        connection.commit()
        context.configure(connection=connection, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()


def script_location(package: str) -> Path:
    """The migrations of a service: beside its sources in the repository, or inside its installed package."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise LookupError(f"no service package named {package!r} is installed")
    folder = Path(spec.origin).parent
    for candidate in (folder / "migrations", folder.parent.parent / "migrations"):
        if (candidate / "env.py").exists():
            return candidate
    raise LookupError(f"{package} has no migrations folder")


def alembic_config(package: str, url: str = "") -> Config:
    """Alembic's configuration for a service, without an ini file."""
    config = Config()
    config.set_main_option("script_location", str(script_location(package)))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


class SchemaUnfit(Exception):
    """The database's schema does not fit the code; the message says what it waits for."""


async def check_schema(engine: AsyncEngine, package: str) -> None:
    """SchemaUnfit when the database is behind the code, or has been contracted beyond it. One that is merely ahead is
    fine: that is how upgrades roll."""
    script = ScriptDirectory.from_config(alembic_config(package))
    head = script.get_current_head()
    state = text("SELECT version_num, obj_description('alembic_version'::regclass) FROM alembic_version")
    try:
        async with engine.connect() as connection:
            current, serves = (await connection.execute(state)).one_or_none() or (None, None)
    except ProgrammingError:
        current = serves = None
    known = {revision.revision for revision in script.walk_revisions()}
    if current != head and (current is None or current in known):
        raise SchemaUnfit(
            f"the schema of {package}, which is at {current} where the code needs {head}: "
            f"run `python -m kit migrate {package}`"
        )
    if serves is not None and serves not in known:
        raise SchemaUnfit(
            f"a newer release of {package}: the schema serves code that knows {serves}, this knows only {head}"
        )
