"""Follows deploy/Dockerfile step by step into a plain directory."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tools.image import box
from tools.image.context import build_context, copy_context
from tools.image.dockerfile import DockerfileError, Instruction, Stage, assignments, expand, read

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
# What the base image sets.
_BASE_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
# How this machine reaches the package index.
_NETWORK = (
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "UV_SYSTEM_CERTS", "UV_DEFAULT_INDEX", "UV_INDEX", "UV_OFFLINE"),
)


@dataclass
class Image:
    """The last stage: its files and how it starts."""

    tree: Path
    environment: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    user: tuple[int, int] = (0, 0)
    workdir: str = "/"
    ports: list[int] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    def save(self) -> None:
        """Write what the tree does not say beside it."""
        beside = self.tree.with_suffix(".json")
        beside.write_text(json.dumps(asdict(self) | {"tree": str(self.tree)}, indent=2) + "\n")

    @classmethod
    def load(cls, into: Path) -> Image:
        """The image that was built there; FileNotFoundError when there is none."""
        known = json.loads((into / "image.json").read_text())
        return cls(**known | {"tree": Path(known["tree"]), "user": tuple(known["user"])})

    def command_line(
        self,
        arguments: Sequence[str] = (),
        *,
        entrypoint: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        mounts: Sequence[box.Mount] = (),
    ) -> list[str]:
        """What to start on this machine, as `docker run` with these arguments would: unprivileged, and nothing can
        be written."""
        if self.user[0] == 0:
            raise DockerfileError("the image runs as root: its last stage needs USER with a number")
        # Docker sets the home of a user that /etc/passwd does not know.
        surroundings = {"HOME": "/", **self.environment, **(environment or {})}
        inside = box.Box(self.tree, surroundings, self.workdir, self.user, tuple(mounts))
        return box.command_line(inside, [*(entrypoint or self.entrypoint), *(arguments or self.command)])


def build(into: Path, arguments: dict[str, str], dockerfile: Path = DOCKERFILE) -> Image:
    """Build the image of the last stage into a directory, which is emptied first. DockerfileError with the line of
    the step that failed."""
    if why := box.unavailable():
        raise box.BoxError(f"no image can be built here: {why}")
    if into.exists():
        shutil.rmtree(into)
    copied = into / "context"
    copied.mkdir(parents=True)
    copy_context(build_context(dockerfile.parents[1]), copied)
    trees: dict[str, Path] = {}
    image = Image(into)
    stages = read(dockerfile)
    for number, stage in enumerate(stages):
        last = number == len(stages) - 1
        trees[stage.name] = into / ("image" if last else f"stage-{stage.name}")
        image = _Builder(stage, Image(trees[stage.name]), copied, trees, arguments).run()
    for left in (copied, *(tree for tree in trees.values() if tree != image.tree)):
        shutil.rmtree(left)
    image.save()
    return image


@dataclass
class _Builder:
    stage: Stage
    image: Image
    context: Path
    trees: dict[str, Path]
    given: dict[str, str]
    arguments: dict[str, str] = field(default_factory=dict)

    def run(self) -> Image:
        self.image.tree.mkdir()
        self.image.environment |= _base_environment()
        for instruction in self.stage.instructions:
            step = getattr(self, f"_{instruction.keyword.lower()}")
            try:
                step(instruction)
            except (box.BoxError, OSError) as error:
                raise DockerfileError(f"line {instruction.line}: {instruction.keyword}: {error}") from error
        return self.image

    def _variables(self) -> dict[str, str]:
        return self.arguments | self.image.environment

    def _expanded(self, instruction: Instruction) -> str:
        return expand(instruction.text, self._variables())

    def _arg(self, instruction: Instruction) -> None:
        name, _, default = instruction.text.partition("=")
        self.arguments[name] = self.given.get(name, expand(default, self._variables()))

    def _env(self, instruction: Instruction) -> None:
        self.image.environment |= assignments(instruction, self._variables())

    def _label(self, instruction: Instruction) -> None:
        self.image.labels |= assignments(instruction, self._variables())

    def _workdir(self, instruction: Instruction) -> None:
        self.image.workdir = os.path.normpath(os.path.join(self.image.workdir, self._expanded(instruction)))
        self._inside(self.image.workdir).mkdir(parents=True, exist_ok=True)

    def _user(self, instruction: Instruction) -> None:
        user, _, group = self._expanded(instruction).partition(":")
        if not user.isdecimal() or (group and not group.isdecimal()):
            raise DockerfileError(f"line {instruction.line}: USER needs numbers, which Kubernetes can check")
        self.image.user = (int(user), int(group or 0))

    def _expose(self, instruction: Instruction) -> None:
        self.image.ports += [int(port) for port in self._expanded(instruction).split()]

    def _entrypoint(self, instruction: Instruction) -> None:
        self.image.entrypoint = _exec_form(instruction)

    def _cmd(self, instruction: Instruction) -> None:
        self.image.command = _exec_form(instruction)

    def _run(self, instruction: Instruction) -> None:
        if self.image.user != (0, 0):
            raise DockerfileError(f"line {instruction.line}: RUN after USER is not supported here")
        command = instruction.form() or ["/bin/sh", "-c", instruction.text]
        network = {name: os.environ[name] for name in _NETWORK if name in os.environ}
        own = {"HOME": "/root", "UV_PYTHON": str(box.interpreter())}
        environment = own | network | self._variables()
        inside = box.Box(self.image.tree, environment, self.image.workdir, mounts=tuple(_caches(instruction)))
        box.run(inside, command)

    def _copy(self, instruction: Instruction) -> None:
        if unknown := [name for name, _ in instruction.flags if name != "from"]:
            raise DockerfileError(f"line {instruction.line}: COPY --{unknown[0]} is not supported here")
        *names, target = shlex.split(self._expanded(instruction))
        origin = instruction.flag("from")
        if origin and origin not in self.trees:
            sources = [_from_elsewhere(origin, name) for name in names]
        else:
            folder = self.trees[origin] if origin else self.context
            sources = [found for name in names for found in _found(folder, name)]
        place = self._inside(os.path.join(self.image.workdir, target))
        for source in sources:
            _copy_one(source, place, into_folder=target.endswith("/") or len(sources) > 1, linked=origin in self.trees)

    def _inside(self, path: str) -> Path:
        return self.image.tree / path.lstrip("/")


def _base_environment() -> dict[str, str]:
    folder = str(box.interpreter().parent)
    return _BASE_ENVIRONMENT | {"PATH": f"{folder}:{_BASE_ENVIRONMENT['PATH']}"}


def _exec_form(instruction: Instruction) -> list[str]:
    words = instruction.form()
    if words is None:
        raise DockerfileError(f"line {instruction.line}: {instruction.keyword} needs the exec form: a shell would get "
                              "the signals meant for the service")  # fmt: skip
    return words


def _caches(instruction: Instruction) -> list[box.Mount]:
    """uv's cache of this machine in the place of the builder's."""
    found: list[box.Mount] = []
    for name, value in instruction.flags:
        options = dict(option.split("=", 1) for option in value.split(","))
        if name != "mount" or options.get("type") != "cache":
            raise DockerfileError(f"line {instruction.line}: RUN --{name}={value} is not supported here")
        cache = subprocess.run([uv(), "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
        Path(cache).mkdir(parents=True, exist_ok=True)
        found.append(box.Mount(Path(cache), options["target"], writable=True))
    return found


def uv() -> str:
    """uv of this machine: on PATH, or where `make setup` installs it."""
    found = shutil.which("uv") or str(ROOT / ".cache/tools/bin/uv")
    if not Path(found).exists():
        raise DockerfileError("uv is not installed: run `make setup`")
    return found


def _from_elsewhere(image: str, name: str) -> Path:
    """The one file that comes from another image is uv; this machine's takes its place when it is of the same
    series."""
    repository, _, tag = image.rpartition(":")
    if (repository, name) != ("ghcr.io/astral-sh/uv", "/uv"):
        raise DockerfileError(f"{name} of {image} is not supported here")
    version = subprocess.run([uv(), "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    if version.split(".")[:2] != tag.split(".")[:2]:
        raise DockerfileError(f"the Dockerfile uses uv {tag}, this machine has {version}")
    return Path(uv()).resolve()


def _found(folder: Path, name: str) -> list[Path]:
    found = sorted(folder.glob(name.strip("/")))
    if not found:
        raise DockerfileError(f"COPY {name}: no such file in the context or stage")
    return found


def _copy_one(source: Path, place: Path, *, into_folder: bool, linked: bool) -> None:
    """Linked files take no time and no space; that is safe for those of a stage, which is finished and deleted."""
    copy = os.link if linked else shutil.copy2
    if source.is_dir():
        shutil.copytree(source, place, symlinks=True, dirs_exist_ok=True, copy_function=copy)
        return
    target = place / source.name if into_folder else place
    target.parent.mkdir(parents=True, exist_ok=True)
    copy(source, target)
