"""Reads a Dockerfile: stages and their instructions. What it does not know it refuses, so that no step is skipped."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

KNOWN = frozenset({"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "LABEL", "RUN", "USER", "WORKDIR"})
_VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)(?::-(?P<default>[^}]*))?\}|(?P<bare>\w+))")
_FLAG = re.compile(r"--(?P<name>[a-z]+)=(?P<value>\S+)\s+")


class DockerfileError(Exception):
    """The Dockerfile, or a step of it, is wrong; the message names the line."""


@dataclass(frozen=True)
class Instruction:
    """One instruction; `flags` are those before its arguments, such as ("from", "build")."""

    line: int
    keyword: str
    flags: tuple[tuple[str, str], ...]
    text: str

    def flag(self, name: str) -> str:
        """The value of a flag that may be given once; empty without it."""
        return dict(self.flags).get(name, "")

    def words(self) -> list[str]:
        """The arguments, quotes removed."""
        return shlex.split(self.text)

    def form(self) -> list[str] | None:
        """The arguments of an exec form, or None for a shell form."""
        if not self.text.startswith("["):
            return None
        try:
            given = json.loads(self.text)
        except json.JSONDecodeError as error:
            raise DockerfileError(f"line {self.line}: {self.keyword} is not a JSON list: {error}") from error
        return [str(word) for word in given]


@dataclass(frozen=True)
class Stage:
    """What one FROM begins."""

    name: str
    base: str
    instructions: tuple[Instruction, ...] = field(default=())


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace `$NAME`, `${NAME}` and `${NAME:-default}`; an unknown variable is empty, as in Docker."""

    def value(found: re.Match[str]) -> str:
        return variables.get(found["braced"] or found["bare"]) or found["default"] or ""

    return _VARIABLE.sub(value, text)


def assignments(instruction: Instruction, variables: Mapping[str, str]) -> dict[str, str]:
    """The names and values of an ENV or LABEL."""
    pairs = [word.partition("=") for word in instruction.words()]
    if not all(equals for _, equals, _ in pairs):
        raise DockerfileError(f"line {instruction.line}: {instruction.keyword} needs NAME=value")
    return {name: expand(value, variables) for name, _, value in pairs}


def read(file: Path) -> list[Stage]:
    """The stages in order. DockerfileError for an instruction this does not know, or one before the first FROM
    other than ARG."""
    stages: list[Stage] = []
    instructions: list[Instruction] = []
    variables: dict[str, str] = {}
    for instruction in _instructions(file.read_text()):
        if instruction.keyword == "FROM":
            base, *rest = expand(instruction.text, variables).split()
            name = rest[1] if rest else str(len(stages))
            instructions = []
            stages.append(Stage(name, base))
        elif stages:
            instructions.append(instruction)
            stages[-1] = Stage(stages[-1].name, stages[-1].base, tuple(instructions))
        elif instruction.keyword == "ARG":
            name, _, default = instruction.text.partition("=")
            variables[name] = default
        else:
            raise DockerfileError(f"line {instruction.line}: {instruction.keyword} before the first FROM")
    if not stages:
        raise DockerfileError(f"{file} has no FROM")
    return stages


def _instructions(text: str) -> list[Instruction]:
    found: list[Instruction] = []
    pending, start = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("#") or not line.strip():
            continue
        start = start or number
        if line.rstrip().endswith("\\"):
            pending += line.rstrip()[:-1].strip() + " "
            continue
        found.append(_instruction(start, pending + line.strip()))
        pending, start = "", 0
    if pending:
        raise DockerfileError(f"line {start}: the last instruction does not end")
    return found


def _instruction(line: int, text: str) -> Instruction:
    keyword, _, rest = text.partition(" ")
    if keyword.upper() not in KNOWN:
        raise DockerfileError(f"line {line}: {keyword} is not supported here, only {', '.join(sorted(KNOWN))}")
    rest, flags = rest.strip(), []
    while flag := _FLAG.match(rest):
        flags.append((flag["name"], flag["value"]))
        rest = rest[flag.end() :]
    return Instruction(line, keyword.upper(), tuple(flags), rest)
