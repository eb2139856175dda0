"""A pipeline as published: its stages in rank order and the rules that move an opportunity between them. Immutable."""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field

from stage_engine.domain.actions import Action
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
from stage_engine.domain.policies import CrmEditPolicy, OtherPipelinePolicy, SkipPolicy, VoidedEvidencePolicy
from stage_engine.domain.rules import DeclaredFact, Rule
from stage_engine.domain.stages import FORECAST, Category, Condition, Criterion, ForecastCategory, Milestone, Stage

# What most subjects are.
OPPORTUNITY = "opportunity"


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
    # Whether a new subject begins in the furthest open stage whose entry criteria its facts meet.
    start_by_criteria: bool = False
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
        named = ((f"milestones.{key}", milestone) for key, milestone in self._milestones.items())
        object.__setattr__(self, "milestone_facts", tuple(each for each in named if each[0] in reads))
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
        return stage.forecast or FORECAST[stage.category]

    def first_stage(self) -> str:
        """Where an opportunity starts that has proved nothing."""
        return self.first

    def skipped(self, source: str, target: str) -> tuple[str, ...]:
        """Open stages that a move passes over; none when it goes back or gives the opportunity up."""
        if target in self._given_up:
            return ()
        low, high = self._ranks[source] + 1, self._ranks[target]
        return tuple(s.key for s in self.stages[low:high] if s.key in self._open) if low < high else ()
