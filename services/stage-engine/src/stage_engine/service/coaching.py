"""A person beside the team, and the funnel from activities to wins."""

from collections.abc import Sequence
from dataclasses import replace

from kit.database.unit_of_work import UnitOfWork
from kit.http.ownership import Owners

from stage_engine.domain.figures.catalogue import BY_KEY
from stage_engine.domain.figures.coaching import COACHED, STEPS, Comparison, FunnelRow, compared, funnel_of
from stage_engine.domain.figures.kinds import Group
from stage_engine.errors.figures import PersonNotFound
from stage_engine.repository.figures.counting import CountingRepository
from stage_engine.service.figures import Figures, Question


class Coaching:
    """Of the people whose opportunities are seen. What others of a team did shows as its median only."""

    def __init__(self, uow: UnitOfWork, owners: Owners) -> None:
        self._uow = uow
        self._repository = CountingRepository(uow.session)
        self._owners = owners

    async def of(self, person_id: str, asked: Question) -> list[Comparison]:
        """Each figure of a person beside the median of those who report to the same manager. PersonNotFound for one
        whose opportunities are not seen."""
        self._owners.demand(person_id, PersonNotFound(person_id))
        team = frozenset(await self._repository.colleagues(person_id))
        figures = Figures(self._uow, Owners(team))
        found: list[Comparison] = []
        for key in COACHED:
            counted = await figures.count(key, replace(asked, person=None), Group.PERSON)
            found += compared(BY_KEY[key], counted.rows, person_id)
        return found

    async def funnel(self, asked: Question, period: Group) -> Sequence[FunnelRow]:
        """Activities, meetings, opportunities created and won, by person and period."""
        figures = Figures(self._uow, self._owners)
        counts: dict[str, dict[tuple[str, str], int]] = {}
        for key in STEPS:
            found = await self._repository.of_persons(BY_KEY[key], await figures.ask(BY_KEY[key], asked), period)
            counts[key] = {(each.person, each.period): each.cases for each in found}
        return funnel_of(counts)
