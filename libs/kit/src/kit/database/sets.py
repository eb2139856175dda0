"""Conditions on sets of values: one array parameter for each column, whatever the number of values.

PostgreSQL takes 32,767 parameters in a statement, so one for each value fails when the data have grown; and each number
of them is another statement, compiled and planned anew. A test refuses `in_` everywhere else.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, any_, func, literal, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY


def among(column: ColumnElement[Any], wanted: Iterable[Any] | Select[Any]) -> ColumnElement[bool]:
    """Whether the column holds one of these values, or one of those that a query finds."""
    if isinstance(wanted, Select):
        return column.in_(wanted)
    return column == any_(literal(list(wanted), ARRAY(column.type)))


def among_rows(columns: Sequence[ColumnElement[Any]], wanted: Iterable[Sequence[Any]]) -> ColumnElement[bool]:
    """Whether the columns together hold one of these rows of values."""
    rows = list(wanted)
    arrays = [literal([row[at] for row in rows], ARRAY(column.type)) for at, column in enumerate(columns)]
    names = [f"value_{at}" for at in range(len(columns))]
    given = func.unnest(*arrays).table_valued(*names, name="wanted").render_derived()
    return tuple_(*columns).in_(select(*given.c))
