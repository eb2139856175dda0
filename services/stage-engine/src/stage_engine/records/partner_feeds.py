"""Topics of partners."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class FeedRecord:
    """A partner's topic."""

    partner_key: str
    topic: str
    created_at: datetime
    created_by: str
