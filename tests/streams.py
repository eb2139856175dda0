"""The connector's stream of changes, as tests of its adapter read it."""

import asyncio
from contextlib import aclosing
from typing import Any

from crm_connector.crm import ChangeBatch
from testing.service import WAIT_SECONDS


async def change_of(crm: Any, org: Any, edit: dict[str, Any]) -> ChangeBatch:
    """The batch that says something of an edit in the org, on a stream that was open before."""
    async with asyncio.timeout(WAIT_SECONDS), aclosing(crm.changes(None)) as stream:
        # A first sign of life: from here on the stream misses nothing.
        await anext(stream)
        await asyncio.to_thread(org.sim, "edit", edit)
        async for batch in stream:
            if batch.changes or batch.related or batch.unread:
                return batch
    raise AssertionError("the stream ended")
