import secrets
import sys
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from kit.delivery.kafka import start_producer
from sandbox.provision import drop_database, provision_database
from sandbox.stack.topics import lent_topics
from testing.service import ServiceUnderTest

from tests.kit.topics import topics_of_the_sample

sys.path.insert(0, str(Path(__file__).parent))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(start_service):
    """The sample service, running."""
    return await start_service("sample", topics=topics_of_the_sample(partitions=2))


@pytest.fixture
def start_own(start_service):
    """Starts a service of its own with these settings: what happens to it must not happen to others."""

    async def start(**settings):
        return await start_service("sample", topics=topics_of_the_sample(partitions=4), **settings)

    return start


@pytest.fixture
async def own_service(start_own):
    """A service of its own, as it is by default."""
    return await start_own()


@pytest_asyncio.fixture(loop_scope="session")
async def outside(infrastructure, issuer):
    """An empty database and topics: everything but a running service."""
    from sample.settings import Settings

    prefix, name = f"u{secrets.token_hex(4)}.", f"sample_{secrets.token_hex(4)}"
    made = provision_database(
        infrastructure.admin_url, "sample", app_password="test", owner_password="test", database=name
    )
    settings = Settings(
        database_url=made.database_url,
        kafka_bootstrap_servers=infrastructure.bootstrap_servers,
        kafka_idempotence=infrastructure.idempotence,
        topic_prefix=prefix,
        oidc_jwks_url=issuer.jwks_url,
    )
    async with (
        lent_topics(infrastructure.bootstrap_servers, topics_of_the_sample(partitions=4), prefix),
        httpx.AsyncClient(trust_env=False, timeout=30) as http,
    ):
        producer = await start_producer(settings)
        yield ServiceUnderTest(FastAPI(), settings, http, issuer, infrastructure, made.migration_url, producer)
        await producer.stop()
    drop_database(infrastructure.admin_url, name)
