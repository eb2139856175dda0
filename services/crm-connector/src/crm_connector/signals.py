"""How committed work wakes the loops that carry it out."""

import asyncio


class Signals:
    """One per application. `writes`: there may be a write to send. `attention`: there may be a conflict to look
    at, an import to run, or a pipeline to start with."""

    def __init__(self) -> None:
        self.writes = asyncio.Event()
        self.attention = asyncio.Event()
