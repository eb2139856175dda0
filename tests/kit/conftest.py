import secrets
import sys
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from kit.contracts.events import MAX_RECORD_BYTES, registry
from kit.delivery.kafka import start_producer
from sandbox.provision import drop_database, provision_database
from sandbox.stack.topics import Topic, create_topics
from testing.service import ServiceUnderTest

# As all topics of the platform.
LARGE = {"max.message.bytes": str(MAX_RECORD_BYTES)}

sys.path.insert(0, str(Path(__file__).parent))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(start_service, infrastructure):
    """The sample service, running."""
    prefix = f"k{secrets.token_hex(4)}."
    names = [kind.topic for kind in registry().values()]
    names += [f"{name}.dlq.sample" for name in names]
    topics = [Topic(name=name, partitions=2, writer="sample", configs=LARGE) for name in names]
    await create_topics(infrastructure.bootstrap_servers, topics, prefix)
    return await start_service("sample", topic_prefix=prefix)


@pytest.fixture
def start_own(start_service, infrastructure):
    """Starts a service of its own with these settings: what happens to it must not happen to others."""

    async def start(**settings):
        prefix = f"f{secrets.token_hex(4)}."
        names = [kind.topic for kind in registry().values()]
        topics = [
            Topic(name=n, partitions=4, writer="s", configs=LARGE)
            for n in (*names, *(f"{name}.dlq.sample" for name in names))
        ]
        await create_topics(infrastructure.bootstrap_servers, topics, prefix)
        return await start_service("sample", topic_prefix=prefix, **settings)

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
    names = [kind.topic for kind in registry().values()]
    topics = [
        Topic(name=n, partitions=4, writer="s", configs=LARGE)
        for n in (*names, *(f"{each}.dlq.sample" for each in names))
    ]
    await create_topics(infrastructure.bootstrap_servers, topics, prefix)
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
    producer = await start_producer(settings)
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        yield ServiceUnderTest(FastAPI(), settings, http, issuer, infrastructure, made.migration_url, producer)
    await producer.stop()
    drop_database(infrastructure.admin_url, name)
