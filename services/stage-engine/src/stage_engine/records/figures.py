"""Totals and measures of many subjects."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class AsideTotal:
    """Records that are in no stage for one reason: those that no pipeline takes, or those that are quarantined."""

    code: str
    records: int


@dataclass(frozen=True, slots=True)
class OwedTotal:
    """What came due in a period under one key, of a person or of all who report to one: `not_in_time` are subjects of
    which it was late or missed, the longest due first."""

    who: str
    period: date
    key: str
    owed: int
    met: int
    late: int
    missed: int
    open: int
    not_in_time: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeadTime:
    """How long it took to meet obligations of one group: `judged` are those whose time is over or that were met,
    `censored` those that are open. Seconds are of those whose time is over,
    None where half, or a tenth, was never met."""

    group: str
    judged: int
    met: int
    in_time: int
    censored: int
    wall_median: int | None
    wall_p90: int | None
    business_median: int | None
    business_p90: int | None


@dataclass(frozen=True, slots=True)
class StageTotal:
    """Opportunities in a stage whose amounts are in one currency, and the sum of these."""

    stage_key: str
    currency: str
    opportunities: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class OwnerTotal:
    """Open opportunities of one owner and currency, and those of them that claim more than they earned."""

    owner_id: str
    currency: str
    open_opportunities: int
    open_amount: Decimal
    ahead_opportunities: int
    ahead_amount: Decimal
    rank_gap: int


@dataclass(frozen=True, slots=True)
class AccountGroup:
    """Accounts of one type, stage or owner. `untouched` are those about which nothing was done that is known."""

    group: str
    accounts: int
    on_hold: int
    stalled: int
    untouched: int
    last_touch_at: datetime | None


@dataclass(frozen=True, slots=True)
class OpenAmount:
    """What is open with the accounts of a group, in one currency; `amount` None where none is known."""

    group: str
    currency: str
    opportunities: int
    amount: Decimal | None
