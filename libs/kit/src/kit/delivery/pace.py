"""How loops that work in batches keep their pace.

A batch costs nearly the same whatever it holds. A loop that takes what there is at once makes many small ones under
load, which take the processor from its callers. One that rests after each small batch, in proportion to
what the batch took, spends a fixed share of its time at most on small ones: they grow with the load by themselves, and
a full one is followed by the next at once. What comes alone, to a loop at rest, is taken without delay.
"""

import asyncio
from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """After a small batch, rest `factor` times as long as it took, within these bounds in seconds."""

    factor: float
    least: float
    most: float

    def rest_after(self, seconds: float) -> float:
        """How many seconds to rest after a small batch that took so long."""
        return max(self.least, min(self.factor * seconds, self.most))


# Where a caller waits for the answer; at the end of the pipeline; between them, where batches are small and cheap; and
# where what is learned is looked at later.
REQUESTS = Pace(1, 0.004, 0.008)
PROMPT = Pace(1, 0.01, 0.025)
RELAY = Pace(1, 0.006, 0.016)
PATIENT = Pace(6, 0.1, 0.25)


def backoff(failures: int, first: float, most: float) -> float:
    """How many seconds to wait after so many failures in a row: `first` after one, twice as long after each further
    one, and never longer than `most`."""
    # Beyond this many doublings it is `most` in any case, and further on the power would be no number any more.
    return min(first * 2.0 ** min(max(failures - 1, 0), 64), most)


async def pause(until: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until the event, which mostly is the wish to stop."""
    try:
        await asyncio.wait_for(until.wait(), seconds)
    except TimeoutError:
        return
