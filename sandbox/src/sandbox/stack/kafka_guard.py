"""Gives a secured broker its users and their rights."""

# pyright: reportPrivateImportUsage=false
# The library does not mark what its own documentation imports as exported.

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from sandbox.stack.acls import Acl
from sandbox.stack.kafka_jvm import BROKER

REQUEST_SECONDS = 10.0
POLL_SECONDS = 0.02
ITERATIONS = 8192
ANY: Any = None
EVERY_ACL = AclBindingFilter("any", ANY, "any", ANY, ANY, "any", "any")


class Guard:
    """The broker's own login, which is there before any other."""

    def __init__(self, bootstrap_servers: str, broker_password: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._password = broker_password

    async def answers(self) -> bool:
        """Whether the broker answers for its cluster. OSError while its port is closed."""
        host, _, port = self._bootstrap_servers.rpartition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.close()
        return await asyncio.to_thread(self._describes)

    async def admit(self, passwords: Mapping[str, str], acls: Iterable[Acl]) -> None:
        """Let in the users with these passwords, and leave exactly these rights; repeating it changes nothing.

        Raises KafkaException when the broker refuses.
        """
        await asyncio.to_thread(self._admit, passwords, {_binding(acl) for acl in acls})

    def _admit(self, passwords: Mapping[str, str], wanted: set[AclBinding]) -> None:
        admin = self._admin
        scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS)
        logins: list[UserScramCredentialAlteration] = [
            UserScramCredentialUpsertion(user, scram, key.encode()) for user, key in passwords.items()
        ]
        _all(admin.alter_user_scram_credentials(logins))
        present = self._acls()
        if outdated := [_filter(binding) for binding in present - wanted]:
            _all(admin.delete_acls(outdated))
        if missing := list(wanted - present):
            _all(admin.create_acls(missing))
        # The controller has agreed; the broker takes its records over a moment later, rights after logins.
        deadline = time.monotonic() + REQUEST_SECONDS
        while self._acls() != wanted and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)

    def _acls(self) -> set[AclBinding]:
        return set(self._admin.describe_acls(EVERY_ACL).result(REQUEST_SECONDS))

    def _describes(self) -> bool:
        try:
            return bool(self._admin.describe_cluster(request_timeout=2).result(REQUEST_SECONDS).nodes)
        except KafkaException:
            return False

    @cached_property
    def _admin(self) -> AdminClient:
        return AdminClient(
            {
                "bootstrap.servers": self._bootstrap_servers,
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanisms": "PLAIN",
                "sasl.username": BROKER,
                "sasl.password": self._password,
                # A broker that starts again is found again soon.
                "reconnect.backoff.max.ms": 200,
                # What fails is raised; the library's own lines would go past the log.
                "log_level": 0,
            }
        )


def _all(futures: Mapping[Any, Any]) -> None:
    for future in futures.values():
        future.result(REQUEST_SECONDS)


def _binding(acl: Acl) -> AclBinding:
    return AclBinding(
        acl.resource,
        acl.name,
        acl.pattern,
        f"User:{acl.user}",
        "*",
        acl.operation,
        "allow",
    )


def _filter(binding: Any) -> AclBindingFilter:
    return AclBindingFilter(
        binding.restype,
        binding.name,
        binding.resource_pattern_type,
        binding.principal,
        binding.host,
        binding.operation,
        binding.permission_type,
    )
