"""The org's clock, which can be moved forward to make retention and sessions run out."""

from datetime import UTC, datetime, timedelta


class Clock:
    """Wall time plus an offset."""

    def __init__(self, offset: timedelta = timedelta()) -> None:
        self.offset = offset

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def advance(self, by: timedelta) -> None:
        self.offset += by


def wire_time(moment: datetime) -> str:
    """Words a moment as the REST API does; the org keeps whole seconds, so texts sort as moments."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def parse_time(text: str) -> datetime:
    """Reads any datetime literal the API accepts. Raises ValueError, also if the zone is missing."""
    moment = datetime.fromisoformat(text.replace(" ", "+"))
    if moment.tzinfo is None or "T" not in text:
        raise ValueError(text)
    return moment.astimezone(UTC)


def epoch_ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
