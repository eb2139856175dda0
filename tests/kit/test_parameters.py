"""Query parameters that an operation does not have."""

import pytest
from fastapi import FastAPI, Request
from fastapi.dependencies.utils import get_dependant
from kit.http.pagination import Paging
from kit.http.parameters import check_query, parameters_of
from kit.http.problems import InvalidProblem


def listing(paging: Paging, status: str | None = None):
    return paging, status


KNOWN = parameters_of(get_dependant(path="/", call=listing))


def request(query):
    return Request({"type": "http", "query_string": query.encode(), "app": FastAPI()})


def test_the_parameters_of_what_an_operation_depends_on_are_its_own():
    assert KNOWN == {"status", "cursor", "limit"}


@pytest.mark.parametrize("query", ["", "status=a", "limit=3&cursor=x&status="])
def test_known_parameters_pass(query):
    check_query(request(query), KNOWN)


@pytest.mark.parametrize(
    ("query", "code", "pointer"),
    [
        ("stage=a", "unknown_parameter", "/query/stage"),
        ("Status=a", "unknown_parameter", "/query/Status"),
        ("status=a&a%2Fb=1", "unknown_parameter", "/query/a~1b"),
        ("status=a&status=b", "repeated_parameter", "/query/status"),
    ],
)
def test_a_parameter_that_would_be_ignored_is_refused(query, code, pointer):
    with pytest.raises(InvalidProblem) as refused:
        check_query(request(query), KNOWN)
    assert (refused.value.code, [e.pointer for e in refused.value.errors]) == (code, [pointer])
    if code == "unknown_parameter":
        assert "Allowed are: cursor, limit, status." in refused.value.detail
