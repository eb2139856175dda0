"""Advisory locks of one tenant, held until the transaction ends."""

import hashlib
from collections.abc import Iterable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_EXCLUSIVE = text("SELECT pg_advisory_xact_lock(k) FROM unnest(CAST(:keys AS bigint[])) AS k")
_SHARED = text("SELECT pg_advisory_xact_lock_shared(k) FROM unnest(CAST(:keys AS bigint[])) AS k")


async def lock(session: AsyncSession, tenant_id: str, names: Iterable[str], *, shared: bool = False) -> None:
    """Lock these names, in one order, so that two transactions cannot wait for each other."""
    keys = sorted(_key(tenant_id, name) for name in names)
    await session.execute(_SHARED if shared else _EXCLUSIVE, {"keys": keys})


def _key(tenant_id: str, name: str) -> int:
    digest = hashlib.blake2b(f"{tenant_id}:{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)
