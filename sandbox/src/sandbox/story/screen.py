"""What a person sees while the demo runs: phases with their times, and what is going on right now."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

WIDTH = 100
REFRESH_PER_SECOND = 8
# Without a terminal, one line of progress now and then is enough.
LINE_EVERY_SECONDS = 5.0
BAR_WIDTH = 34


class Phase:
    """A part of the demo; `note` is shown beside it when it is done."""

    def __init__(self, words: str) -> None:
        self.words = words
        self.note = ""
        self.began = time.perf_counter()
        self.seconds = 0.0

    @property
    def line(self) -> Text:
        """The finished phase in one line."""
        return Text.assemble(
            ("  ✓ ", "green"), f"{self.words:<50}", (f"{self.seconds:6.1f} s  ", "dim"), (self.note, "cyan")
        )


class Screen:
    """Shows phases as they come; on a terminal the current one moves, elsewhere it leaves a line now and then."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._phase: Phase | None = None
        self._detail: Callable[[], RenderableType] | None = None
        self._line: Callable[[], str] | None = None
        self._last_line_at = 0.0
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live = Live(
                get_renderable=self._moving, console=self.console, refresh_per_second=REFRESH_PER_SECOND, transient=True
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    @contextmanager
    def phase(self, words: str) -> Iterator[Phase]:
        """Show a phase for as long as the block runs, and its line when it ended well."""
        self._phase = phase = Phase(words)
        try:
            yield phase
        finally:
            phase.seconds = time.perf_counter() - phase.began
            self._phase = self._detail = self._line = None
        self.console.print(phase.line)

    def say(self, words: str) -> None:
        """A line that stays on the screen."""
        self.console.print(Text(f"    {words}", "dim"))

    def show(self, detail: Callable[[], RenderableType], line: Callable[[], str]) -> None:
        """What to show below the current phase: on a terminal, and as a line elsewhere."""
        self._detail, self._line = detail, line
        self._last_line_at = time.perf_counter()

    def tick(self) -> None:
        """Leave a line of progress where nothing moves."""
        now = time.perf_counter()
        if self._live is None and self._line is not None and now - self._last_line_at >= LINE_EVERY_SECONDS:
            self._last_line_at = now
            self.say(self._line())

    def _moving(self) -> RenderableType:
        if self._phase is None:
            return Text("")
        seconds = time.perf_counter() - self._phase.began
        table = Table.grid(padding=(0, 1))
        table.add_row(Text(" "), Spinner("dots", style="cyan"), Text(f"{self._phase.words:<50}{seconds:6.1f} s"))
        return Group(table, self._detail()) if self._detail else table


def progress_table(rows: list[tuple[str, int, int]], footer: str) -> RenderableType:
    """Bars of what is done of how much."""
    table = Table.grid(padding=(0, 2))
    for words, done, total in rows:
        filled = min(BAR_WIDTH, BAR_WIDTH * done // total) if total else 0
        bar = Text("━" * filled, "cyan") + Text("━" * (BAR_WIDTH - filled), "bright_black")
        table.add_row(Text(f"      {words:<26}"), bar, Text(f"{done:>6,} of {total:,}"))
    return Group(table, Text(f"      {footer}", "dim"))


def ticked(rows: Sequence[tuple[bool, *tuple[str, ...]]], findings: Sequence[str]) -> RenderableType:
    """Rows with a mark for good or bad, and what was found wrong in words."""
    table = Table.grid(padding=(0, 1))
    for good, *words in rows:
        table.add_row(Text("✓", "bold green") if good else Text("✗", "bold red"), *words)
    return Group(table, *(Text(f"    {words}", "red") for words in findings))
