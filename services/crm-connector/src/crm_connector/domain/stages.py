"""Which stage of ours is which stage of the CRM.

A mapping is one to one within a pipeline: the expected stage of a write has to name exactly one stage of the CRM.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from crm_connector.domain.writes import Ending


class Category(StrEnum):
    """What being in a stage means for the outcome."""

    OPEN = "open"
    WON = "won"
    LOST = "lost"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class PipelineStage:
    """A stage of ours as its pipeline publishes it."""

    key: str
    name: str
    category: Category


@dataclass(frozen=True, slots=True)
class CrmStage:
    """A stage the CRM knows. `name` is the value records hold, `label` what people read. `is_closed` and `is_won` are
    None where the CRM does not say."""

    name: str
    label: str
    sort_order: int
    is_active: bool
    is_closed: bool | None
    is_won: bool | None
    object_type: str = "opportunity"


@dataclass(frozen=True, slots=True)
class MappedStage:
    """What the CRM's stage is in a version of a pipeline; empty when it is not mapped."""

    pipeline_key: str
    version: int
    stage_key: str


@dataclass(frozen=True, slots=True)
class MappingFault:
    """Why a pair of a mapping is refused. Codes: `stage_unknown`, `crm_stage_unknown`, `crm_stage_inactive`,
    `crm_stage_taken`, `category_disagrees`."""

    stage_key: str
    code: str
    detail: str


@dataclass(frozen=True)
class StageMap:
    """The pairs in force for one pipeline, readable from both sides."""

    crm_by_key: Mapping[str, str]

    def crm_stage(self, stage_key: str) -> str | None:
        """The CRM's stage for ours; None when it is not mapped."""
        return self.crm_by_key.get(stage_key)

    def stage_key(self, crm_stage: str) -> str:
        """Our stage for the CRM's; empty when it is not mapped."""
        return self._key_by_crm.get(crm_stage, "")

    @cached_property
    def _key_by_crm(self) -> dict[str, str]:
        return {crm: key for key, crm in self.crm_by_key.items()}


def agrees(category: Category, stage: CrmStage) -> bool:
    """Whether the CRM counts the stage as our category does: open is not closed, won is closed and won."""
    if stage.is_closed is None:
        return True
    closed = category is not Category.OPEN
    return stage.is_closed == closed and stage.is_won == (category is Category.WON)


def default_pairs(stages: Sequence[PipelineStage], catalog: Sequence[CrmStage]) -> dict[str, str]:
    """Pairs by equal API name or else label, as far as the categories agree. Without a catalog each stage is paired
    with its own name."""
    if not catalog:
        return {stage.key: stage.name for stage in stages}
    active = [stage for stage in catalog if stage.is_active]
    by_name = {stage.label.casefold(): stage for stage in active} | {stage.name.casefold(): stage for stage in active}
    pairs: dict[str, str] = {}
    for stage in stages:
        found = by_name.get(stage.name.casefold())
        if found is not None and agrees(stage.category, found) and found.name not in pairs.values():
            pairs[stage.key] = found.name
    return pairs


def completed(
    pairs: Mapping[str, str],
    stages: Sequence[PipelineStage],
    catalog: Sequence[CrmStage],
    left_out: Collection[str] = (),
) -> dict[str, str]:
    """The pairs of these stages as they are, and those by equal name for the others, but for the ones a person left
    out. A label that is changed in the CRM later changes no pair."""
    theirs = {stage.name: stage for stage in catalog}
    kept = {
        stage.key: name
        for stage in stages
        if (name := pairs.get(stage.key)) and (name not in theirs or agrees(stage.category, theirs[name]))
    }
    missing = [stage for stage in stages if stage.key not in kept and stage.key not in left_out]
    free = [stage for stage in catalog if stage.name not in kept.values()]
    return kept | (default_pairs(missing, free) if free else {})


def faults(
    pairs: Mapping[str, str], stages: Sequence[PipelineStage], catalog: Sequence[CrmStage]
) -> list[MappingFault]:
    """Everything wrong with the pairs, in their order; empty when they may be used."""
    ours = {stage.key: stage for stage in stages}
    theirs = {stage.name: stage for stage in catalog}
    taken: dict[str, str] = {}
    found: list[MappingFault] = []
    for key, name in pairs.items():
        stage, crm = ours.get(key), theirs.get(name)
        if stage is None:
            found.append(MappingFault(key, "stage_unknown", f"The pipeline has no stage {key!r}."))
        elif name in taken:
            detail = f"The CRM's stage {name!r} is already mapped to {taken[name]!r}."
            found.append(MappingFault(key, "crm_stage_taken", detail))
        elif catalog and crm is None:
            found.append(MappingFault(key, "crm_stage_unknown", f"The CRM has no stage {name!r}."))
        elif crm is not None and not crm.is_active:
            found.append(MappingFault(key, "crm_stage_inactive", f"The stage {name!r} is inactive in the CRM."))
        elif crm is not None and not agrees(stage.category, crm):
            detail = (
                f"The stage {key!r} is {stage.category}, but the CRM has {name!r} with IsClosed={crm.is_closed}"
                f" and IsWon={crm.is_won}."
            )
            found.append(MappingFault(key, "category_disagrees", detail))
        taken.setdefault(name, key)
    return found


def lacking(
    pairs: Mapping[str, str], stages: Sequence[PipelineStage], catalog: Sequence[CrmStage]
) -> list[MappingFault]:
    """Why stages of ours have no counterpart in the CRM, in their order; nothing while the CRM has shown no stages.
    Codes: `crm_stage_missing`, `crm_stage_inactive`, `category_disagrees`, `crm_stage_taken`."""
    if not catalog:
        return []
    by_name = {each.label.casefold(): each for each in catalog} | {each.name.casefold(): each for each in catalog}
    found: list[MappingFault] = []
    for stage in stages:
        crm = by_name.get(stage.name.casefold())
        if stage.key in pairs:
            continue
        if crm is None:
            code, why = "crm_stage_missing", "has none of this name"
        elif not crm.is_active:
            code, why = "crm_stage_inactive", "has it, but it is inactive"
        elif not agrees(stage.category, crm):
            code, why = "category_disagrees", f"has it with IsClosed={crm.is_closed} and IsWon={crm.is_won}"
        else:
            code, why = "crm_stage_taken", "has it, but another stage is mapped to it, or it was left out by hand"
        detail = f"The stage {stage.name!r} ({stage.key}, {stage.category}) has no counterpart: the CRM {why}."
        found.append(MappingFault(stage.key, code, f"{detail} Add it there, or map {stage.key} by hand."))
    return found


def health(stages: Sequence[PipelineStage], stage_key: str, earned: str) -> str:
    """How the stage that an opportunity is in compares with the one that its evidence supports, in words for a manager;
    empty where they cannot be compared."""
    places = {stage.key: place for place, stage in enumerate(stages) if stage.category is Category.OPEN}
    if stage_key not in places or earned not in places:
        return ""
    ahead = places[stage_key] - places[earned]
    if ahead == 0:
        return "Supported by evidence"
    return "Ahead of its evidence" if ahead > 0 else "Behind its evidence"


def is_lost(stages: Sequence[PipelineStage], stage_key: str) -> bool:
    """Whether an opportunity in this stage came to nothing, which has a reason."""
    return any(stage.key == stage_key and stage.category in (Category.LOST, Category.ABANDONED) for stage in stages)


def ending(stages: Sequence[PipelineStage], target: str, before: str, reason: str) -> Ending | None:
    """What a move says about the end of an opportunity: how and why it ended, nothing when it is opened again; None
    when it was open and stays so."""
    categories = {stage.key: stage.category for stage in stages}
    category = categories.get(target, Category.OPEN)
    if category is not Category.OPEN:
        return Ending(category, reason)
    return Ending() if categories.get(before, Category.OPEN) is not Category.OPEN else None
