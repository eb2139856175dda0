"""How opportunities get from one version of a pipeline to another: a plan gives every stage a place in the new one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from stage_engine.domain.pipeline import Pipeline


class OverridePolicy(StrEnum):
    """What becomes of overrides."""

    KEEP = "keep"
    END = "end"


class ProposalPolicy(StrEnum):
    """What becomes of stages that are earned and wait for a person to confirm them, and of what rules propose."""

    KEEP = "keep"
    WITHDRAW = "withdraw"


class ApprovalPolicy(StrEnum):
    """What becomes of moves that wait for approval."""

    KEEP = "keep"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Plan:
    """Where opportunities go by the stage they are in, several stages into one if need be. A stage that is not named
    keeps its key."""

    stages: Mapping[str, str]
    overrides: OverridePolicy = OverridePolicy.KEEP
    proposals: ProposalPolicy = ProposalPolicy.KEEP
    approvals: ApprovalPolicy = ApprovalPolicy.KEEP

    def target(self, stage_key: str) -> str:
        """The stage of the new version for this one."""
        return self.stages.get(stage_key, stage_key)

    def completed(self, used: Iterable[str]) -> "Plan":
        """The plan with every stage that is in use named."""
        return replace(self, stages={key: key for key in used} | dict(self.stages))

    @property
    def is_injective(self) -> bool:
        """Whether no two stages go into one, so that the way back is known."""
        return len(set(self.stages.values())) == len(self.stages)

    def inverse(self) -> "Plan":
        """The way back. ValueError where two stages went into one."""
        if not self.is_injective:
            raise ValueError("two stages went into one")
        return Plan({target: source for source, target in self.stages.items()})

    def renamed(self) -> tuple[tuple[str, str], ...]:
        """The stages that have another key afterwards, by key."""
        return tuple(sorted((source, target) for source, target in self.stages.items() if source != target))


@dataclass(frozen=True, slots=True)
class Held:
    """How many live opportunities of a version are in a stage, by the stage that they have earned."""

    version: int
    stage_key: str
    earned_stage: str
    opportunities: int


@dataclass(frozen=True, slots=True)
class Orphans:
    """Live opportunities whose stage the plan leads nowhere. Codes: `no_target` the new version has no such stage,
    `target_closed` a migration closes nothing. `earned` says that they have earned the stage and are in another."""

    version: int
    stage_key: str
    opportunities: int
    code: str
    earned: bool


def has_place(plan: Plan, pipeline: Pipeline, stage_key: str, earned_stage: str) -> bool:
    """Whether an opportunity with these stages can go to this version."""
    return (not stage_key or pipeline.is_open(plan.target(stage_key))) and plan.target(earned_stage) in pipeline


def orphans(plan: Plan, held: Iterable[Held], pipeline: Pipeline) -> list[Orphans]:
    """What the plan has no place for in this version, by version and stage; nothing when it is total."""
    counts: dict[tuple[int, str, str, bool], int] = {}
    for each in held:
        target = plan.target(each.stage_key)
        if each.stage_key and not pipeline.is_open(target):
            code = "target_closed" if target in pipeline else "no_target"
            place = each.version, each.stage_key, code, False
        elif plan.target(each.earned_stage) not in pipeline:
            place = each.version, each.earned_stage, "no_target", True
        else:
            continue
        counts[place] = counts.get(place, 0) + each.opportunities
    return [
        Orphans(version, stage_key, count, code, earned)
        for (version, stage_key, code, earned), count in sorted(counts.items())
    ]


def used_stages(held: Iterable[Held]) -> set[str]:
    """The stages that live opportunities are in or have earned."""
    return {key for each in held for key in (each.stage_key, each.earned_stage) if key}
