"""The five services, each in turn, running: started once for all files here, by whichever test first asks."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from testing.service import ServiceUnderTest, StartService

from tests.security.attacks.belongings import OWNER, belongings
from tests.security.attacks.operations import Operation, operations_of

PACKAGES = ("assessment", "scoring", "stage_engine", "crm_connector", "recommender")
Running = Callable[[str], Awaitable[ServiceUnderTest]]


async def started(start: StartService, package: str) -> ServiceUnderTest:
    """A service that knows the tenant whose belongings are attacked."""
    settings = {"salesforce_tenant": OWNER} if package == "crm_connector" else {}
    return await start(package, managers_see="team", **settings)


@pytest.fixture(scope="session")
def running(start_shared_service: StartService) -> Running:
    """Gives each service, the same one to all tests."""
    found: dict[str, ServiceUnderTest] = {}

    async def one(package: str) -> ServiceUnderTest:
        if package not in found:
            found[package] = await started(start_shared_service, package)
        return found[package]

    return one


@pytest.fixture(scope="session")
def owned() -> dict[str, dict[str, Any]]:
    """What one tenant owns in each service, once it was made."""
    return {}


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=PACKAGES)
async def service(request: pytest.FixtureRequest, running: Running) -> ServiceUnderTest:
    """Each service in turn."""
    return await running(request.param)


@pytest.fixture
def operations(service: ServiceUnderTest) -> list[Operation]:
    """What the service can be asked to do."""
    return operations_of(service.app.openapi())


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def belonging(service: ServiceUnderTest, owned: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The path parameters of what one tenant owns in the service."""
    package = service.settings.package
    if package not in owned:
        owned[package] = await belongings(service)
    return owned[package]
