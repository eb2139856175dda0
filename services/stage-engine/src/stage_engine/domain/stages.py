"""The stages of a pipeline, and what each demands and remembers."""

from dataclasses import dataclass
from enum import StrEnum

from stage_engine.domain.actions import Action
from stage_engine.domain.approval import Approval
from stage_engine.domain.clocks import Timer


class Category(StrEnum):
    """What a stage means for the outcome; abandoned is the walk-away."""

    OPEN = "open"
    WON = "won"
    LOST = "lost"
    ABANDONED = "abandoned"


class ForecastCategory(StrEnum):
    """How far a stage is counted on when the close of a period is foretold."""

    PIPELINE = "pipeline"
    BEST_CASE = "best_case"
    COMMIT = "commit"
    OMITTED = "omitted"
    CLOSED = "closed"


FORECAST = {
    Category.OPEN: ForecastCategory.PIPELINE,
    Category.WON: ForecastCategory.CLOSED,
    Category.LOST: ForecastCategory.OMITTED,
    Category.ABANDONED: ForecastCategory.OMITTED,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """A fact such as `prospecting.score` and the cell it has to meet."""

    fact: str
    cell: str


class Need(StrEnum):
    """Whether a criterion holds a move back, or only advises."""

    REQUIRED = "required"
    ADVISORY = "advisory"


@dataclass(frozen=True, slots=True)
class Criterion:
    """A named demand of a stage: met once every condition holds on the evidence and facts in force. `supplied_by` names
    the question or the field of the CRM that answers it."""

    key: str
    name: str
    conditions: tuple[Condition, ...]
    need: Need = Need.REQUIRED
    help: str = ""
    playbook_url: str = ""
    supplied_by: str = ""


@dataclass(frozen=True, slots=True)
class Milestone:
    """Something that is remembered once it was reached in its stage. Rules read it as `milestones.<key>`: true or
    false, or of a repeatable one how often."""

    key: str
    name: str
    conditions: tuple[Condition, ...]
    repeatable: bool = False


@dataclass(frozen=True, slots=True)
class Stage:
    """A step of the sale. Evidence from `assessment_keys` counts while an opportunity is here. `entry` is asked of what
    comes, `exit` of what goes on. An opportunity rots after `expected_days` of business, and stalls after
    `stalled_after_days` without a sign of life."""

    key: str
    name: str
    category: Category
    assessment_keys: tuple[str, ...] = ()
    description: str = ""
    entry: tuple[Criterion, ...] = ()
    exit: tuple[Criterion, ...] = ()
    milestones: tuple[Milestone, ...] = ()
    timers: tuple[Timer, ...] = ()
    expected_days: int | None = None
    stalled_after_days: int | None = None
    # None: by its category. The probability of a win is in percent, as people state it.
    forecast: ForecastCategory | None = None
    win_probability: int | None = None
    # What is asked for when a subject comes, goes, or is closed from here.
    on_entry: tuple[Action, ...] = ()
    on_exit: tuple[Action, ...] = ()
    on_close: tuple[Action, ...] = ()
    # Asked of what comes here, but for a way back.
    approval: Approval | None = None
