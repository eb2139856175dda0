"""Bring services' databases to the newest schema: `python -m kit.migrate assessment`.

The owner's login stands in MIGRATION_DATABASE_URL, or in <PACKAGE>_MIGRATION_DATABASE_URL for each of several;
services themselves run without the right to change the schema.
"""

import argparse
import os
import sys
import time

from alembic import command
from psycopg.errors import LockNotAvailable
from sqlalchemy.exc import OperationalError

from kit.migrations import alembic_config
from kit.settings import postgresql_url

# Each attempt lets the table's users pass before the next.
_ATTEMPTS = 120
_PAUSE_SECONDS = 1


def migrate(package: str, url: str) -> None:
    """Run all migrations that the database has not seen, also while the tables are in use: one that does not get its
    lock is tried again. LookupError for a package that is no service, ValueError for a URL of something else."""
    config = alembic_config(package, postgresql_url(url, "psycopg"))
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            command.upgrade(config, "head")
            return
        except OperationalError as error:
            if not isinstance(error.orig, LockNotAvailable) or attempt == _ATTEMPTS:
                raise
            sys.stderr.write(f"{package}: a table is busy, attempt {attempt} of {_ATTEMPTS}\n")
            time.sleep(_PAUSE_SECONDS)


def _url_of(package: str) -> str:
    url = os.environ.get(f"{package.upper()}_MIGRATION_DATABASE_URL") or os.environ.get("MIGRATION_DATABASE_URL")
    if not url:
        raise LookupError(f"set MIGRATION_DATABASE_URL to the owner's login of the database of {package}")
    return url


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m kit.migrate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: MIGRATION_DATABASE_URL=postgresql://owner@127.0.0.1/scoring python -m kit.migrate scoring",
    )
    parser.add_argument("packages", nargs="+", help="import names of services, such as stage_engine")
    packages = parser.parse_args().packages
    try:
        for package in packages:
            migrate(package, _url_of(package))
    except LookupError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except ValueError as error:
        sys.stderr.write(f"the database's URL {error}\n")
        return 2
    except OperationalError as error:
        sys.stderr.write(f"{error.orig}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
