"""Bring services' databases to the newest schema: `python -m kit.migrate assessment`.

The owner's login stands in MIGRATION_DATABASE_URL, or in <PACKAGE>_MIGRATION_DATABASE_URL for each of several;
services themselves run without the right to change the schema.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence

from alembic import command
from psycopg.errors import LockNotAvailable
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

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


def main(packages: Sequence[str] | None = None) -> int:
    """Migrate the packages given, or those of the command line; the exit code of the first that fails."""
    for package in packages or _packages_of_command_line():
        code = _migrated(package)
        if code:
            return code
    return 0


def _migrated(package: str) -> int:
    try:
        migrate(package, _url_of(package))
    except LookupError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except ValueError as error:
        sys.stderr.write(f"the database's URL {error}\n")
        return 2
    except SQLAlchemyError as error:
        # Each revision is a transaction of its own, so what came before the failed one stays and counts.
        reason = str(error.orig if isinstance(error, DBAPIError) else error).strip()
        sys.stderr.write(
            f"{package}: the migration stopped: {reason}\n"
            "The revision that failed has changed nothing; those before it are done. Fix the cause and run it again.\n"
        )
        return 1
    return 0


def _packages_of_command_line() -> list[str]:
    parser = argparse.ArgumentParser(
        prog="python -m kit.migrate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: MIGRATION_DATABASE_URL=postgresql://owner@127.0.0.1/scoring python -m kit.migrate scoring",
    )
    parser.add_argument("packages", nargs="+", help="import names of services, such as stage_engine")
    return parser.parse_args().packages


if __name__ == "__main__":
    raise SystemExit(main())
