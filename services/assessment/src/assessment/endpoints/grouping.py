"""Requests that share a transaction with those that come beside them."""

from collections.abc import Awaitable, Callable, Sequence

from fastapi import Request
from kit.database.unit_of_work import UnitOfWork
from kit.http.auth import Caller, Principal
from kit.http.web import unavailable_while_it_passes
from kit.runtime import Runtime

from assessment.service.group_commit import Groups, Item, Outcome


def group_of(
    act: Callable[[UnitOfWork, Sequence[Item]], Awaitable[list[Outcome]]],
) -> Callable[[Request, Principal], Awaitable[Callable[[Item], Awaitable[Outcome]]]]:
    """A dependency that gives a route, instead of a transaction, a function which acts on one item in the next
    transaction of the caller's tenant, together with the items of other requests (see GroupCommit)."""

    # async: FastAPI hands what is not to a thread.
    async def dependency(request: Request, caller: Caller) -> Callable[[Item], Awaitable[Outcome]]:
        runtime: Runtime = request.app.state.runtime
        commit = runtime.resources.get(Groups).of(runtime.database, act)

        async def in_group(item: Item) -> Outcome:
            with unavailable_while_it_passes(request):
                return await commit(caller.tenant_id, item)

        return in_group

    return dependency
