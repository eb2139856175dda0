"""The five services in the test's process, each on a database of its own, as one system: what one publishes the
others consume."""

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace

import httpx
from kit.database.migrate import migrate
from sandbox.issuer import LocalIssuer
from sandbox.provision import Provisioned, drop_database, provision_database
from sandbox.stack.topics import create_topics, load_topics
from sandbox.story.api import Caller
from testing.infrastructure import Infrastructure
from testing.service import ServiceUnderTest, running_service

SERVICES = ("assessment", "scoring", "stage-engine", "crm-connector", "recommender")
TENANT = "acme"


@dataclass(frozen=True)
class Databases:
    """A migrated database for each service, the prefix of the topics between them, and how many deals are to be in
    them."""

    infrastructure: Infrastructure
    deals: int
    prefix: str
    names: dict[str, str]
    logins: dict[str, Provisioned]


@contextmanager
def databases(infrastructure: Infrastructure, deals: int) -> Iterator[Databases]:
    """Databases that are gone afterwards."""
    tag = secrets.token_hex(4)
    made = Databases(infrastructure, deals, f"p{tag}.", {}, {})
    try:
        for service in SERVICES:
            package = service.replace("-", "_")
            made.names[service] = f"{package}_{tag}"
            made.logins[service] = provision_database(
                infrastructure.admin_url, package, app_password="test", owner_password="test",
                database=made.names[service],
            )  # fmt: skip
            migrate(package, made.logins[service].migration_url)
        yield made
    finally:
        for name in made.names.values():
            drop_database(infrastructure.admin_url, name)


@dataclass(frozen=True)
class Platform:
    """The running services."""

    services: dict[str, ServiceUnderTest]
    http: httpx.AsyncClient

    def caller(self, role: str, subject: str = "", tenant: str = TENANT) -> Caller:
        """Somebody of a tenant, who speaks to the services' public APIs."""
        token = self.services["assessment"].issuer.token(tenant, subject or role, [role])
        return Caller(self.http, {service: f"http://{service}" for service in SERVICES}, token)


@asynccontextmanager
async def platform(places: Databases, issuer: LocalIssuer) -> AsyncIterator[Platform]:
    """All five started and ready. Topics have one partition, so that a consumer gets its batches as large as it takes
    them."""
    infrastructure = places.infrastructure
    topics = [replace(topic, partitions=1) for topic in load_topics()]
    await create_topics(infrastructure.bootstrap_servers, topics, places.prefix)
    async with AsyncExitStack() as stack:
        services: dict[str, ServiceUnderTest] = {}
        for service in SERVICES:
            login = places.logins[service]
            services[service] = await stack.enter_async_context(
                running_service(
                    service.replace("-", "_"), infrastructure, issuer, login.database_url, login.migration_url,
                    places.prefix, trace_sample_ratio=0.0,
                )
            )  # fmt: skip
        mounts = {f"http://{name}": httpx.ASGITransport(running.app) for name, running in services.items()}
        http = await stack.enter_async_context(httpx.AsyncClient(mounts=mounts, timeout=60))
        yield Platform(services, http)
