"""Which errors of the database pass by themselves."""

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

# Class 40 (deadlock, serialization), 08 (connection), 57P (server going or coming), 53 (resources), 55P03 (lock), and
# what a login is refused with, of which no event is guilty: 28 (password), 3D000 (no such database), 55000 (closed);
# and 0A000, a plan that a migration made void.
_TRANSIENT_STATES = ("40", "08", "57P", "53", "55P03", "28", "3D000", "55000", "0A000")


def is_transient(error: BaseException) -> bool:
    """Whether the same statement may succeed later without anybody mending anything."""
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        error = (error.orig and error.orig.__cause__) or error.orig or error
    if isinstance(error, asyncpg.DataError):
        return False
    state = getattr(error, "sqlstate", None)
    if state:
        return state.startswith(_TRANSIENT_STATES)
    # PoolTimeoutError: all connections were in use for too long.
    return isinstance(
        error, OSError | TimeoutError | PoolTimeoutError | asyncpg.InterfaceError | asyncpg.InternalClientError
    )
