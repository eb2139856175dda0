"""The five services, each in turn, running."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from testing.service import ServiceUnderTest

from tests.security.attacks.belongings import OWNER, belongings
from tests.security.attacks.operations import Operation, operations_of

PACKAGES = ("assessment", "scoring", "stage_engine", "crm_connector", "recommender")


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=PACKAGES)
async def service(
    request: pytest.FixtureRequest, start_service: Callable[..., Awaitable[ServiceUnderTest]]
) -> ServiceUnderTest:
    """Each service in turn."""
    settings = {"salesforce_tenant": OWNER} if request.param == "crm_connector" else {}
    return await start_service(request.param, **settings)


@pytest.fixture
def operations(service: ServiceUnderTest) -> list[Operation]:
    """What the service can be asked to do."""
    return operations_of(service.app.openapi())


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def belonging(service: ServiceUnderTest) -> dict[str, Any]:
    """The path parameters of what one tenant owns in the service."""
    return await belongings(service)
