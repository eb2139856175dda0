"""Times as the API takes them."""

from datetime import UTC, datetime
from typing import Annotated

from kit.http.texts import Instant
from pydantic import AfterValidator

_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


def _storable(moment: datetime) -> datetime:
    if not _FIRST <= moment <= _LAST:
        raise ValueError("the time must lie between 1970 and 9000")
    return moment.astimezone(UTC)


# An aware time, taken over in UTC; nothing that arithmetic on it could push out of the calendar.
Moment = Annotated[Instant, AfterValidator(_storable)]
