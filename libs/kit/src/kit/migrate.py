"""Bring a service's database to the newest schema: `python -m kit.migrate assessment`.

MIGRATION_DATABASE_URL is the owner's login; services themselves run without the right to change the schema.
"""

import argparse
import os
import sys

from alembic import command

from kit.migrations import alembic_config


def sync_url(url: str) -> str:
    """The URL for the driver that migrations use."""
    return url.replace("postgresql+asyncpg://", "postgresql+psycopg://").replace(
        "postgresql://", "postgresql+psycopg://"
    )


def migrate(package: str, url: str) -> None:
    """Run all migrations that the database has not seen."""
    command.upgrade(alembic_config(package, sync_url(url)), "head")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m kit.migrate",
        description=__doc__,
        epilog="example: MIGRATION_DATABASE_URL=postgresql://owner@127.0.0.1/scoring python -m kit.migrate scoring",
    )
    parser.add_argument("package", help="import name of the service, such as stage_engine")
    package = parser.parse_args().package
    url = os.environ.get("MIGRATION_DATABASE_URL", "")
    if not url:
        sys.stderr.write("set MIGRATION_DATABASE_URL to the owner's login of the service's database\n")
        return 2
    try:
        migrate(package, url)
    except LookupError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
