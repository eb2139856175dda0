"""Brings the databases of services to the newest schema: `python -m kit migrate assessment`.

MIGRATION_DATABASE_URL holds the owner's login, or <PACKAGE>_MIGRATION_DATABASE_URL for each of several services. The
services themselves have no right to change the schema.
"""

import os
import sys
import time
from collections.abc import Sequence

from alembic import command
from psycopg.errors import LockNotAvailable
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from kit.schema.migrations import alembic_config
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


def migrate_all(packages: Sequence[str]) -> int:
    """Migrate these packages one after the other; the exit code of the first that fails, 0 for none."""
    for package in packages:
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
