"""A simulated org per test worker, and a client of its API per test."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from itertools import count
from typing import Any

import httpx
import pytest
from sandbox.salesforce.testing import RunningOrg, running_org

BASE = "/services/data/v67.0"
_numbers = count(1)


@pytest.fixture(scope="session")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningOrg]:
    with running_org(tmp_path_factory.mktemp("org"), keepalive_seconds=0.3) as running:
        yield running


@pytest.fixture
def own_org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningOrg]:
    """An org no other test sees, to be killed or to have its clock moved."""
    with running_org(tmp_path_factory.mktemp("own-org"), keepalive_seconds=0.3) as running:
        yield running


async def _api(org: RunningOrg) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {org.token()}"}
    async with httpx.AsyncClient(base_url=org.url + BASE, headers=headers, timeout=30) as client:
        yield client
    org.sim("faults", method="DELETE")


@pytest.fixture
async def api(org: RunningOrg) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the shared org with a session of its own; paths are relative to v67.0."""
    async for client in _api(org):
        yield client


@pytest.fixture
async def own_api(own_org: RunningOrg) -> AsyncIterator[httpx.AsyncClient]:
    async for client in _api(own_org):
        yield client


@pytest.fixture
def new_opportunity(api: httpx.AsyncClient) -> Callable[..., Coroutine[Any, Any, str]]:
    """Creates an opportunity and gives its id."""

    async def create(**fields: Any) -> str:
        body = {"Name": f"Opportunity {next(_numbers)}", "StageName": "Prospecting", "CloseDate": "2026-12-01"}
        reply = await api.post("/sobjects/Opportunity", json=body | fields)
        assert reply.status_code == 201, reply.text
        return reply.json()["id"]

    return create


@pytest.fixture
def unique() -> Callable[[], str]:
    """Gives external ids no other test uses."""
    return lambda: f"key-{next(_numbers)}"
