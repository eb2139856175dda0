"""Kafka clients with the settings the delivery guarantees rest on."""

import ssl
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from kit.settings import ServiceSettings


def login(username: str, password: str) -> dict[str, Any]:
    """What a client of aiokafka is given to log in; nothing for a broker without authentication, and no username."""
    if not username:
        return {}
    return {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": username,
        "sasl_plain_password": password,
    }


def _connection(settings: ServiceSettings) -> dict[str, Any]:
    given: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        **login(settings.kafka_username, settings.kafka_password.get_secret_value()),
    }
    if settings.kafka_tls:
        given["security_protocol"] = "SASL_SSL" if settings.kafka_username else "SSL"
        given["ssl_context"] = ssl.create_default_context(cafile=settings.kafka_tls_ca_file)
    return given


async def start_producer(settings: ServiceSettings) -> AIOKafkaProducer:
    """A started producer: all replicas acknowledge, and retries keep the order where the broker can."""
    producer = AIOKafkaProducer(
        **_connection(settings),
        client_id=settings.service,
        acks="all",
        enable_idempotence=settings.kafka_idempotence,
        # Whoever sends hands over a whole batch before anything leaves.
        linger_ms=0,
        max_batch_size=256 * 1024,
        max_request_size=5 * 1024 * 1024,
    )
    try:
        await producer.start()
    except BaseException:
        await producer.stop()
        raise
    return producer


def new_consumer(settings: ServiceSettings) -> AIOKafkaConsumer:
    """A consumer of the service's group, not yet started; offsets are committed by hand only."""
    return AIOKafkaConsumer(
        **_connection(settings),
        client_id=settings.service,
        group_id=f"{settings.topic_prefix}{settings.service}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
        max_partition_fetch_bytes=4 * 1024 * 1024,
        session_timeout_ms=10_000,
        heartbeat_interval_ms=2_000,
        # Longer than the longest batch the watchdog allows, or a slow batch is handled twice at once; shorter than the
        # client's request timeout of 40 s, or it gives up a join that the broker holds back for a dead member.
        rebalance_timeout_ms=30_000,
        metadata_max_age_ms=30_000,
    )
