"""A lead that ends by itself: a row with a term, which its holder renews. Another takes over once the term is past, or
at once when the holder's session has ended, as it does when a process is killed.

A lock of a session would be held by a host that died without a word until the database noticed, which takes hours. The
database's clock alone says when a term is past. The holder counts from before it asked, by a clock that never jumps, so
it always gives up before another can take over.
"""

import time
from collections.abc import Callable
from uuid import uuid4

import asyncpg

# Another takes over within this time after the holder fell silent.
TERM_SECONDS = 15.0
# A holder acts only while so much of its term is left: longer than anything that it does may take to reach its goal.
MARGIN_SECONDS = 8.0
_RENEW_BELOW_SECONDS = 12.0
_REPLY_SECONDS = 5.0
_HOLD = """
    WITH renewed AS (
        UPDATE lease
        SET holder = $3, backend = pg_backend_pid(), expires_at = clock_timestamp() + make_interval(secs => $4)
        WHERE tenant_id = $1 AND name = $2 AND (
            holder = $3
            OR expires_at <= clock_timestamp()
            OR NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = backend)
        )
        RETURNING name
    ), made AS (
        INSERT INTO lease (tenant_id, name, holder, backend, expires_at)
        SELECT $1, $2, $3, pg_backend_pid(), clock_timestamp() + make_interval(secs => $4)
        WHERE NOT EXISTS (SELECT FROM lease WHERE tenant_id = $1 AND name = $2)
        ON CONFLICT DO NOTHING
        RETURNING name
    )
    SELECT EXISTS (SELECT FROM renewed) OR EXISTS (SELECT FROM made)
"""
_GIVE_BACK = """
    UPDATE lease SET expires_at = clock_timestamp() WHERE tenant_id = $1 AND name = $2 AND holder = $3
"""


class LeaseLost(Exception):
    """Another instance may lead by now: whatever was under way is left to it."""


class Lease:
    """One instance's claim to a lead of a tenant, or of the service where the tenant is `-`. Its statements run in the
    relay's role."""

    def __init__(self, name: str, tenant_id: str = "-", clock: Callable[[], float] = time.monotonic) -> None:
        self.tenant_id = tenant_id
        self.name = name
        self.holder = uuid4().hex
        self._clock = clock
        self._until = float("-inf")

    @property
    def valid(self) -> bool:
        """Whether it is held, with enough of the term left to act."""
        return self._left > MARGIN_SECONDS

    @property
    def unexpired(self) -> bool:
        """Whether no other instance can hold it at this moment."""
        return self._left > 0

    @property
    def _left(self) -> float:
        return self._until - self._clock()

    async def hold(self, connection: asyncpg.Connection) -> bool:
        """Take it or renew it where little is left; False while another instance holds it. Asks the database once in a
        few seconds only."""
        if self._left > _RENEW_BELOW_SECONDS:
            return True
        asked_at = self._clock()
        held = await connection.fetchval(_HOLD, *self.key, TERM_SECONDS, timeout=_REPLY_SECONDS)
        self._until = asked_at + TERM_SECONDS if held else float("-inf")
        return self.valid

    async def give_back(self, connection: asyncpg.Connection) -> None:
        """Let another instance lead at once."""
        if self._left > 0:
            self._until = float("-inf")
            await connection.execute(_GIVE_BACK, *self.key, timeout=_REPLY_SECONDS)

    def forget(self) -> None:
        """Ask the database before acting again."""
        self._until = float("-inf")

    @property
    def key(self) -> tuple[str, str, str]:
        """Tenant, name and holder: what `HELD` compares, as the last three parameters of a statement."""
        return self.tenant_id, self.name, self.holder


def held(first: int) -> str:
    """The condition that the lease is held at this moment, for a statement whose parameters from `first` on are a
    lease's key."""
    return (
        f"EXISTS (SELECT FROM lease WHERE lease.tenant_id = ${first} AND lease.name = ${first + 1}"
        f" AND lease.holder = ${first + 2} AND lease.expires_at > clock_timestamp())"
    )
