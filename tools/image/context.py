"""The build context: the files that .dockerignore lets through."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class Context:
    """What would be sent to a builder: paths relative to `root`, and their size."""

    root: Path
    files: tuple[PurePosixPath, ...]
    size_bytes: int


@dataclass(frozen=True)
class _Pattern:
    text: str
    lets_in: bool

    def covers(self, path: PurePosixPath) -> bool:
        """Whether it matches the path or a folder that holds it."""
        return _regex(self.text + "/**").fullmatch(f"{path}/") is not None

    def may_reach_into(self, folder: PurePosixPath) -> bool:
        """Whether it can match anything in the folder."""
        parts = self.text.split("/")
        if "**" in parts:
            return True
        above = "/".join(parts[: len(folder.parts)])
        return len(parts) > len(folder.parts) and _regex(above).fullmatch(str(folder)) is not None


def build_context(root: Path) -> Context:
    """The context of a checkout, which is never larger than what .dockerignore lets through."""
    patterns = _read(root / ".dockerignore")
    files: list[PurePosixPath] = []
    for folder, names, contents in os.walk(root):
        here = PurePosixPath(Path(folder).relative_to(root).as_posix())
        names[:] = [name for name in sorted(names) if _worth_a_look(here / name, patterns)]
        files += [here / name for name in sorted(contents) if not _left_out(here / name, patterns)]
    return Context(root, tuple(files), sum((root / file).lstat().st_size for file in files))


def copy_context(context: Context, into: Path) -> None:
    """Copy the files of the context, and only these."""
    for file in context.files:
        (into / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(context.root / file, into / file, follow_symlinks=False)


def _read(file: Path) -> list[_Pattern]:
    lines = [line.strip() for line in file.read_text().splitlines()]
    return [
        _Pattern(line.removeprefix("!").strip("/"), line.startswith("!"))
        for line in lines
        if line and not line.startswith("#")
    ]


def _left_out(path: PurePosixPath, patterns: list[_Pattern]) -> bool:
    """The last pattern that matches decides."""
    return next((not pattern.lets_in for pattern in reversed(patterns) if pattern.covers(path)), False)


def _worth_a_look(folder: PurePosixPath, patterns: list[_Pattern]) -> bool:
    if not _left_out(folder, patterns):
        return True
    return any(pattern.lets_in and pattern.may_reach_into(folder) for pattern in patterns)


def _regex(pattern: str) -> re.Pattern[str]:
    """Go's filepath.Match, with `**` for any number of folders."""
    words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(words.get(part, re.escape(part)) for part in re.split(r"(\*\*/?|\*|\?)", pattern)))
