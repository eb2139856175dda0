"""Which stage of ours is which stage of the CRM.

A mapping is one to one within a pipeline: the expected stage of a write has to name exactly one stage of the CRM.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


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
    """A stage the CRM knows. `name` is the value records hold, `label` what people read."""

    name: str
    label: str
    sort_order: int
    is_active: bool
    is_closed: bool
    is_won: bool


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

    @property
    def _key_by_crm(self) -> dict[str, str]:
        return {crm: key for key, crm in self.crm_by_key.items()}


def agrees(category: Category, stage: CrmStage) -> bool:
    """Whether the CRM counts the stage as our category does: open is not closed, won is closed and won."""
    closed = category is not Category.OPEN
    return stage.is_closed == closed and stage.is_won == (category is Category.WON)


def default_pairs(stages: Sequence[PipelineStage], catalog: Sequence[CrmStage]) -> dict[str, str]:
    """Pairs by equal name, as far as the categories agree. Without a catalog each stage is paired with its own name."""
    if not catalog:
        return {stage.key: stage.name for stage in stages}
    by_label = {stage.label.casefold(): stage for stage in catalog if stage.is_active}
    pairs: dict[str, str] = {}
    for stage in stages:
        found = by_label.get(stage.name.casefold())
        if found is not None and agrees(stage.category, found) and found.name not in pairs.values():
            pairs[stage.key] = found.name
    return pairs


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
