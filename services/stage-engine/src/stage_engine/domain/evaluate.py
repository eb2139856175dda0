"""Our own reading of the rules, beside the engine's: three-valued, exact, and able to say how far a rule was missed.

It is what the engine is checked against at every decision, and what explains the decision.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Protocol

from stage_engine.domain.cells import measure, predicate
from stage_engine.domain.facts import OPPORTUNITY_FACTS, Facts, score_fact
from stage_engine.domain.grammar import Blank, Cell, Literal, parse
from stage_engine.domain.pipeline import Category, Pipeline, Rule, RuleMode
from stage_engine.domain.value import value


class Truth(IntEnum):
    """A condition holds, is missed, or is undecided because the fact is unknown."""

    HOLDS = 0
    FAILED = 1
    MISSING = 2


@value
class Finding:
    """How one condition came out. `margin` is the signed distance to the threshold in the fact's unit: negative is
    short by so much, positive is beyond by so much; None where distance has no meaning."""

    truth: Truth
    fact: str
    cell: str
    actual: Literal | None
    margin: Decimal | None


class Kind(IntEnum):
    """What a rule does to an opportunity, in the order in which competing rules go first."""

    WALK_AWAY = 0
    LOST = 1
    REGRESS = 3
    ADVANCE = 4
    WON = 5


@value
class ParsedCondition:
    """A condition read: the fact, the cell's meaning and text, a test of whether a known value meets it, and a measure
    of how far it lies within or outside."""

    fact: str
    cell: Cell
    text: str
    holds: Callable[[Literal], bool]
    distance: Callable[[Literal], Decimal | None]


Tests = tuple[tuple[str, Callable[[Literal], bool]], ...]


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


@value
class RuleResult:
    """A rule, how each of its conditions came out, and those that do not hold: none when the rule does."""

    parsed: ParsedRule
    findings: list[Finding]
    unmet: list[Finding]


@value
class Asked:
    """The rules of a stage that read one of some facts, those that go first in front, and the names of all that they
    read, sorted."""

    rules: tuple[ParsedRule, ...]
    acting: tuple[ParsedRule, ...]
    facts: tuple[str, ...]


class Matcher(Protocol):
    """The engine: ids of the rules of a stage that hold for these facts, those that go first in front."""

    def __call__(self, stage_key: str, facts: Facts, /) -> list[str]: ...


class EngineFault(Exception):
    """The engine gave no usable answer. `code` becomes the reason of the rejected decision."""

    code = "ENGINE_FAULT"


class EngineDisagreement(EngineFault):
    """The engine and our reading found different rules to hold: neither may be believed."""

    code = "ENGINE_DISAGREEMENT"

    def __init__(self, stage_key: str, engine: Sequence[str], ours: Sequence[str]) -> None:
        super().__init__(f"in {stage_key} the engine says {list(engine)}, our reading says {list(ours)}")


# Looking a member up in its enum costs more than the comparison it is for.
_HOLDS, _FAILED, _MISSING = Truth.HOLDS, Truth.FAILED, Truth.MISSING


def findings_of(parsed: ParsedRule, facts: Facts) -> RuleResult:
    """Every condition of a rule against the facts, with its margin."""
    findings: list[Finding] = []
    unmet: list[Finding] = []
    for condition in parsed.conditions:
        known = facts.get(condition.fact)
        if known is None:
            truth = _HOLDS if isinstance(condition.cell, Blank) else _MISSING
            finding = Finding(truth, condition.fact, condition.text, None, None)
        else:
            truth = _HOLDS if condition.holds(known) else _FAILED
            finding = Finding(truth, condition.fact, condition.text, known, condition.distance(known))
        findings.append(finding)
        if truth is not _HOLDS:
            unmet.append(finding)
    return RuleResult(parsed, findings, unmet)


def facts_read_by(rules: Iterable[ParsedRule]) -> tuple[str, ...]:
    """The names of the facts that these rules read, sorted."""
    return tuple(sorted({fact for parsed in rules for fact in parsed.facts}))


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
    left out: only a person goes back."""
    read = [_read(rule) for rule in pipeline.rules if rule.mode is not RuleMode.OFF]
    tables: dict[str, tuple[ParsedRule, ...]] = {}
    for stage in pipeline.stages:
        if stage.category is not Category.OPEN:
            continue
        known = {*OPPORTUNITY_FACTS, *map(score_fact, stage.assessment_keys)}
        found: list[ParsedRule] = []
        for rule, conditions, tests, facts in read:
            kind = kind_of(pipeline, stage.key, rule.to_stage)
            if rule.from_stage not in (None, stage.key) or kind is Kind.REGRESS:
                continue
            acts = rule.mode in (RuleMode.AUTO, RuleMode.PROPOSE)
            possible = all(fact in known for fact, _ in tests)
            found.append(ParsedRule(rule, kind, conditions, tests, facts, acts, possible))
        found.sort(key=ParsedRule.order)
        tables[stage.key] = tuple(found)
    return tables


def _read(rule: Rule) -> tuple[Rule, tuple[ParsedCondition, ...], Tests, frozenset[str]]:
    conditions = tuple(
        ParsedCondition(c.fact, cell, c.cell, predicate(cell), measure(cell))
        for c in rule.conditions
        for cell in (parse(c.cell),)
    )
    tests = tuple((c.fact, c.holds) for c in conditions if not isinstance(c.cell, Blank))
    return rule, conditions, tests, frozenset(c.fact for c in conditions)


class Ruleset:
    """A pipeline version ready to decide with: its rules as we read them, and the engine."""

    def __init__(
        self, pipeline: Pipeline, matcher: Matcher, modes_revision: int = 0, *, automation: bool = True
    ) -> None:
        self.pipeline = pipeline
        self.modes_revision = modes_revision
        # Whether rules may move anything by themselves.
        self.automation = automation
        self.tables = rules_by_stage(pipeline)
        self._possible = {key: tuple(p for p in table if p.possible) for key, table in self.tables.items()}
        # What it takes to keep, in rules and their conditions, once for each stage.
        self.size = sum(1 + len(p.conditions) for table in self.tables.values() for p in table)
        self._matcher = matcher
        self._asked: dict[tuple[str, frozenset[str]], Asked] = {}

    def asked(self, stage_key: str, facts: frozenset[str]) -> Asked:
        """The rules of the stage that read any of these facts."""
        found = self._asked.get((stage_key, facts))
        if found is None:
            rules = tuple(p for p in self.tables[stage_key] if not facts.isdisjoint(p.facts))
            found = Asked(rules, tuple(p for p in rules if p.acts), facts_read_by(rules))
            self._asked[stage_key, facts] = found
        return found

    def hits(self, stage_key: str, facts: Facts) -> list[ParsedRule]:
        """The rules of the stage that hold, those that go first in front. EngineDisagreement when the engine does not
        find exactly the same."""
        found: list[ParsedRule] = []
        ours: list[str] = []
        for parsed in self._possible[stage_key]:
            for fact, holds in parsed.tests:
                value = facts.get(fact)
                if value is None or not holds(value):
                    break
            else:
                found.append(parsed)
                ours.append(parsed.rule.rule_id)
        engine = self._matcher(stage_key, facts)
        if engine != ours:
            raise EngineDisagreement(stage_key, engine, ours)
        return found
