"""A pipeline as published: its stages in rank order and the rules that move an opportunity between them. Immutable."""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from enum import StrEnum

from stage_engine.domain.actions import Action
from stage_engine.domain.approval import Approval
from stage_engine.domain.breaker import Breaker
from stage_engine.domain.calendar import DEFAULT, Calendar
from stage_engine.domain.clocks import Obligation, Timer
from stage_engine.domain.facts import (
    AGE,
    BUSINESS_AGE,
    CREATED,
    LAST_TOUCH,
    MONEY,
    FactKind,
    kind_by_name,
    milestone_of,
    timer_of,
)
from stage_engine.domain.literals import FactType

# What most subjects are.
OPPORTUNITY = "opportunity"


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


_FORECAST = {
    Category.OPEN: ForecastCategory.PIPELINE,
    Category.WON: ForecastCategory.CLOSED,
    Category.LOST: ForecastCategory.OMITTED,
    Category.ABANDONED: ForecastCategory.OMITTED,
}


class RuleMode(StrEnum):
    """How far a rule may go: unread, recorded, asking a person, acting."""

    OFF = "off"
    SHADOW = "shadow"
    PROPOSE = "propose"
    AUTO = "auto"


class SkipPolicy(StrEnum):
    """Whether open stages may be passed over. An override and a person's edit in the CRM may in any case."""

    FORBID = "forbid"
    IF_GUARDS_HOLD = "if_guards_hold"


class CrmEditPolicy(StrEnum):
    """What becomes of a person's edit of the stage in the CRM: it counts and is remembered as an override; it counts if
    it lacks nothing and is undone otherwise; it counts and what it lacks is named with the way back; it is undone."""

    ADOPT_AS_OVERRIDE = "adopt_as_override"
    VALIDATE_THEN_ADOPT = "validate_then_adopt"
    PROPOSE_BACK = "propose_back"
    REVERT = "revert"


class OtherPipelinePolicy(StrEnum):
    """What becomes of a subject to which another pipeline applies that says no place for its stage."""

    STAY = "stay"
    QUARANTINE = "quarantine"


class VoidedEvidencePolicy(StrEnum):
    """What becomes of a stage that rested on evidence which a person has voided: it stays, and the decision says that
    it is no longer supported; it goes back to the last stage that the rest supports."""

    KEEP = "keep"
    REGRESS = "regress"


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
    # Asked of this step in place of what its target asks, whoever makes it.
    approval: Approval | None = None


@dataclass(frozen=True)
class Pipeline:
    """One version of a pipeline. An opportunity stays pinned to the version it started with. Its rules compare amounts
    in `currency`; empty for an org of one currency. `confirm_own` lets a person confirm what rules propose on the
    person's own answers. It takes records of `object_type` whose facts meet `applies_when`, before pipelines of a
    greater `priority`. The policy for edits in the CRM binds all but the exempt."""

    key: str
    version: int
    name: str
    stages: tuple[Stage, ...]
    rules: tuple[Rule, ...]
    skip_policy: SkipPolicy
    is_default: bool = False
    confirm_own: bool = False
    currency: str = ""
    facts: tuple[DeclaredFact, ...] = ()
    # Days after its capture for which evidence counts; of single assessments. None, or none named: for ever.
    evidence_max_age: int | None = None
    assessment_max_age: Mapping[str, int] = field(default_factory=dict)
    object_type: str = OPPORTUNITY
    applies_when: tuple[Condition, ...] = ()
    priority: int = 0
    crm_edit_policy: CrmEditPolicy = CrmEditPolicy.ADOPT_AS_OVERRIDE
    # Where subjects of other pipelines go that come to this one: by pipeline, their stage and ours.
    reassign: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    on_other_pipeline: OtherPipelinePolicy = OtherPipelinePolicy.STAY
    exempt_people: tuple[str, ...] = ()
    exempt_roles: tuple[str, ...] = ()
    # Those that run in every open stage.
    timers: tuple[Timer, ...] = ()
    # The fact by which figures are cut into segments; empty for none.
    segment_fact: str = ""
    # Moves that may follow one another from one input.
    cascade_at_most: int = 1
    voided_evidence: VoidedEvidencePolicy = VoidedEvidencePolicy.KEEP
    # How often within an hour a subject may go to and fro between two stages before it is quarantined.
    alternations_at_most: int = 3
    # What is asked for when a subject is seen for the first time, unless it is imported.
    on_first_sight: tuple[Action, ...] = ()
    # When it is put off, and when it goes on.
    on_hold: tuple[Action, ...] = ()
    on_resume: tuple[Action, ...] = ()
    # All that it declares, wherever.
    actions: tuple[Action, ...] = field(init=False, repr=False, compare=False)
    obligations: tuple[Obligation, ...] = ()
    # A duration without a touch after which a subject that rules assigned goes to another owner; empty: never.
    reassign_after: str = ""
    # How long what rules propose is waited for.
    proposals_expire_after: str = "30d"
    # When rules are held back for moving too many; None: never.
    breaker: Breaker | None = None
    # Whether any move has to be approved.
    asks_approval: bool = field(init=False, repr=False, compare=False)
    # The business hours in force where a decision is made: not part of the version.
    calendar: Calendar = field(init=False, repr=False, compare=False, default=DEFAULT)
    uses_calendar: bool = field(init=False, repr=False, compare=False)
    # Those whose firing something reads.
    timer_facts: tuple[tuple[str, Timer], ...] = field(init=False, repr=False, compare=False)
    # Whether decisions have to look after timers of the version.
    is_clocked: bool = field(init=False, repr=False, compare=False)
    # Versions of assessments that were released with this one: its opportunities get these. Of others the newest.
    assessment_versions: Mapping[str, int] = field(default_factory=dict)
    owner_fact: str = field(init=False, repr=False, compare=False)
    # Names of all facts that anything here reads, whatever may be switched off now.
    reads: frozenset[str] = field(init=False, repr=False, compare=False)
    # Where an opportunity starts that has proved nothing; empty without an open stage, which is never published.
    first: str = field(init=False, repr=False, compare=False)
    milestone_facts: tuple[tuple[str, Milestone], ...] = field(init=False, repr=False, compare=False)
    # Of all stages.
    assessment_keys: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _milestones: Mapping[str, Milestone] = field(init=False, repr=False, compare=False)
    _timers: Mapping[str, Timer] = field(init=False, repr=False, compare=False)
    _declared: Mapping[str, DeclaredFact] = field(init=False, repr=False, compare=False)
    _by_key: Mapping[str, Stage] = field(init=False, repr=False, compare=False)
    _ranks: Mapping[str, int] = field(init=False, repr=False, compare=False)
    _open: frozenset[str] = field(init=False, repr=False, compare=False)
    _given_up: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_key", {s.key: s for s in self.stages})
        object.__setattr__(self, "_ranks", {s.key: i for i, s in enumerate(self.stages)})
        given_up = (Category.LOST, Category.ABANDONED)
        first = next((s.key for s in self.stages if s.category is Category.OPEN), "")
        object.__setattr__(self, "first", first)
        object.__setattr__(self, "_declared", {f.name: f for f in self.facts})
        read: list[Rule | Criterion | Milestone] = list(self.rules)
        for stage in self.stages:
            read += (*stage.entry, *stage.exit, *stage.milestones)
        reads = {condition.fact for each in read for condition in each.conditions}
        reads |= {condition.fact for condition in self.applies_when}
        object.__setattr__(self, "owner_fact", f"{self.object_type}.owner_id")
        object.__setattr__(self, "_milestones", {m.key: m for s in self.stages for m in s.milestones})
        told = ((f"milestones.{key}", milestone) for key, milestone in self._milestones.items())
        object.__setattr__(self, "milestone_facts", tuple(each for each in told if each[0] in reads))
        keys = dict.fromkeys(key for stage in self.stages for key in stage.assessment_keys)
        object.__setattr__(self, "assessment_keys", tuple(keys))
        self._set_actions()
        self._set_clocks(reads)
        reads |= {fact for action in self.actions for fact in action.reads()}
        reads |= {timer.fact for timer in self._timers.values() if timer.fact}
        reads |= {each.met_by for each in self.obligations}
        reads |= {self.source_fact} if self.obligations else set()
        # Figures count from when an opportunity was created, and by segment.
        reads |= {CREATED} if self.object_type == OPPORTUNITY or AGE in reads else set()
        reads |= {self.segment_fact} if self.segment_fact else set()
        reads |= {LAST_TOUCH} if self.reassign_after or any(s.stalled_after_days for s in self.stages) else set()
        object.__setattr__(self, "reads", frozenset(reads))
        object.__setattr__(self, "_open", frozenset(s.key for s in self.stages if s.category is Category.OPEN))
        object.__setattr__(self, "_given_up", frozenset(s.key for s in self.stages if s.category in given_up))

    def _set_actions(self) -> None:
        lists = [self.on_first_sight, self.on_hold, self.on_resume, *(rule.actions for rule in self.rules)]
        lists += (timer.actions for timer in self.timers)
        for stage in self.stages:
            lists += (stage.on_entry, stage.on_exit, stage.on_close, *(timer.actions for timer in stage.timers))
        object.__setattr__(self, "actions", tuple(action for each in lists for action in each))

    def _set_clocks(self, reads: set[str]) -> None:
        timers = {t.key: t for t in (*self.timers, *(t for s in self.stages for t in s.timers))}
        object.__setattr__(self, "_timers", timers)
        object.__setattr__(self, "timer_facts", tuple((t.reads, t) for t in timers.values() if t.reads in reads))
        expires = self.evidence_max_age is not None or bool(self.assessment_max_age)
        object.__setattr__(self, "is_clocked", bool(timers or self.obligations or self.reassign_after) or expires)
        in_business = any("b" in t.after + t.repeats for t in timers.values())
        in_business = in_business or any("b" in rule.lasting for rule in self.rules)
        in_business |= any("b" in a.due_after + a.expires_after for a in self.actions)
        approvals = [each.approval.expires_after for each in (*self.stages, *self.rules) if each.approval is not None]
        object.__setattr__(self, "asks_approval", bool(approvals))
        in_business |= any("b" in text for text in (*approvals, self.proposals_expire_after))
        aged = BUSINESS_AGE in reads or any(s.expected_days for s in self.stages)
        object.__setattr__(
            self, "uses_calendar", in_business or aged or bool(self.obligations) or "b" in self.reassign_after
        )

    @property
    def source_fact(self) -> str:
        """The fact that says where a subject came from."""
        return "lead.source" if self.object_type == "lead" else f"{self.object_type}.lead_source"

    def in_calendar(self, calendar: Calendar) -> "Pipeline":
        """The version where these business hours are in force."""
        found = copy(self)
        object.__setattr__(found, "calendar", calendar)
        return found

    def rule(self, rule_id: str) -> Rule | None:
        """The rule of this id."""
        return next((each for each in self.rules if each.rule_id == rule_id), None)

    def timer(self, key: str) -> Timer | None:
        """The timer of this key."""
        return self._timers.get(key)

    def __contains__(self, stage_key: object) -> bool:
        return stage_key in self._by_key

    def stage(self, key: str) -> Stage:
        """The stage of this key; KeyError when there is none."""
        return self._by_key[key]

    def rank(self, key: str) -> int:
        """The place in the order of stages, from 0."""
        return self._ranks[key]

    def is_open(self, key: str) -> bool:
        """Whether an opportunity in this stage can still move by itself."""
        return key in self._open

    def further(self, first: str, second: str) -> str:
        """The stage that is nearer to winning; lost and abandoned stages are no progress at all."""
        if second in self._given_up:
            return first
        return second if self._ranks[second] > self._ranks[first] else first

    def compares(self, currency: str) -> bool:
        """Whether an amount in this currency may be compared with those of the rules. It is never converted."""
        return currency in ("", self.currency)

    def kind_of_fact(self, name: str) -> FactKind | None:
        """What is known of a fact by its name; None for one that is neither built in nor declared."""
        declared = self._declared.get(name)
        milestone = self._milestones.get(milestone_of(name) or "")
        if milestone is not None:
            return FactKind(FactType.DECIMAL, "times") if milestone.repeatable else FactKind(FactType.BOOLEAN)
        timer = self._timers.get(timer_of(name) or "") if self._timers else None
        if timer is not None:
            return FactKind(FactType.DECIMAL, "times") if timer.repeats else FactKind(FactType.BOOLEAN)
        kind = kind_by_name(name) if declared is None else FactKind(declared.type, declared.unit)
        if kind is not None and kind.unit == MONEY:
            return FactKind(kind.type, self.currency)
        return kind

    def max_age_of(self, assessment_key: str) -> int | None:
        """Days for which evidence of an assessment counts; None: for ever."""
        return self.assessment_max_age.get(assessment_key, self.evidence_max_age)

    def sources_of(self, name: str) -> tuple[str, ...]:
        """Who may write a fact, the first before the others; empty: any source may."""
        declared = self._declared.get(name)
        return () if declared is None else declared.sources

    def forecast_of(self, key: str) -> ForecastCategory:
        """How far the stage is counted on: as it says, or by its category."""
        stage = self._by_key[key]
        return stage.forecast or _FORECAST[stage.category]

    def first_stage(self) -> str:
        """Where an opportunity starts that has proved nothing."""
        return self.first

    def skipped(self, source: str, target: str) -> tuple[str, ...]:
        """Open stages that a move passes over; none when it goes back or gives the opportunity up."""
        if target in self._given_up:
            return ()
        low, high = self._ranks[source] + 1, self._ranks[target]
        return tuple(s.key for s in self.stages[low:high] if s.key in self._open) if low < high else ()
