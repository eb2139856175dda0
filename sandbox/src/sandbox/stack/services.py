"""How the simulated Salesforce org and each of the five services is started on one machine."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from sandbox.stack.run_dir import RunDir
from sandbox.stack.supervisor import ProcessSpec

SERVICES: tuple[str, ...] = ("assessment", "scoring", "stage-engine", "crm-connector", "recommender")
ORG = "salesforce-org"
TENANT = "acme"
# No user waits for the recommender. On one machine it takes the processor time that the others leave, as its smaller
# share in a cluster would do.
NICENESS = {"recommender": "10"}


@dataclass(frozen=True)
class OrgAddress:
    """Where the simulated org listens: its REST API and login, and its gRPC Pub/Sub API."""

    port: int
    pubsub_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pubsub_endpoint(self) -> str:
        return f"127.0.0.1:{self.pubsub_port}"


def package_of(service: str) -> str:
    """The import package, which is also the database's name and the stem of its roles."""
    return service.replace("-", "_")


def variable_of(user: str, what: str) -> str:
    """The name under which `.run/env` holds an address or a password of a service, such as STAGE_ENGINE_URL, or of
    another user of the broker."""
    return f"{package_of(user).replace('.', '_').upper()}_{what}"


def logins_of(service: str, known: Mapping[str, str]) -> dict[str, str]:
    """How a service logs in at its database and at the broker, from what `.run/env` holds; a broker without logins
    has no passwords there."""
    password = known.get(variable_of(service, "KAFKA_PASSWORD"))
    broker = {"KAFKA_USERNAME": service, "KAFKA_PASSWORD": password} if password else {}
    return {"DATABASE_URL": known[variable_of(service, "DATABASE_URL")], **broker}


def org_process(run: RunDir, address: OrgAddress) -> ProcessSpec:
    command = [sys.executable, "-m", "sandbox.salesforce"]
    command += ["--port", str(address.port), "--pubsub-port", str(address.pubsub_port)]
    command += ["--data-dir", str(run.root / "org"), "--credentials-dir", str(run.org_credentials)]
    return ProcessSpec(name=ORG, command=command, ready=answers_ready(address.port))


def service_process(service: str, port: int, environment: dict[str, str]) -> ProcessSpec:
    command = [sys.executable, "-m", "kit", "serve", service, "--host", "127.0.0.1", "--port", str(port)]
    # Restarted on its port, an instance is the same member of its consumer group.
    own = {"NICENESS": NICENESS.get(service, "0"), "KAFKA_INSTANCE_ID": f"{service}-{port}"}
    environment = {**own, **environment}
    return ProcessSpec(name=service, command=command, ready=answers_ready(port), environment=environment)


def common_environment(run: RunDir, bootstrap_servers: str, *, idempotence: bool) -> dict[str, str]:
    """The environment of every service besides its logins; LOG_LEVEL and OTEL_* come from outside.

    Makes the local issuer's keys when there are none.
    """
    from sandbox.issuer import AUDIENCE, ISSUER, LocalIssuer

    return {
        "ENVIRONMENT": "local",
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
        "KAFKA_IDEMPOTENCE": str(idempotence).lower(),
        "OIDC_ISSUER": ISSUER,
        "OIDC_AUDIENCE": AUDIENCE,
        "OIDC_JWKS_URL": LocalIssuer(run.issuer).jwks_url,
    }


def connector_environment(run: RunDir, address: OrgAddress) -> dict[str, str]:
    """How the connector reaches the org, whose first start makes the credentials this reads.

    STACK_CRM_ADAPTER=recording takes the org away.
    """
    credentials = run.org_credentials
    client = json.loads((credentials / "client.json").read_text())
    return {
        "CRM_ADAPTER": os.environ.get("STACK_CRM_ADAPTER") or "salesforce",
        "SALESFORCE_TENANT": TENANT,
        "SALESFORCE_LOGIN_URL": address.url,
        "SALESFORCE_AUTH_FLOW": os.environ.get("SALESFORCE_AUTH_FLOW") or "jwt",
        "SALESFORCE_CLIENT_ID": client["client_id"],
        "SALESFORCE_USERNAME": client["username"],
        "SALESFORCE_PRIVATE_KEY_FILE": str(credentials / "connector.key.pem"),
        "SALESFORCE_CLIENT_SECRET_FILE": str(credentials / "client_secret"),
        # The connector speaks TLS by default; the simulated org does not.
        "SALESFORCE_PUBSUB_ENDPOINT": f"http://{address.pubsub_endpoint}",
    }


def answers_ready(port: int) -> Callable[[], Awaitable[bool]]:
    """Asks `GET /readyz` on 127.0.0.1 by hand: an HTTP client would follow the proxies of the environment."""

    async def ready() -> bool:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                status_line = await reader.readline()
            finally:
                writer.close()
        return status_line.split(b" ")[1:2] == [b"200"]

    return ready
