"""Runs the org as a process for tests, its own and the connector's."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from joserfc import jwt
from joserfc.jwk import RSAKey

from sandbox.stack.ports import free_ports

START_SECONDS = 90
REPLY_SECONDS = 60
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass
class RunningOrg:
    """An org process that can be killed and started again on the same data and ports."""

    directory: Path
    keepalive_seconds: float = 270.0
    ports: list[int] = field(default_factory=lambda: free_ports(2))
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def pubsub_target(self) -> str:
        return f"127.0.0.1:{self.ports[1]}"

    @property
    def credentials_dir(self) -> Path:
        return self.directory / "credentials"

    @property
    def client(self) -> dict[str, str]:
        """`client_id`, `username` and `org_id` as the org issued them."""
        return json.loads((self.credentials_dir / "client.json").read_text())

    def start(self) -> None:
        """Starts the process and returns when it is ready. Raises RuntimeError if it never is."""
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "sandbox.salesforce",
                "--port", str(self.ports[0]),
                "--pubsub-port", str(self.ports[1]),
                "--data-dir", str(self.directory / "data"),
                "--credentials-dir", str(self.credentials_dir),
                "--keepalive-seconds", str(self.keepalive_seconds),
            ]
        )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if httpx.get(f"{self.url}/readyz").is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise RuntimeError("the org did not become ready")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signals the process and gives its exit code."""
        if self.process is None:
            raise RuntimeError("the org was not started")
        self.process.send_signal(number)
        return self.process.wait(START_SECONDS)

    def kill_and_restart(self) -> None:
        self.stop(signal.SIGKILL)
        self.start()

    def sim(self, path: str, body: Any = None, *, method: str = "POST") -> Any:
        """Calls the operator's console under `/_sim` and gives its answer, if it has one."""
        reply = httpx.request(method, f"{self.url}/_sim/{path}", json=body, timeout=REPLY_SECONDS)
        return reply.raise_for_status().json() if reply.content else None

    def assertion(self, **changed: Any) -> str:
        """A JWT bearer assertion; `changed` replaces claims."""
        key = RSAKey.import_key((self.credentials_dir / "connector.key.pem").read_bytes())
        claims = {
            "iss": self.client["client_id"],
            "sub": self.client["username"],
            "aud": "https://login.salesforce.com",
            "exp": int(time.time()) + 120,
        }
        return jwt.encode({"alg": "RS256"}, claims | changed, key)

    def token(self) -> str:
        """Opens a session by JWT bearer and gives its access token."""
        form = {"grant_type": JWT_BEARER, "assertion": self.assertion()}
        reply = httpx.post(f"{self.url}/services/oauth2/token", data=form, timeout=REPLY_SECONDS)
        return reply.raise_for_status().json()["access_token"]

    def session(self) -> httpx.AsyncClient:
        """A client of the REST API, in a session of its own."""
        headers = {"Authorization": f"Bearer {self.token()}"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=REPLY_SECONDS)


@contextmanager
def running_org(directory: Path, *, keepalive_seconds: float = 270.0) -> Iterator[RunningOrg]:
    """Gives a started org and ends it afterwards."""
    org = RunningOrg(directory, keepalive_seconds)
    org.start()
    try:
        yield org
    finally:
        if org.process is not None and org.process.poll() is None:
            org.process.kill()
            org.process.wait()
