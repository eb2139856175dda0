"""The sample service in a process of its own, as one of its releases."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
from kit.settings import ServiceSettings
from sandbox.stack.ports import free_ports
from testing.service import eventually

HERE = Path(__file__).parent
START_SECONDS = 90


def release(number: int, folder: Path) -> Path:
    """A folder to import release `number` of the sample from: each is the one before with some files of its own."""
    tree = folder / f"release-{number}"
    shutil.copytree(HERE / "sample", tree / "sample", ignore=shutil.ignore_patterns("__pycache__"))
    for later in range(2, number + 1):
        shutil.copytree(HERE / "releases" / str(later), tree / "sample", dirs_exist_ok=True)
    return tree


def migrate(tree: Path, owner_url: str) -> subprocess.CompletedProcess[str]:
    """What a deployment runs before it starts that release."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "MIGRATION_DATABASE_URL": owner_url}
    command = [sys.executable, "-m", "kit", "migrate", "sample"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


class Process:
    """One instance; `url` is where it answers."""

    def __init__(self, tree: Path, settings: ServiceSettings, **environment: str) -> None:
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self._log = tree / f"{port}.log"
        given = {
            "PYTHONPATH": str(tree),
            "DATABASE_URL": settings.database_url.get_secret_value(),
            "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
            "KAFKA_IDEMPOTENCE": str(settings.kafka_idempotence).lower(),
            "TOPIC_PREFIX": settings.topic_prefix,
            "OIDC_JWKS_URL": settings.oidc_jwks_url,
            **environment,
        }
        command = [sys.executable, "-m", "kit", "serve", "sample", "--port", str(port)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, env={**os.environ, **given}, stdout=log, stderr=log)

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    async def until_ready(self, http: httpx.AsyncClient) -> None:
        """Raises AssertionError with the end of its log when it is not."""

        async def ready() -> None:
            assert self._process.poll() is None, self.log[-2000:]
            try:
                answer = await http.get(f"{self.url}/readyz")
            except httpx.TransportError as problem:
                raise AssertionError(f"{problem}\n{self.log[-2000:]}") from problem
            assert answer.json()["reasons"] == [], self.log[-2000:]

        await eventually(ready, START_SECONDS)

    async def metric(self, http: httpx.AsyncClient, name: str) -> float:
        """The sum over all labels of a metric."""
        lines = (await http.get(f"{self.url}/metrics")).text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name}{{", f"{name} ")))

    def ended(self) -> int:
        """The exit code of one that ends by itself."""
        return self._process.wait(START_SECONDS)

    def stop(self) -> int:
        """End it in good order; its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self.ended()

    async def answer(self, http: httpx.AsyncClient, path: str) -> httpx.Response:
        """What it answers, once its port is open."""

        async def asked() -> httpx.Response:
            assert self._process.poll() is None, self.log[-2000:]
            try:
                return await http.get(f"{self.url}{path}")
            except httpx.TransportError as problem:
                raise AssertionError(f"{problem}\n{self.log[-2000:]}") from problem

        return await eventually(asked, START_SECONDS)

    def kill(self) -> None:
        """End it at once, if it still runs."""
        self._process.kill()
        self._process.wait()
