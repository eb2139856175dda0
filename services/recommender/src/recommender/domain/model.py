"""Champion 0: a Dirichlet-smoothed table of where opportunities with such evidence durably went, with abstention.

Three nested levels share strength. With counts n of a level, their sum N and the parent's distribution p, a
stage has the probability (n + s p) / (N + s): the parent weighs as much as s cases. Above the widest level is the
uniform distribution over the pipeline's stages. The estimate is read from the finest level with
enough cases.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import lru_cache

from recommender.domain.beta import beta_quantile
from recommender.domain.history import Cell, Total


class Abstention(StrEnum):
    COLD_START = "COLD_START"
    LOW_EVIDENCE = "LOW_EVIDENCE"
    LOW_CONFIDENCE = "LOW_CONFIDENCE"
    NO_SKILL = "NO_SKILL"


class Level(StrEnum):
    """How much of the evidence the estimate used, widest first."""

    STAGE = "stage"
    ASSESSMENT = "assessment"
    BAND = "band"


@dataclass(frozen=True, slots=True)
class Priors:
    """Everything set by hand in the model; part of its version.

    Strengths are in cases. Cold is a pipeline with fewer than `closed_floor` won or lost opportunities and fewer than
    `visits_floor` ended visits with evidence. `tail` is the probability left below the credible bound,
    `skill_deviations` how many standard errors the skill must lie above 0.
    """

    uniform_strength: float = 1.0
    stage_strength: float = 10.0
    assessment_strength: float = 10.0
    support_floor: int = 20
    closed_floor: int = 40
    visits_floor: int = 200
    tail: float = 0.05
    skill_deviations: float = 2.326


CHAMPION_0 = Priors()


@dataclass(slots=True)
class CountTable:
    """Cases by stage, by (stage, assessment) and by cell, of one or more pipelines of one tenant."""

    by_stage: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    by_assessment: dict[tuple[str, str, str], Counter[str]] = field(default_factory=dict)
    by_cell: dict[Cell, Counter[str]] = field(default_factory=dict)

    def add(self, cell: Cell, label: str, cases: int) -> None:
        pipeline, stage, assessment = cell.pipeline_key, cell.stage_key, cell.assessment_key
        self.by_stage.setdefault((pipeline, stage), Counter())[label] += cases
        self.by_assessment.setdefault((pipeline, stage, assessment), Counter())[label] += cases
        self.by_cell.setdefault(cell, Counter())[label] += cases

    def levels(self, cell: Cell, own: Mapping[tuple[Cell, str], int]) -> dict[Level, Counter[str]]:
        """Counts at each level for the cell, widest first, without the opportunity's own cases.

        An opportunity never informs its own recommendation, even when its stage moved before its score arrived.
        """
        pipeline, stage, assessment = cell.pipeline_key, cell.stage_key, cell.assessment_key
        levels = {
            Level.STAGE: Counter(self.by_stage.get((pipeline, stage), {})),
            Level.ASSESSMENT: Counter(self.by_assessment.get((pipeline, stage, assessment), {})),
            Level.BAND: Counter(self.by_cell.get(cell, {})),
        }
        for (known, label), cases in own.items():
            if (known.pipeline_key, known.stage_key) != (pipeline, stage):
                continue
            levels[Level.STAGE][label] -= cases
            if known.assessment_key == assessment:
                levels[Level.ASSESSMENT][label] -= cases
                if known.band == cell.band:
                    levels[Level.BAND][label] -= cases
        return levels


@dataclass(frozen=True, slots=True)
class Estimate:
    """A recommended stage or the reason for none, with what it rests on.

    `counts` are past cases at `level` and `support` their sum; `probabilities` cover every stage of the
    pipeline and sum to 1; `lower_bound` is the credible bound of the most probable stage, `runner_up` the
    probability of the second.
    """

    recommended_stage: str | None
    abstention: Abstention | None
    level: Level
    support: int
    counts: dict[str, int]
    probabilities: dict[str, float]
    lower_bound: float
    runner_up: float


def estimate(
    levels: Mapping[Level, Counter[str]],
    totals: Mapping[Total, int],
    stages: Sequence[str],
    priors: Priors = CHAMPION_0,
) -> Estimate:
    """The stage where opportunities with such evidence ended up, or an abstention.

    `stages` are the pipeline's at present, in rank order: counts of stages it no longer has are left out.
    """
    counts = {level: {stage: levels[level][stage] for stage in stages} for level in Level}
    level = finest(counts, priors.support_floor)
    support = sum(counts[level].values())
    strength = _strength(level, priors)
    probabilities = spread(counts, level, priors)
    ranked = sorted(stages, key=lambda stage: -probabilities[stage])
    top = probabilities[ranked[0]]
    mass = support + strength
    lower_bound = beta_quantile(priors.tail, top * mass, (1.0 - top) * mass) if len(ranked) > 1 else 1.0
    runner_up = probabilities[ranked[1]] if len(ranked) > 1 else 0.0
    abstention = _abstention(totals, support, lower_bound, runner_up, priors)
    return Estimate(
        recommended_stage=None if abstention else ranked[0],
        abstention=abstention,
        level=level,
        support=support,
        counts={stage: cases for stage, cases in counts[level].items() if cases},
        probabilities=probabilities,
        lower_bound=lower_bound,
        runner_up=runner_up,
    )


def smoothed(counts: Mapping[str, int], parent: Mapping[str, float], strength: float) -> dict[str, float]:
    """Posterior mean of a Dirichlet whose prior is the parent's distribution, worth `strength` cases."""
    mass = sum(counts.values()) + strength
    return {stage: (counts[stage] + strength * share) / mass for stage, share in parent.items()}


def is_cold(totals: Mapping[Total, int], priors: Priors = CHAMPION_0) -> bool:
    """Whether the pipeline has too little history to recommend anything at all."""
    closed = min(totals.get(Total.WON, 0), totals.get(Total.LOST, 0))
    return closed < priors.closed_floor and totals.get(Total.ENDED_VISITS, 0) < priors.visits_floor


@lru_cache(maxsize=1_024)
def model_version(pipeline_key: str, pipeline_version: int, priors: Priors = CHAMPION_0) -> str:
    """Names the rules an estimate was made by; the counts, which grow with every opportunity, are not part of it."""
    canonical = json.dumps([pipeline_key, pipeline_version, asdict(priors)], sort_keys=True)
    return f"champion-0.{hashlib.sha256(canonical.encode()).hexdigest()[:12]}"


def count_table(cases: Iterable[tuple[Cell, str, int]]) -> CountTable:
    table = CountTable()
    for cell, label, count in cases:
        table.add(cell, label, count)
    return table


def finest(counts: Mapping[Level, Mapping[str, int]], support_floor: int) -> Level:
    """The finest level with enough cases, or the widest."""
    supported = [level for level in Level if sum(counts[level].values()) >= support_floor]
    return supported[-1] if supported else Level.STAGE


def spread(counts: Mapping[Level, Mapping[str, int]], level: Level, priors: Priors) -> dict[str, float]:
    """The probability of each stage, read from this level."""
    return smoothed(counts[level], _parent(counts, level, priors), _strength(level, priors))


def _parent(counts: Mapping[Level, Mapping[str, int]], level: Level, priors: Priors) -> dict[str, float]:
    stages = counts[Level.STAGE]
    parent = dict.fromkeys(stages, 1.0 / len(stages))
    for wider in Level:
        if wider is level:
            break
        parent = smoothed(counts[wider], parent, _strength(wider, priors))
    return parent


def _strength(level: Level, priors: Priors) -> float:
    """Cases that the distribution above the level is worth in it."""
    return {
        Level.STAGE: priors.uniform_strength,
        Level.ASSESSMENT: priors.stage_strength,
        Level.BAND: priors.assessment_strength,
    }[level]


def _abstention(
    totals: Mapping[Total, int], support: int, lower_bound: float, runner_up: float, priors: Priors
) -> Abstention | None:
    if is_cold(totals, priors):
        return Abstention.COLD_START
    if support < priors.support_floor:
        return Abstention.LOW_EVIDENCE
    if lower_bound <= runner_up:
        return Abstention.LOW_CONFIDENCE
    return None
