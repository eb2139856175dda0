"""The rules of a pipeline as they are read: conditions with their meaning, tables of each stage."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum, StrEnum
from itertools import chain

from stage_engine.domain.cells import measure, predicate
from stage_engine.domain.facts import AGES, assessment_of
from stage_engine.domain.grammar import Among, Blank, Cell, OneOf, Range, Scale, parse
from stage_engine.domain.literals import FactType, Known
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.rules import Rule, RuleMode
from stage_engine.domain.stages import Category, Condition, Milestone, Need


class Kind(IntEnum):
    """What a rule does to an opportunity, in the order in which competing rules go first."""

    WALK_AWAY = 0
    LOST = 1
    REGRESS = 3
    ADVANCE = 4
    WON = 5


@dataclass(frozen=True, slots=True, eq=False)
class ParsedCondition:
    """A condition read: the fact, the cell's meaning and text, a test of whether a value meets it, and a measure of how
    far it lies within or outside, in this unit."""

    fact: str
    cell: Cell
    text: str
    holds: Callable[[Known | None], bool]
    distance: Callable[[Known], Decimal | None]
    unit: str = ""


Tests = tuple[tuple[str, Callable[[Known | None], bool]], ...]


@dataclass(frozen=True, slots=True, eq=False)
class ParsedRule:
    """A rule read for one stage that it can leave from."""

    rule: Rule
    kind: Kind
    conditions: tuple[ParsedCondition, ...]
    # The conditions that are not blank.
    tests: Tests
    facts: frozenset[str]
    # Whether a hit moves the opportunity or asks to.
    acts: bool
    # Whether every score that it needs counts in the stage: it can hold at all.
    possible: bool

    def order(self) -> tuple[int, Kind, str]:
        """Who goes first: by priority, then kind (a disqualifier beats a pass), then id."""
        return self.rule.priority, self.kind, self.rule.rule_id


def kind_of(pipeline: Pipeline, source: str, target: str) -> Kind:
    """What a move from one stage to another is."""
    category = pipeline.stage(target).category
    if category is Category.WON:
        return Kind.WON
    if category is Category.LOST:
        return Kind.LOST
    if category is Category.ABANDONED:
        return Kind.WALK_AWAY
    return Kind.ADVANCE if pipeline.rank(target) > pipeline.rank(source) else Kind.REGRESS


def rules_by_stage(pipeline: Pipeline) -> dict[str, tuple[ParsedRule, ...]]:
    """For each open stage the rules that can leave it, those that go first in front. Rules that would lead back are
    left out, unless they say so: it takes a person or a purpose to go back."""
    read = [_read(rule, pipeline) for rule in pipeline.rules if rule.mode is not RuleMode.OFF]
    tables: dict[str, tuple[ParsedRule, ...]] = {}
    for stage in pipeline.stages:
        if stage.category is not Category.OPEN:
            continue
        found: list[ParsedRule] = []
        for rule, conditions, tests, facts, needed in read:
            kind = kind_of(pipeline, stage.key, rule.to_stage)
            if rule.from_stage not in (None, stage.key) or (kind is Kind.REGRESS and not rule.back):
                continue
            acts = rule.mode in (RuleMode.AUTO, RuleMode.PROPOSE)
            possible = needed.issubset(stage.assessment_keys)
            found.append(ParsedRule(rule, kind, conditions, tests, facts, acts, possible))
        found.sort(key=ParsedRule.order)
        tables[stage.key] = tuple(found)
    return tables


class Side(StrEnum):
    """What a list of a stage is asked of: what comes, what goes on, or what happens meanwhile."""

    ENTRY = "entry"
    EXIT = "exit"
    MILESTONES = "milestones"


def table_name(stage_key: str, side: Side) -> str:
    """The table of a stage's criteria or milestones beside that of its rules."""
    return f"{stage_key}/{side}"


def demands_by_stage(pipeline: Pipeline) -> dict[str, tuple[ParsedRule, ...]]:
    """The criteria and milestones of each stage as tables: each is a rule that leads nowhere, named by its key. They
    read the evidence in force of all stages. Tables without a row are left out."""
    tables: dict[str, tuple[ParsedRule, ...]] = {}
    for stage in pipeline.stages:
        for side, demands in (
            (Side.ENTRY, stage.entry), (Side.EXIT, stage.exit), (Side.MILESTONES, stage.milestones),
        ):  # fmt: skip
            found: list[ParsedRule] = []
            for demand in demands:
                rule = Rule(demand.key, stage.key, stage.key, demand.conditions, RuleMode.AUTO)
                _, conditions, tests, facts, needed = _read(rule, pipeline)
                possible = needed.issubset(pipeline.assessment_keys)
                acts = isinstance(demand, Milestone) or demand.need is Need.REQUIRED
                found.append(ParsedRule(rule, Kind.ADVANCE, conditions, tests, facts, acts, possible))
            if found:
                tables[table_name(stage.key, side)] = tuple(sorted(found, key=ParsedRule.order))
    return tables


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """A pipeline as it is read: the rules of each open stage, and criteria and milestones by the names of their
    tables."""

    pipeline: Pipeline
    rules: dict[str, tuple[ParsedRule, ...]]
    demands: dict[str, tuple[ParsedRule, ...]]

    @classmethod
    def of(cls, pipeline: Pipeline) -> "Tables":
        """Read a pipeline. Whoever works with one shares what was read: the largest takes tens of milliseconds."""
        return cls(pipeline, rules_by_stage(pipeline), demands_by_stage(pipeline))

    def every(self) -> dict[str, tuple[ParsedRule, ...]]:
        """All tables by name."""
        return self.rules | self.demands

    def conditions(self) -> Iterable[ParsedCondition]:
        """Each condition once, though a rule may be in the tables of many stages."""
        lists = {id(each.conditions): each.conditions for table in self.every().values() for each in table}
        return chain.from_iterable(lists.values())


def is_timed(condition: ParsedCondition) -> bool:
    """Whether time alone may change how it comes out."""
    cell = condition.cell
    return condition.fact in AGES or (isinstance(cell, (OneOf, Range)) and cell.scale is Scale.AHEAD)


def read_cell(condition: Condition, pipeline: Pipeline) -> Cell:
    """What the cell asks of this fact; CellError outside the grammar. Of a text, to be any of some texts is to be one
    of them."""
    cell = parse(condition.cell)
    if isinstance(cell, Among) and cell.has_one:
        kind = pipeline.kind_of_fact(condition.fact)
        if kind is not None and kind.type is FactType.TEXT:
            return OneOf(cell.values)
    return cell


def read_condition(condition: Condition, pipeline: Pipeline) -> ParsedCondition:
    """The condition read."""
    cell, kind = read_cell(condition, pipeline), pipeline.kind_of_fact(condition.fact)
    if kind is not None and kind.type in (FactType.DATE, FactType.INSTANT):
        unit = "days"
    else:
        unit = "" if kind is None else kind.unit
    return ParsedCondition(condition.fact, cell, condition.cell, predicate(cell), measure(cell), unit)


_Read = tuple[Rule, tuple[ParsedCondition, ...], Tests, frozenset[str], frozenset[str]]


def _read(rule: Rule, pipeline: Pipeline) -> _Read:
    """The rule with its conditions, those that test something, its facts, and the assessments without which it cannot
    hold."""
    conditions = tuple(read_condition(c, pipeline) for c in rule.conditions)
    tests = tuple((c.fact, c.holds) for c in conditions if not isinstance(c.cell, Blank))
    needed = (assessment_of(fact) for fact, holds in tests if not holds(None))
    return rule, conditions, tests, frozenset(c.fact for c in conditions), frozenset(key for key in needed if key)
