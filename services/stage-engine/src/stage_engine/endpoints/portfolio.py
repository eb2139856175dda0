"""The portfolio of accounts, over HTTP."""

from dataclasses import asdict
from typing import Annotated

from fastapi import Query
from kit.http.auth import Caller, requires
from kit.http.ownership import Owners
from kit.http.web import Uow, router

from stage_engine.repository.portfolio import By, PortfolioWanted
from stage_engine.schemas import portfolio as schemas
from stage_engine.service.portfolio import portfolio

router = router("accounts")


@router.get("/accounts/portfolio", dependencies=[requires("opportunities:read")])
async def get_portfolio(
    uow: Uow,
    caller: Caller,
    by: Annotated[By, Query(description="what the accounts are counted by")] = "type",
    type: Annotated[str | None, Query(max_length=255, description="accounts of this type only")] = None,
    stage: Annotated[str | None, Query(max_length=64, description="in this stage only")] = None,
    owner_id: Annotated[str | None, Query(max_length=64, description="of this person only")] = None,
) -> schemas.PortfolioOut:
    """Accounts by type, stage or owner: how many, what is open with them, when they were last touched, and how many are
    on hold or stalled. A rep sees their own, a manager the team."""
    found = await portfolio(uow, Owners.seen_by(caller), PortfolioWanted(by, type, stage, owner_id))
    groups = [
        schemas.AccountGroupOut(
            **asdict(group),
            open_amounts=[schemas.OpenAmountOut.model_validate(each) for each in amounts],
        )
        for group, amounts in found.groups
    ]
    return schemas.PortfolioOut(by=by, groups=groups)
