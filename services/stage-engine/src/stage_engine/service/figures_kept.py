"""Carries on what figures are counted from, in the transaction of the decisions that change it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kit.database.unit_of_work import UnitOfWork

from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.figures.standings import (
    Evaluation,
    Standing,
    evaluation_of,
    may_differ,
    standings_after,
)
from stage_engine.domain.figures.visits import Kept, Visit, visits_after
from stage_engine.domain.fold import Step
from stage_engine.repository.figures_kept import KeptRepository


@dataclass
class Ledger:
    """What figures are counted from, as decisions change it. `visits` and `standings` hold what was kept before."""

    visits: dict[str, Kept] = field(default_factory=dict)
    standings: dict[str, Standing] = field(default_factory=dict)
    teams: dict[str, str] = field(default_factory=dict)
    changed_visits: dict[tuple[str, int], Visit] = field(default_factory=dict)
    changed_standings: dict[tuple[str, int], Standing] = field(default_factory=dict)
    evaluations: list[Evaluation] = field(default_factory=list)

    def follow(self, step: Step, rules: Ruleset) -> None:
        """One more decision."""
        after = step.decision.opportunity
        if after is None:
            return
        id_, team_id = after.opportunity_id, self.teams.get(after.owner_id, "")
        if step.decision.transition is not None:
            before = self.visits.get(id_, {})
            found = self.visits[id_] = visits_after(before, step, rules, team_id)
            changed = {(id_, number): each for number, each in found.items() if before.get(number) != each}
            self.changed_visits.update(changed)
        if may_differ(step.before, after, rules.pipeline):
            self._place(step, rules, team_id)
        # Before the input came, it was perhaps another person's.
        owner_id = after.owner_id if step.before is None else step.before.owner_id
        evaluation = evaluation_of(step, rules, self.teams.get(owner_id, ""))
        if evaluation is not None:
            self.evaluations.append(evaluation)

    def _place(self, step: Step, rules: Ruleset, team_id: str) -> None:
        assert step.decision.opportunity is not None
        id_ = step.decision.opportunity.opportunity_id
        kept = self.standings.get(id_)
        ended, lasts = standings_after(kept, step, rules.pipeline, team_id)
        if ended is not None:
            self.changed_standings[id_, ended.decision_no] = ended
        if lasts is None:
            self.standings.pop(id_, None)
        elif lasts is not kept:
            self.standings[id_] = self.changed_standings[id_, lasts.decision_no] = lasts


class FiguresKept:
    """Those of one transaction's decisions."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._repository = KeptRepository(uow.session, uow.tenant_id)
        self._teams: dict[str, str] = {}

    def note_teams(self, teams: Mapping[str, str]) -> None:
        """To whom owners report, as it is known already."""
        self._teams.update(teams)

    async def follow(self, steps: Sequence[tuple[Step, Ruleset]]) -> None:
        """Write what these decisions change. What was deferred before is written: it may be about the same."""
        if not steps:
            return
        ledger = Ledger()
        moved = {_id(step) for step, _ in steps if step.decision.transition is not None}
        anew = {_id(step) for step, rules in steps if _may_differ(step, rules)}
        if moved:
            for visit in await self._repository.visits(moved):
                ledger.visits[visit.opportunity_id] = {
                    **ledger.visits.get(visit.opportunity_id, {}),
                    visit.revision: visit,
                }
        if anew:
            ledger.standings = {each.opportunity_id: each for each in await self._repository.standings(anew)}
        unknown = _owners(steps) - self._teams.keys()
        if unknown:
            self.note_teams(dict.fromkeys(unknown, "") | await self._repository.teams(unknown))
        ledger.teams = self._teams
        for step, rules in steps:
            ledger.follow(step, rules)
        self._repository.keep(
            list(ledger.changed_visits.values()), list(ledger.changed_standings.values()), ledger.evaluations
        )


def _id(step: Step) -> str:
    assert step.decision.opportunity is not None
    return step.decision.opportunity.opportunity_id


def _may_differ(step: Step, rules: Ruleset) -> bool:
    after = step.decision.opportunity
    return after is not None and may_differ(step.before, after, rules.pipeline)


def _owners(steps: Sequence[tuple[Step, Ruleset]]) -> set[str]:
    found = {
        each.owner_id for step, _ in steps for each in (step.before, step.decision.opportunity) if each is not None
    }
    return found - {""}
