"""The tenants whose opportunities were decided on lately, so that checks in the background know where to look."""

import random
from collections import OrderedDict

_LIMIT = 1000


class Tenants:
    """The newest thousand."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()

    def add(self, tenant_id: str) -> None:
        """This tenant had a decision just now."""
        self._ids[tenant_id] = None
        self._ids.move_to_end(tenant_id)
        if len(self._ids) > _LIMIT:
            self._ids.popitem(last=False)

    def any(self) -> str | None:
        """One of them, at random."""
        return random.choice(list(self._ids)) if self._ids else None  # noqa: S311
