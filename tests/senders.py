"""Runs the connector's sender against a CRM of a test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from crm_connector.sender import Sender
from crm_connector.signals import Signals


@asynccontextmanager
async def sending(service: Any, tenant: str, crm: Any) -> AsyncIterator[None]:
    """A sender until the end of the block, then stopped as at a shutdown."""
    stop = asyncio.Event()
    task = asyncio.create_task(Sender(service.database, tenant, crm, Signals(), 0.05).run(stop))
    try:
        yield
    finally:
        stop.set()
        await task
