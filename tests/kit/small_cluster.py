"""PostgreSQL on a disk that can be made full: `python -m tests.kit.small_cluster FOLDER PORT` among mounts of its own.

Says the administrator's URL, then reads `fill` and `free` from its input, answers each, and ends with it.
"""

import asyncio
import sys
from pathlib import Path

from sandbox.stack.postgres import resolve_postgres
from sandbox.stack.supervisor import Supervisor

from tools.chaos.disk import SmallDisk


async def main(folder: Path, port: int) -> None:
    disk = SmallDisk(folder / "postgres")
    disk.mount()
    postgres = resolve_postgres(folder / "postgres", port, "full", durable=True, environ={})
    assert postgres.process is not None
    supervisor = Supervisor(folder / "logs", lambda _: None)
    await supervisor.start(postgres.process)
    try:
        say(postgres.admin_url)
        while told := (await asyncio.to_thread(sys.stdin.readline)).strip():
            await asyncio.to_thread({"fill": disk.fill, "free": disk.free}[told])
            say(told)
    finally:
        await supervisor.stop()


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - whoever started it reads this


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
