"""Whether a Kafka broker serves."""

from __future__ import annotations

import asyncio

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError


async def answers(bootstrap_servers: str) -> bool:
    """Whether a broker answers for its cluster: its port opens some time before it can."""
    host, _, port = bootstrap_servers.split(",", maxsplit=1)[0].rpartition(":")
    # aiokafka logs an error for every refused connection; a bare one is quiet.
    _, writer = await asyncio.open_connection(host, int(port))
    writer.close()
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=2000)
    try:
        await admin.start()
        cluster = await admin.describe_cluster()
    except KafkaError:
        return False
    finally:
        await admin.close()
    return bool(cluster.get("brokers"))
