"""When assessments arrived in Salesforce, as the org itself shows it."""

from __future__ import annotations

import asyncio
import time

from sandbox.story.org_load import OrgConsole

# How late an arrival may be noticed.
LOOK_SECONDS = 0.05


class Arrivals:
    """`seen` holds when each submission was first seen in the org, on the performance counter's clock."""

    def __init__(self, console: OrgConsole) -> None:
        self.seen: dict[str, float] = {}
        self._console = console

    async def follow(self) -> None:
        """Read the org again and again until cancelled. Raises httpx.HTTPError when it does not answer."""
        while True:
            found = await self._console.assessments(len(self.seen))
            self.seen |= dict.fromkeys(found, time.perf_counter())
            await asyncio.sleep(LOOK_SECONDS)
