"""Runs a command with a plain directory as its root, by namespaces of Linux instead of a container engine.

This machine's /usr, /etc and interpreter take the place of the base image and cannot be written.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# Bound from this machine. Where /bin and the like are links into /usr, the links are made instead.
_BASE = ("/usr", "/etc")
_LINKS = ("/bin", "/sbin", "/lib", "/lib64")
_KERNEL = ("/dev", "/proc")


class BoxError(Exception):
    """A command in the box failed, or there can be no box here."""


@dataclass(frozen=True)
class Mount:
    """A file or directory of this machine, seen in the box at `target`."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True)
class Box:
    """How a command finds its surroundings."""

    root: Path
    environment: Mapping[str, str]
    workdir: str = "/"
    # None: the builder, who may write. Otherwise nothing but writable mounts can be written, by any user.
    user: tuple[int, int] | None = None
    mounts: tuple[Mount, ...] = ()


def interpreter() -> Path:
    """The interpreter that takes the place of the base image's."""
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()


@cache
def unavailable() -> str:
    """Why there can be no box here; empty where there can."""
    if sys.platform != "linux":
        return "needs the namespaces of Linux"
    for program in ("unshare", "setpriv", "mount", "pivot_root"):
        if shutil.which(program) is None:
            return f"needs {program}"
    tried = subprocess.run([*_namespace(), "true"], capture_output=True, text=True, check=False)
    return tried.stderr.strip() if tried.returncode else ""


def run(box: Box, command: Sequence[str]) -> None:
    """Run a command to its end; BoxError with the end of its output when it fails."""
    done = subprocess.run(
        command_line(box, command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise BoxError(f"exit code {done.returncode} of {shlex.join(command)}:\n{done.stdout[-4000:]}")


def command_line(box: Box, command: Sequence[str]) -> list[str]:
    """What to start on this machine. Each step replaces the one before, so that the process started is the
    command itself, and gets the signals."""
    if why := unavailable():
        raise BoxError(f"no image can be run here: {why}")
    _prepare(box)
    variables = [f"{name}={value}" for name, value in box.environment.items()]
    inner = [*_become(box.user), "env", "-i", f"--chdir={box.workdir}", *variables, *command]
    script = "\n".join(["set -e", *_mounts(box), f"exec {shlex.join(inner)}"])
    return [*_namespace(), "sh", "-c", script]


def _namespace() -> list[str]:
    own_user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *own_user, "--mount", "--propagation", "private"]


def _become(user: tuple[int, int] | None) -> list[str]:
    if user is None:
        return []
    uid, gid = (str(each) for each in user)
    if os.geteuid() != 0:
        # The one user there is takes the number; without the right to be another, files of his stay his.
        return ["unshare", "--user", f"--map-user={uid}", f"--map-group={gid}", "setpriv", "--no-new-privs"]
    return [
        *("setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups"),
        *("--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"),
    ]


def _prepare(box: Box) -> None:
    """Make the places to mount at."""
    box.root.mkdir(parents=True, exist_ok=True)
    for link in map(Path, _LINKS):
        place = box.root / link.relative_to("/")
        if link.is_symlink() and not place.is_symlink():
            place.symlink_to(os.readlink(link))
    for mount in _binds(box):
        place = box.root / mount.target.lstrip("/")
        if mount.source.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
    (box.root / "tmp").mkdir(exist_ok=True)


def _binds(box: Box) -> Iterator[Mount]:
    own = [link for link in _LINKS if Path(link).is_dir() and not Path(link).is_symlink()]
    prefix = interpreter().parent.parent
    elsewhere = [] if prefix.is_relative_to("/usr") else [str(prefix)]
    # The builder cannot write the base either: what is made must lie in what is copied.
    yield from (Mount(Path(place), place) for place in (*_BASE, *own, *elsewhere))
    yield from (Mount(Path(place), place, writable=True) for place in _KERNEL)
    yield from box.mounts


def _mounts(box: Box) -> Iterator[str]:
    """Statements that make the directory the root."""
    root = shlex.quote(str(box.root))
    yield f"mount --bind {root} {root}"
    if box.user is not None:
        yield f"mount -o remount,bind,ro {root}"
    for mount in _binds(box):
        place = shlex.quote(str(box.root / mount.target.lstrip("/")))
        yield f"mount --rbind {shlex.quote(str(mount.source))} {place}"
        if not mount.writable:
            yield f"mount -o remount,bind,ro {place}"
    # A chroot would forbid a user namespace within; the old root lies on /tmp for a moment.
    yield f"cd {root}"
    yield "pivot_root . tmp"
    yield "umount --lazy /tmp"
