"""What all tables of the stage engine are made of."""

from typing import Any

from kit.database.tables import table_base
from sqlalchemy import BigInteger, DateTime, func
from sqlmodel import Field

Base = table_base()


def moment(*, nullable: bool = False) -> Any:
    """A column for a point in time."""
    return Field(default=None, sa_type=DateTime(timezone=True), nullable=nullable)  # pyright: ignore[reportArgumentType]


def created() -> Any:
    """A column for when the row was written, which the database fills."""
    column = {"server_default": func.now()}
    return Field(default=None, sa_type=DateTime(timezone=True), nullable=False, sa_column_kwargs=column)  # pyright: ignore[reportArgumentType]


def counter() -> Any:
    """A column for a number that grows for ever."""
    return Field(sa_type=BigInteger)
