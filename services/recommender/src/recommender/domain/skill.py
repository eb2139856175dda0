"""Whether evidence tells anything: a model answers only where it has shown that it knows more than the base rate."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import sqrt

from recommender.domain.history import Cell, Total
from recommender.domain.model import (
    CHAMPION_0,
    Abstention,
    CountTable,
    Estimate,
    Level,
    Priors,
    estimate,
    finest,
    smoothed,
    spread,
)


class Model:
    """Counts of past cases, and how well they would have foretold each of those cases."""

    def __init__(self, table: CountTable, priors: Priors = CHAMPION_0) -> None:
        self.table = table
        self._priors = priors
        self._bounds: dict[tuple[str, str, str], float] = {}

    def answer(
        self,
        cell: Cell,
        totals: Mapping[Total, int],
        stages: Sequence[str],
        own: Mapping[tuple[Cell, str], int] | None = None,
    ) -> Estimate:
        """The estimate for a cell, without the opportunity's `own` cases. NO_SKILL where it would only repeat the base
        rate, or where past answers for this assessment were no better than that."""
        found = estimate(self.table.levels(cell, own or {}), totals, stages, self._priors)
        if found.abstention is None and (found.level is Level.STAGE or self.skill_bound(cell, stages) <= 0):
            return replace(found, recommended_stage=None, abstention=Abstention.NO_SKILL)
        return found

    def skill_bound(self, cell: Cell, stages: Sequence[str]) -> float:
        """The lower confidence bound of the skill in the cell's stage and assessment: by how much the Brier score is
        better than that of the stage's base rate, each case foretold without itself."""
        place = cell.pipeline_key, cell.stage_key, cell.assessment_key
        if place not in self._bounds:
            self._bounds[place] = self._skill_bound(place, stages)
        return self._bounds[place]

    def _skill_bound(self, place: tuple[str, str, str], stages: Sequence[str]) -> float:
        gains = list(self._gains(place, stages))
        cases = sum(count for count, _ in gains)
        if cases < 2:
            return 0.0
        mean = sum(count * gain for count, gain in gains) / cases
        variance = sum(count * (gain - mean) ** 2 for count, gain in gains) / (cases - 1)
        return mean - self._priors.skill_deviations * sqrt(variance / cases)

    def _gains(self, place: tuple[str, str, str], stages: Sequence[str]) -> Iterator[tuple[int, float]]:
        """For each cell and outcome how many cases there are, and what knowing the cell gains on one of them."""
        for cell, outcomes in self.table.by_cell.items():
            if (cell.pipeline_key, cell.stage_key, cell.assessment_key) != place:
                continue
            for label, cases in outcomes.items():
                if cases <= 0 or label not in stages:
                    continue
                levels = self.table.levels(cell, {(cell, label): 1})
                counts = {level: {stage: levels[level][stage] for stage in stages} for level in Level}
                uniform = dict.fromkeys(stages, 1.0 / len(stages))
                blind = smoothed(counts[Level.STAGE], uniform, self._priors.uniform_strength)
                informed = spread(counts, finest(counts, self._priors.support_floor), self._priors)
                yield cases, brier(blind, label) - brier(informed, label)


def brier(probabilities: Mapping[str, float], outcome: str) -> float:
    """The squared error of a forecast over all stages; smaller is better."""
    return sum((share - (stage == outcome)) ** 2 for stage, share in probabilities.items())
