"""A database for a service, with its three roles.

<service>_owner   owns the tables and runs migrations
<service>_app     what the service logs in as: neither owner nor able to bypass row-level security
<service>_relay   no login; the application role may take it for the outbox, which serves all tenants
"""

from dataclasses import dataclass
from urllib.parse import quote

import psycopg
from psycopg import sql

_ROLES_LOCK = 7235940123
_LOGIN = sql.SQL("CREATE ROLE {} LOGIN")
_GROUP = sql.SQL("CREATE ROLE {} NOLOGIN")


@dataclass(frozen=True)
class Provisioned:
    """Where the service and its migrations log in."""

    database_url: str
    migration_url: str


def provision_database(
    admin_url: str,
    package: str,
    *,
    app_password: str,
    owner_password: str,
    database: str = "",
    template: str = "",
) -> Provisioned:
    """Create roles and database where they are missing, and set the passwords. `database` defaults to the
    package's name; `template` is a database of the same service to clone."""
    name = database or package
    owner, app, relay = f"{package}_owner", f"{package}_app", f"{package}_relay"
    with psycopg.connect(admin_url, autocommit=True) as connection:
        # Roles are shared by the whole cluster, and tests create them in parallel.
        connection.execute("SELECT pg_advisory_lock(%s)", (_ROLES_LOCK,))
        present = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
        for role, statement in ((owner, _LOGIN), (app, _LOGIN), (relay, _GROUP)):
            if role not in present:
                connection.execute(statement.format(sql.Identifier(role)))
        for role, password in ((owner, owner_password), (app, app_password)):
            statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
            connection.execute(statement.format(sql.Identifier(role), sql.Literal(password)))
        grant = sql.SQL("GRANT {} TO {} WITH INHERIT FALSE, SET TRUE")
        connection.execute(grant.format(sql.Identifier(relay), sql.Identifier(app)))
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
        if known is None:
            create = sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(owner))
            if template:
                create += sql.SQL(" TEMPLATE {} STRATEGY file_copy").format(sql.Identifier(template))
            connection.execute(create)
            revoke = sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name))
            connection.execute(revoke)
            allow = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}")
            connection.execute(allow.format(sql.Identifier(name), sql.Identifier(app)))
        host, port = connection.info.host, connection.info.port
    return Provisioned(
        f"postgresql+asyncpg://{app}:{quote(app_password)}@{host}:{port}/{name}",
        f"postgresql://{owner}:{quote(owner_password)}@{host}:{port}/{name}",
    )


def drop_database(admin_url: str, name: str) -> None:
    """Drop a database and close the connections to it."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
