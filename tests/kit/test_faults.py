"""Which errors of the database pass by themselves, and which no repetition can help: two closed lists, walked."""

import asyncpg
import pytest
from asyncpg import exceptions
from kit.database.faults import PASSING, PERMANENT, DatabaseUnreachable, Fault, fault_of, fault_of_state
from kit.delivery.batch import is_permanent, passes_by_itself
from kit.errors import InvalidEvent, RetryableError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

_OF = {
    Fault.PASSING: """
        08000 08001 08003 08004 08006 08007 25006 25P03 25P04 28000 28P01 3D000 40000 40001 40003 40P01
        53000 53100 53200 53300 53400 55006 55P03 57000 57014 57P01 57P02 57P03 57P04 57P05 72000
    """,
    Fault.PERMANENT: "0A000 21000 22001 22003 22012 22021 22P02 22P05 23502 23514 54000 54001 54011 54023",
    # A statement, a schema or a right that is wrong may be put right meanwhile; so may a race of two inserts.
    Fault.UNKNOWN: """
        08P01 25000 25001 25P01 25P02 23503 23505 23P01 3F000 40002 42501 42601 42703 42P01 55000 58030 58P01
        F0000 P0001 XX000 XX001 XX002 99999
    """,
}


@pytest.mark.parametrize(("state", "kind"), [(state, kind) for kind, states in _OF.items() for state in states.split()])
def test_each_code_is_of_one_kind(state, kind):
    assert fault_of_state(state) is kind


def test_every_code_of_the_lists_is_walked():
    walked = {state for states in _OF.values() for state in states.split()}
    assert PASSING <= walked
    assert all(any(state.startswith(each) for state in walked) for each in PERMANENT)
    assert not PASSING & PERMANENT


def errors_of_the_server():
    for name in dir(exceptions):
        kind = getattr(exceptions, name)
        if isinstance(kind, type) and issubclass(kind, asyncpg.PostgresError) and kind.sqlstate:
            yield kind


@pytest.mark.parametrize("kind", list(errors_of_the_server()), ids=lambda kind: kind.__name__)
def test_the_drivers_error_is_of_its_codes_kind_also_below_sqlalchemy(kind):
    error = kind("x")
    expected = Fault.PASSING if kind is exceptions.InvalidCachedStatementError else fault_of_state(kind.sqlstate)
    wrapped = Exception("x")
    wrapped.__cause__ = error
    assert fault_of(error) is expected
    assert fault_of(DBAPIError("SELECT 1", {}, wrapped)) is expected


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (DatabaseUnreachable("it refuses the connection"), Fault.PASSING),
        (PoolTimeoutError("QueuePool limit"), Fault.PASSING),
        (ConnectionResetError(), Fault.PASSING),
        (asyncpg.InterfaceError("connection is closed"), Fault.PASSING),
        (asyncpg.DataError("invalid input for query argument $1"), Fault.PERMANENT),
        # Bugs: of a file, of a deadline, of a statement with too many parameters, of two uses of one connection.
        (FileNotFoundError("x"), Fault.UNKNOWN),
        (PermissionError("x"), Fault.UNKNOWN),
        (TimeoutError(), Fault.UNKNOWN),
        (asyncpg.InterfaceError("the number of query arguments cannot exceed 32767"), Fault.UNKNOWN),
        (asyncpg.InterfaceError("cannot perform operation: another operation is in progress"), Fault.UNKNOWN),
        (asyncpg.InternalClientError("x"), Fault.UNKNOWN),
        (ZeroDivisionError(), Fault.UNKNOWN),
    ],
)
def test_what_has_no_code_is_told_by_its_type(error, kind):
    assert fault_of(error) is kind


def test_a_handler_may_name_the_kind_itself():
    assert passes_by_itself(RetryableError("not yet"))
    assert is_permanent(InvalidEvent("bad", "x"))
    assert not passes_by_itself(FileNotFoundError("x"))
    assert not is_permanent(FileNotFoundError("x"))
