"""A page that fails is narrowed down to the item that fails by itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from kit.errors import RetryableError
from stage_engine.service.narrowing import Attempt, narrowing


class Transactions:
    """What a database sees: which transaction committed, and which was rolled back."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    @asynccontextmanager
    async def unit_of_work(self, tenant_id: str) -> AsyncIterator[str]:
        number = f"{tenant_id}/{len(self.ended)}"
        try:
            yield number
        except Exception:
            self.ended.append("rolled back")
            raise
        self.ended.append("committed")


def fails(error: Exception) -> Attempt[str]:
    async def attempt(uow: Any) -> str:
        raise error

    return attempt


async def gives(uow: Any) -> str:
    return f"done in {uow}"


async def run(database: Any, *attempts: Attempt[str]) -> str:
    return await narrowing(database, "acme", "a page", *attempts)


@pytest.mark.parametrize("failing", [0, 1, 2])
async def test_each_attempt_has_a_transaction_of_its_own_until_one_succeeds(failing: int) -> None:
    database = Transactions()
    attempts = [fails(ValueError("broken"))] * failing + [gives] * (3 - failing)
    assert await run(database, *attempts) == f"done in acme/{failing}"
    assert database.ended == ["rolled back"] * failing + ["committed"]


@pytest.mark.parametrize("before", [0, 1])
async def test_a_passing_fault_is_raised_at_once(before: int) -> None:
    database = Transactions()
    with pytest.raises(RetryableError):
        await run(database, *[fails(ValueError("broken"))] * before, fails(RetryableError("not yet")), gives)
    assert database.ended == ["rolled back"] * (before + 1)


async def test_what_the_last_attempt_fails_with_is_raised() -> None:
    database = Transactions()
    with pytest.raises(LookupError):
        await run(database, fails(ValueError("broken")), fails(LookupError("gone")))
    assert database.ended == ["rolled back", "rolled back"]
