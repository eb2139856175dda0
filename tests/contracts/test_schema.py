"""Every table of every service: a tenant, forced row-level security, least rights, and the models' columns."""

import importlib
import secrets

import psycopg
import pytest
from kit.database.tables import metadata as kit_metadata
from kit.schema.migrate import migrate
from sandbox.provision import drop_database, provision_database

pytestmark = pytest.mark.stack
SERVICES = ("assessment", "scoring", "stage_engine", "crm_connector", "recommender")


@pytest.fixture(scope="module", params=SERVICES)
def database(request, infrastructure):
    """A migrated database of the service, as its owner sees it."""
    package, name = request.param, f"schema_{request.param}_{secrets.token_hex(3)}"
    made = provision_database(
        infrastructure.admin_url, package, app_password="test", owner_password="test", database=name
    )
    migrate(package, made.migration_url)
    with psycopg.connect(made.migration_url) as connection:
        yield package, connection
    drop_database(infrastructure.admin_url, name)


def tables(connection):
    query = "SELECT relname, relrowsecurity, relforcerowsecurity, relowner::regrole::text FROM pg_class "
    query += "WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'"
    return connection.execute(query).fetchall()


def test_every_table_forces_row_level_security_on_its_tenant(database):
    package, connection = database
    found = tables(connection)
    assert len(found) >= 5
    for name, enabled, forced, owner in found:
        assert enabled and forced, f"{name} has no forced row-level security"
        assert owner == f"{package}_owner"
        policies = connection.execute(
            "SELECT policyname, roles::text[], qual, with_check FROM pg_policies WHERE tablename = %s", (name,)
        ).fetchall()
        for policy, roles, qual, check in policies:
            if policy == "relay":
                assert roles == [f"{package}_relay"]
            else:
                assert "app.tenant_id" in qual and "app.tenant_id" in check, f"{name}: {policy}"
        assert "tenant" in {p[0] for p in policies}, name
        columns = connection.execute(
            "SELECT is_nullable FROM information_schema.columns WHERE table_name = %s AND column_name = 'tenant_id'",
            (name,),
        ).fetchall()
        assert columns == [("NO",)], f"{name} has no tenant"


# What the relay moves, what it prunes, and by what it leads.
OF_THE_RELAY = ("outbox", "quarantined_event", "lease", "inbox", "idempotency")


def test_the_application_role_is_neither_owner_nor_exempt(database):
    package, connection = database
    row = connection.execute(
        "SELECT rolsuper, rolbypassrls, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = %s",
        (f"{package}_app",),
    ).fetchone()
    assert row == (False, False, False, False)
    relay = connection.execute(
        "SELECT table_name FROM information_schema.role_table_grants WHERE grantee = %s", (f"{package}_relay",)
    ).fetchall()
    assert {name for (name,) in relay} <= set(OF_THE_RELAY)


# Times and places in an order: what says how much of whom waits since when, and nothing of what waits. Of what was
# switched it says what and when, and not why.
COUNTED = {
    "tenant_id", "dead_letter_id", "retry_at", "parked_at", "replayed_at", "dismissed_at", "updated_at", "quarantined",
    "deleted", "category", "stage_rank", "earned_rank", "received_at", "outcome",
    "migration_id", "started_at", "finished_at", "due_at", "state", "requested_at", "kind", "done", "withdrawn",
    "occurred_at", "pipeline_key", "revision", "rule_id", "switch", "changed_at",
}  # fmt: skip


def test_the_relay_sees_no_content_beyond_its_own_tables(database):
    package, connection = database
    seen = connection.execute(
        "SELECT table_name, column_name, privilege_type FROM information_schema.role_column_grants WHERE grantee = %s"
        " AND table_name <> ALL (%s)",
        (f"{package}_relay", list(OF_THE_RELAY)),
    ).fetchall()
    assert {(column, privilege) for _, column, privilege in seen} <= {(column, "SELECT") for column in COUNTED}
    assert "dead_letter" in {table for table, *_ in seen}


def test_models_and_migrations_agree(database):
    package, connection = database
    declared = {
        table.name: set(table.columns.keys())
        for metadata in (kit_metadata, importlib.import_module(f"{package}.models").Base.metadata)
        for table in metadata.tables.values()
    }
    actual = {
        name: {
            c
            for (c,) in connection.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_name = %s", (name,)
            )
        }
        for name, *_ in tables(connection)
    }
    assert actual == declared
