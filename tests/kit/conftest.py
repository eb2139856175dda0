import secrets
import sys
from pathlib import Path

import pytest_asyncio
from kit.events import registry
from sandbox.stack.topics import Topic, create_topics

sys.path.insert(0, str(Path(__file__).parent))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(start_service, infrastructure):
    """The sample service, running."""
    prefix = f"k{secrets.token_hex(4)}."
    names = [kind.topic for kind in registry().values()]
    names += [f"{name}.dlq.sample" for name in names]
    topics = [Topic(name=name, partitions=2, writer="sample") for name in names]
    await create_topics(infrastructure.bootstrap_servers, topics, prefix)
    return await start_service("sample", topic_prefix=prefix)
