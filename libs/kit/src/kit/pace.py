"""How loops that work in batches keep their pace.

A batch costs nearly the same whatever it holds. A loop that takes what there is at once makes many small ones under
load, and they take the processor from whoever makes the load. One that rests after each small batch, in proportion to
what the batch took, spends a fixed share of its time at most on small ones: they grow with the load by themselves, and
a full one is followed by the next at once.
"""

import asyncio

# Of the time, small batches get at most one part in this many more.
REST_FACTOR = 3
MAX_REST_SECONDS = 0.1


def rest_after(seconds: float) -> float:
    """How many seconds to rest after a small batch that took so long."""
    return min(REST_FACTOR * seconds, MAX_REST_SECONDS)


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until told to stop."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
