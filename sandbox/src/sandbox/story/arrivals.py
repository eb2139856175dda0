"""When assessments arrived in Salesforce, as the org itself shows it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sandbox.story.org_load import OrgConsole

# So much later than it happened it may be seen.
LOOK_SECONDS = 0.05


class Arrivals:
    """`seen` holds when each submission was first seen in the org, on the performance counter's clock."""

    def __init__(self, console: OrgConsole) -> None:
        self.seen: dict[str, float] = {}
        self._console = console

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Look into the org again and again for as long as the block runs. An org that does not answer ends the block
        with the exception."""
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(self._look())
            try:
                yield
            finally:
                looking.cancel()

    async def _look(self) -> None:
        while True:
            found = await self._console.assessments(len(self.seen))
            self.seen |= dict.fromkeys(found, time.perf_counter())
            await asyncio.sleep(LOOK_SECONDS)
