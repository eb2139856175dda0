"""Work that a service has set aside until something else arrives or a person acts: counted and aged in one place, so
that nothing waits unseen."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Table, text

from kit.database.unit_of_work import Database
from kit.observability.telemetry import WAITING_AGE, WAITING_ITEMS

# Counted no further: that so much waits says enough, and a look must not grow with it.
MOST_COUNTED = 10_000


@dataclass(frozen=True)
class Waiting:
    """Rows of a table that wait: those that meet `condition`, each since the time in the column `since`.

    An index by that column serves, so that the oldest are found first. The relay's role counts them for all tenants:
    `let_relay_count` in a migration lets it see these columns.
    """

    what: str
    table: Table
    since: str
    condition: str = "true"


async def measure_waiting(database: Database, service: str, kinds: Sequence[Waiting]) -> None:
    """Set the gauges of every kind of waiting work, of all tenants."""
    async with database.as_relay() as connection:
        for kind in kinds:
            # Table, column and condition come from the code.
            statement = text(
                "SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(since)), 0) FROM ("  # noqa: S608
                f"SELECT {kind.since} AS since FROM {kind.table.name} WHERE {kind.condition} "
                f"ORDER BY {kind.since} LIMIT {MOST_COUNTED}) AS waiting"
            )
            count, age = (await connection.execute(statement)).one()
            show_waiting(service, kind.what, count, float(age))


def show_waiting(service: str, what: str, count: int, age_seconds: float) -> None:
    """Set the gauges of one kind of waiting work."""
    WAITING_ITEMS.labels(service, what).set(count)
    WAITING_AGE.labels(service, what).set(max(0.0, age_seconds))
