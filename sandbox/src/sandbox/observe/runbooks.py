"""The committed runbooks as HTML."""

from __future__ import annotations

import re
from pathlib import Path

from markdown_it import MarkdownIt

RUNBOOKS_DIR = Path(__file__).parents[4] / "docs" / "runbooks"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")


class RunbookUnknown(Exception):
    """There is no runbook of that name; the message names those there are."""


class Runbooks:
    """Renders `<directory>/<name>.md`. HTML within a runbook is shown, not run."""

    def __init__(self, directory: Path = RUNBOOKS_DIR) -> None:
        self._directory = directory
        self._markdown = MarkdownIt("commonmark", {"html": False}).enable("table")

    def names(self) -> list[str]:
        return sorted(file.stem for file in self._directory.glob("*.md"))

    def html(self, name: str) -> str:
        """Raises RunbookUnknown."""
        name = name.removesuffix(".md")
        file = self._directory / f"{name}.md"
        if not _NAME.fullmatch(name) or not file.is_file():
            words = ", ".join(self.names()) or "none yet"
            raise RunbookUnknown(f"There is no runbook {name[:80]!r}. There are: {words}.")
        return self._markdown.render(file.read_text())
