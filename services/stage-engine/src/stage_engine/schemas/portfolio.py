"""The portfolio of accounts."""

from datetime import datetime

from kit.contracts.wire import PlainDecimal
from pydantic import BaseModel, ConfigDict, Field


class OpenAmountOut(BaseModel):
    """What is open with the accounts of a group, in one currency."""

    model_config = ConfigDict(from_attributes=True)

    currency: str = Field(description="empty in an org of one currency", examples=["EUR"])
    opportunities: int
    amount: PlainDecimal | None = Field(description="of those whose amount is known; null without any")


class AccountGroupOut(BaseModel):
    """Accounts of one type, stage or owner. Opportunities count where the CRM says their account, and only those that
    the caller sees."""

    group: str = Field(description="the type, stage or owner; empty where it is not known", examples=["Customer"])
    accounts: int
    on_hold: int
    stalled: int
    untouched: int = Field(description="nothing that was done about them is known")
    last_touch_at: datetime | None = Field(description="when something was last done about any of them")
    open_amounts: list[OpenAmountOut]


class PortfolioOut(BaseModel):
    """All groups, the greatest first; of more than 1,000 the greatest."""

    by: str
    groups: list[AccountGroupOut]
