"""The rules that move an opportunity, and the facts that a pipeline declares for them."""

from dataclasses import dataclass
from enum import StrEnum

from stage_engine.domain.actions import Action
from stage_engine.domain.approval import Approval
from stage_engine.domain.literals import FactType
from stage_engine.domain.stages import Condition


class RuleMode(StrEnum):
    """How far a rule may go: unread, recorded, asking a person, acting."""

    OFF = "off"
    SHADOW = "shadow"
    PROPOSE = "propose"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class DeclaredFact:
    """A fact that is not built in: a field that the tenant's mapping supplies, or that a program reports. `sources` may
    write it, the first before the others; any source may where none is named. `unit` is that of its numbers."""

    name: str
    type: FactType
    sources: tuple[str, ...] = ()
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """Moves an opportunity to `to_stage` once every condition holds. `from_stage` None: from any open stage.
    A smaller priority goes first; `reason_code` is what its moves give as reason. `back` says that it leads to an
    earlier stage on purpose, and `lasting` for how long, such as `3d`, its conditions must have held by then."""

    rule_id: str
    from_stage: str | None
    to_stage: str
    conditions: tuple[Condition, ...]
    mode: RuleMode = RuleMode.PROPOSE
    priority: int = 0
    reason_code: str = ""
    back: bool = False
    lasting: str = ""
    # What its moves ask for.
    actions: tuple[Action, ...] = ()
    # Asked of this step in place of what its target asks, of a person's move as of a rule's.
    approval: Approval | None = None
