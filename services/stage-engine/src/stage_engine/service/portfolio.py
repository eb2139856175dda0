"""The portfolio of accounts: how many there are of each kind, what is open with them, and which were left alone."""

from collections.abc import Sequence
from dataclasses import dataclass

from kit.database.unit_of_work import UnitOfWork
from kit.http.ownership import Owners
from kit.ids import utc_now

from stage_engine.records.figures import AccountGroup, OpenAmount
from stage_engine.repository.portfolio import PortfolioRepository, PortfolioWanted


@dataclass(frozen=True, slots=True)
class Portfolio:
    """Each group with what is open in it, by currency."""

    groups: Sequence[tuple[AccountGroup, Sequence[OpenAmount]]]


async def portfolio(uow: UnitOfWork, owners: Owners, wanted: PortfolioWanted) -> Portfolio:
    """The accounts of these owners."""
    repository = PortfolioRepository(uow.session, uow.tenant_id)
    amounts: dict[str, list[OpenAmount]] = {}
    for each in await repository.amounts(wanted, owners):
        amounts.setdefault(each.group, []).append(each)
    groups = await repository.groups(wanted, owners, utc_now())
    return Portfolio([(group, amounts.get(group.group, [])) for group in groups])
