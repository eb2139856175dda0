"""Fair use of a service's time, which all tenants share.

A request that has the event loop for long makes all others wait, and one tenant's may follow each other without pause.
So while others are at work too, a tenant has a PART of the time, or LEAD times what the busiest of the others takes if
that is more: tenants that are equally busy do not slow each other. What it leaves it may use later, up to a RESERVE.
Past that its requests wait until it is paid for, and a wait of more than LONGEST_SECONDS is refused with 429. A tenant
that is alone never waits.
"""

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from heapq import nlargest
from typing import Any, TypeVar

from kit.http.problems import TooManyRequestsProblem
from kit.offload import Timed, worked

T = TypeVar("T")

# Seconds in each second, and seconds in all.
PART = 0.05
LEAD = 1.5
RESERVE = 1.0
LONGEST_SECONDS = 3.0
# Also the longest requests are paid for within half a minute.
MOST_OWED = 30 * PART
# A tenant is at work for so long after its last request; its rate is averaged over about that time.
ACTIVE_SECONDS = 5.0
LOOK_SECONDS = 0.25
# How much the newest request counts for what the next one will take.
_NEWEST = 0.2


@dataclass
class _Use:
    """One tenant's use. `rate` is what it took of each second lately, `reserve` is negative while its requests wait,
    `expected` is what its next request will take."""

    seen: float
    at: float
    rate: float = 0.0
    reserve: float = RESERVE
    expected: float = 0.0

    def rate_at(self, now: float) -> float:
        return self.rate * math.exp((self.at - now) / ACTIVE_SECONDS)

    def owes(self, now: float) -> bool:
        return self.reserve + PART * (now - self.at) < RESERVE


class FairUse:
    """Gives each tenant's requests their turn, by how long each has the event loop and the processes for long work."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._uses: dict[str, _Use] = {}
        # The rates of the two busiest tenants at work, when that was last looked at.
        self._busiest: list[tuple[float, str]] = []
        self._looked_at = float("-inf")

    async def run(self, tenant_id: str, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of the work, in the tenant's turn. TooManyRequestsProblem where that is too far away."""
        wait, expected = self.enter(tenant_id)
        timed: Timed[T] | None = None
        try:
            await self._sleep(tenant_id, wait)
            timed = Timed(work())
            worked.set(timed.add)
            return await timed
        finally:
            self.leave(tenant_id, timed.seconds if timed else 0.0, expected)

    async def _sleep(self, tenant_id: str, seconds: float) -> None:
        until = self._clock() + seconds
        # The others may come to rest meanwhile.
        while (left := until - self._clock()) > 0 and self._allowed(tenant_id) is not None:  # noqa: ASYNC110
            await asyncio.sleep(min(left, LOOK_SECONDS))

    def enter(self, tenant_id: str) -> tuple[float, float]:
        """How many seconds the tenant's next request waits, and what was taken from the reserve for it."""
        now = self._clock()
        use = self._uses.setdefault(tenant_id, _Use(now, now))
        use.seen = now
        allowed = self._allowed(tenant_id)
        if allowed is None:
            use.reserve = RESERVE
            return 0.0, 0.0
        self._refill(use, allowed)
        wait = max(0.0, -use.reserve) / allowed
        if wait > LONGEST_SECONDS:
            seconds = math.ceil(wait)
            detail = f"Requests of this tenant take more than its part of the time. Try again in {seconds} seconds."
            raise TooManyRequestsProblem(detail, headers={"Retry-After": str(seconds)})
        use.reserve -= use.expected
        return wait, use.expected

    def leave(self, tenant_id: str, seconds: float, taken: float) -> None:
        """A request had the event loop for so long; so much was taken from the reserve for it."""
        now = self._clock()
        use = self._uses.setdefault(tenant_id, _Use(now, now))
        self._refill(use, self._allowed(tenant_id) or 1.0)
        use.rate += seconds / ACTIVE_SECONDS
        use.reserve = max(use.reserve - seconds + taken, -MOST_OWED)
        use.expected += _NEWEST * (seconds - use.expected)

    def note(self, tenant_id: str, seconds: float) -> None:
        """Something else than a request of the tenant had the event loop for so long, such as its events. Its requests
        do not pay for that, but those of others know that it is at work."""
        now = self._clock()
        use = self._uses.setdefault(tenant_id, _Use(now, now))
        use.seen = now
        self._refill(use, self._allowed(tenant_id) or 1.0)
        use.rate += seconds / ACTIVE_SECONDS

    def _refill(self, use: _Use, allowed: float) -> None:
        now = self._clock()
        use.rate = use.rate_at(now)
        use.reserve = min(RESERVE, use.reserve + allowed * (now - use.at))
        use.at = now

    def _allowed(self, tenant_id: str) -> float | None:
        """The tenant's part of each second; None while it is alone."""
        now = self._clock()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            at_work = {each for each, use in self._uses.items() if now - use.seen < ACTIVE_SECONDS}
            # Who owes time is not forgotten for being away.
            self._uses = {each: use for each, use in self._uses.items() if each in at_work or use.owes(now)}
            self._busiest = nlargest(2, ((self._uses[each].rate_at(now), each) for each in at_work))
        others = [rate for rate, each in self._busiest if each != tenant_id]
        return max(PART, LEAD * others[0]) if others else None
