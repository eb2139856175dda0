"""Reading the key of the last row from a cursor."""

from collections.abc import Callable
from typing import Any, TypeVar

from kit.errors import FieldError, InvalidProblem
from kit.pagination import PageRequest

K = TypeVar("K")


def last_key(paging: PageRequest, kind: Callable[[Any], K], start: K) -> K:
    """The key to go on after, `start` on the first page. InvalidProblem for a cursor of another list."""
    if paging.after is None:
        return start
    try:
        (key,) = paging.after
        return kind(key)
    except (ValueError, TypeError, AttributeError) as error:
        detail = "not a cursor of this list"
        raise InvalidProblem(
            "start again without a cursor",
            code="invalid_cursor",
            errors=[FieldError("/query/cursor", "invalid_cursor", detail)],
        ) from error
