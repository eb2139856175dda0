"""What an error of the database means, by two closed lists: what passes by itself, and what no repetition can help. An
error in neither is unknown: it is repeated a few times, with pauses, and then a person has to look."""

import re
from enum import Enum, auto

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError


class Fault(Enum):
    """The kind of an error."""

    PASSING = auto()
    PERMANENT = auto()
    UNKNOWN = auto()


class DatabaseUnreachable(Exception):
    """No usable connection could be made, for whatever reason; `words` say which. No statement is to blame."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


# What a session that is not (or no longer) allowed to write says: its connection has to be renewed.
READ_ONLY = "25006"
# By SQLSTATE; one code counts before its class.
PASSING = frozenset(
    """
    08000 08001 08003 08004 08006 08007
    25006 25P03 25P04
    28000 28P01 3D000
    40000 40001 40003 40P01
    53000 53100 53200 53300 53400
    55006 55P03
    57000 57014 57P01 57P02 57P03 57P04 57P05
    72000
    """.split()
)
PERMANENT = frozenset("0A000 21000 22 23502 23514 54".split())
# Unreachable, or cut off; all connections were in use for too long; a plan that a migration made void.
_PASSING_TYPES = (
    DatabaseUnreachable,
    ConnectionError,
    PoolTimeoutError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.OutdatedSchemaCacheError,
)
# The driver has no type of its own for this.
_CLOSED = re.compile(r"connection (is|was|has been) (closed|released)|connection is no longer|underlying connection")


def cause_of(error: BaseException) -> BaseException:
    """The driver's error below SQLAlchemy's."""
    return ((error.orig and error.orig.__cause__) or error.orig or error) if isinstance(error, DBAPIError) else error


def sqlstate_of(error: BaseException) -> str:
    """The server's code; empty when the error is not the server's."""
    return getattr(cause_of(error), "sqlstate", None) or ""


def fault_of(error: BaseException) -> Fault:
    """What kind of error it is."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return Fault.PASSING
    cause = cause_of(error)
    if isinstance(cause, _PASSING_TYPES):
        return Fault.PASSING
    # A value that does not fit its column, found by the driver.
    if isinstance(cause, asyncpg.DataError):
        return Fault.PERMANENT
    state = sqlstate_of(error)
    if state:
        return fault_of_state(state)
    closed = isinstance(cause, asyncpg.InterfaceError) and _CLOSED.search(str(cause))
    return Fault.PASSING if closed else Fault.UNKNOWN


def fault_of_state(state: str) -> Fault:
    """What an SQLSTATE means."""
    for known in (state, state[:2]):
        if known in PASSING:
            return Fault.PASSING
        if known in PERMANENT:
            return Fault.PERMANENT
    return Fault.UNKNOWN


def is_transient(error: BaseException) -> bool:
    """Whether the same statement may succeed later without a change of anything."""
    return fault_of(error) is Fault.PASSING
