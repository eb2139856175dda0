"""Schema changes: what a migration needs to make a table safe, and the check that refuses an outdated schema."""

import importlib.util
from pathlib import Path

from alembic import context, op
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Table, create_engine, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine

from kit import dead_letters, tables

_TENANT = "current_setting('app.tenant_id', true)"


def create_kit_tables(package: str) -> None:
    """Create outbox, inbox, idempotency, audit and dead letters, with their rights. For a service's first migration."""
    app, relay = f"{package}_app", f"{package}_relay"
    for table in (
        tables.outbox,
        tables.inbox,
        tables.idempotency,
        tables.audit,
        dead_letters.dead_letter_table,
    ):
        table.create(op.get_bind())
        isolate(table.name)
    op.execute(f'GRANT SELECT, INSERT ON outbox, inbox, audit TO "{app}"')
    op.execute(f'GRANT SELECT, INSERT, UPDATE ON idempotency, dead_letter TO "{app}"')
    op.execute(f'GRANT SELECT ON alembic_version TO "{app}"')
    # The relay serves all tenants, so it is the one role with a policy that sees every row, and only here.
    for name in ("outbox", "inbox", "idempotency"):
        op.execute(f'GRANT SELECT, DELETE ON {name} TO "{relay}"')
        op.execute(f'CREATE POLICY relay ON {name} TO "{relay}" USING (true)')
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


def run_migrations() -> None:
    """The whole of a service's migrations/env.py."""
    url = context.config.get_main_option("sqlalchemy.url")
    assert url, "run migrations through `python -m kit.migrate <package>`"
    engine = create_engine(url)
    with engine.connect() as connection:
        # Two instances may start the same migration: the second waits and finds nothing to do.
        connection.execute(text("SELECT pg_advisory_lock(7235940122)"))
        context.configure(connection=connection, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()
    engine.dispose()


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


async def check_schema(engine: AsyncEngine, package: str) -> None:
    """RuntimeError when the database is behind the code. One that is ahead is fine: that is how upgrades roll."""
    script = ScriptDirectory.from_config(alembic_config(package))
    head = script.get_current_head()
    try:
        async with engine.connect() as connection:
            current = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar()
    except ProgrammingError:
        current = None
    known = {revision.revision for revision in script.walk_revisions()}
    if current != head and (current is None or current in known):
        raise RuntimeError(
            f"the schema of {package} is at {current}, the code needs {head}: run `python -m kit.migrate {package}`"
        )
