"""A small disk for the database, which can be made full without touching the real one: a file system in memory whose
limit is lowered to what it holds. It is mounted in a mount namespace of the run, so that it ends with the run."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

SIZE_BYTES = 2 << 30
# Set inside the namespace, where mounting does no harm.
OWN_MOUNTS = "CHAOS_OWN_MOUNTS"
FULL = "No space left on device"
SHRINK_SECONDS = 30.0
PAUSE_SECONDS = 0.05


class NotPermitted(Exception):
    """This machine does not permit mounting here."""


def own_mounts() -> list[str]:
    """The prefix of a command that lets it mount file systems that only it sees. Raises NotPermitted."""
    as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    prefix = ["unshare", *as_root, "--mount", "--propagation", "private"]
    mounting = 'mount -t tmpfs -o size=1m tmpfs "$0" && mount -o remount,size=2m tmpfs "$0"'
    try:
        done = subprocess.run(
            [*prefix, "sh", "-c", mounting, "/tmp"], capture_output=True, text=True, check=False, cwd="/"
        )
    except FileNotFoundError as problem:
        raise NotPermitted(f"{problem.filename} is not installed") from problem
    if done.returncode != 0:
        raise NotPermitted(f"mounting is not permitted: {done.stderr.strip() or done.returncode}")
    return [*prefix, "env", f"{OWN_MOUNTS}=1"]


def _why_not() -> str:
    try:
        own_mounts()
    except NotPermitted as problem:
        return str(problem)
    return "the run has no mounts of its own"


class SmallDisk:
    """A file system of its own at `folder`. `left_out` says why there is none; empty when there is one."""

    def __init__(self, folder: Path) -> None:
        self.left_out = "" if OWN_MOUNTS in os.environ else _why_not()
        self._folder = folder

    def mount(self) -> None:
        """Mount it, empty. Where mounting is not permitted the folder stays as it is."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if not self.left_out:
            self._mount(f"mode=0700,size={SIZE_BYTES}")

    def fill(self) -> None:
        """From now on every page that would be new is refused. OSError when it cannot be brought to that."""
        deadline = time.monotonic() + SHRINK_SECONDS
        while True:
            state = os.statvfs(self._folder)
            used = (state.f_blocks - state.f_bfree) * state.f_frsize
            try:
                # A write in the meantime makes this fail: no limit may be below what is used.
                self._mount(f"remount,size={used}")
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(PAUSE_SECONDS)
            else:
                return

    def free(self) -> None:
        """There is room again."""
        self._mount(f"remount,size={SIZE_BYTES}")

    def _mount(self, options: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self._folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
