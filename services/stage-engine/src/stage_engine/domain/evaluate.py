"""Our own reading of the rules, beside the engine's: three-valued, exact, and able to say how far a rule was missed.

It is what the engine is checked against at every decision, and what explains the decision.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import NamedTuple, Protocol

from stage_engine.domain.grammar import Blank, Cell, Literal, OneOf, Range, parse
from stage_engine.domain.pipeline import Category, Pipeline, Rule, RuleMode

Facts = Mapping[str, Literal]


class Truth(IntEnum):
    """A condition holds, is missed, or cannot be told because the fact is unknown."""

    HOLDS = 0
    FAILED = 1
    MISSING = 2


class Finding(NamedTuple):
    """How one condition came out. `margin` is the signed distance to the threshold in the fact's unit: negative is
    short by so much, positive is beyond by so much; None where distance has no meaning."""

    truth: Truth
    fact: str
    cell: str
    actual: Literal | None
    margin: Decimal | None


class Kind(IntEnum):
    """What a rule does to a deal, in the order in which competing rules go first."""

    WALK_AWAY = 0
    LOST = 1
    REGRESS = 3
    ADVANCE = 4
    WON = 5


@dataclass(frozen=True, slots=True)
class ParsedRule:
    """A rule read for one stage that it can leave from."""

    rule: Rule
    kind: Kind
    conditions: tuple[tuple[str, Cell, str], ...]
    facts: frozenset[str]
    # Whether a hit moves the deal or asks to.
    acts: bool


class RuleResult(NamedTuple):
    """A rule and how each of its conditions came out."""

    parsed: ParsedRule
    findings: tuple[Finding, ...]
    hit: bool


class Matcher(Protocol):
    """The engine: ids of the rules of a stage that hold for these facts, those that go first in front."""

    def __call__(self, stage_key: str, facts: Facts, /) -> Sequence[str]: ...


class EngineFault(Exception):
    """The engine gave no usable answer. `code` becomes the reason of the rejected decision."""

    code = "ENGINE_FAULT"


class EngineDisagreement(EngineFault):
    """The engine and our reading found different rules to hold: neither may be believed."""

    code = "ENGINE_DISAGREEMENT"

    def __init__(self, stage_key: str, engine: Sequence[str], ours: Sequence[str]) -> None:
        super().__init__(f"in {stage_key} the engine says {list(engine)}, our reading says {list(ours)}")


_ZERO = Decimal(0)
# Looking a member up in its enum costs more than the comparison it is for.
_HOLDS, _FAILED, _MISSING = Truth.HOLDS, Truth.FAILED, Truth.MISSING


def margin(cell: Cell, value: Literal) -> tuple[bool, Decimal | None]:
    """Whether a known value meets the cell, and by what distance. A value of the other type meets nothing."""
    if isinstance(cell, Range):
        if isinstance(value, str):
            return False, None
        low, high = cell.low, cell.high
        above = None if low is None else value - low
        below = None if high is None else high - value
        if above is None:
            nearest = below
        else:
            nearest = above if below is None else min(above, below)
        holds = (above is None or above > _ZERO or (cell.low_closed and above == _ZERO)) and (
            below is None or below > _ZERO or (cell.high_closed and below == _ZERO)
        )
        return holds, nearest
    if isinstance(cell, OneOf):
        if value in cell.values:
            return True, None if isinstance(value, str) else _ZERO
        if isinstance(value, str) or isinstance(cell.values[0], str):
            return False, None
        return False, -min(abs(value - v) for v in cell.values if isinstance(v, Decimal))
    return True, None


def findings_of(parsed: ParsedRule, facts: Facts) -> RuleResult:
    """Every condition of a rule against the facts."""
    hit = True
    findings = []
    for fact, cell, text in parsed.conditions:
        value = facts.get(fact)
        if value is None and not isinstance(cell, Blank):
            hit = False
            findings.append(Finding(_MISSING, fact, text, None, None))
            continue
        holds, distance = (True, None) if value is None else margin(cell, value)
        if not holds:
            hit = False
        findings.append(Finding(_HOLDS if holds else _FAILED, fact, text, value, distance))
    return RuleResult(parsed, tuple(findings), hit)


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
    """For each open stage the rules that can leave it, those that go first in front: by priority, then kind (a
    disqualifier beats a pass), then id. Rules that would lead back are left out: only a person goes back."""
    tables: dict[str, tuple[ParsedRule, ...]] = {}
    for stage in pipeline.stages:
        if stage.category is not Category.OPEN:
            continue
        found = []
        for rule in pipeline.rules:
            if rule.mode is RuleMode.OFF or rule.from_stage not in (None, stage.key):
                continue
            kind = kind_of(pipeline, stage.key, rule.to_stage)
            if kind is Kind.REGRESS:
                continue
            conditions = tuple((c.fact, parse(c.cell), c.cell) for c in rule.conditions)
            acts = rule.mode in (RuleMode.AUTO, RuleMode.PROPOSE)
            found.append(ParsedRule(rule, kind, conditions, frozenset(c.fact for c in rule.conditions), acts))
        found.sort(key=lambda p: (p.rule.priority, p.kind, p.rule.rule_id))
        tables[stage.key] = tuple(found)
    return tables


class Ruleset:
    """A pipeline version ready to decide with: its rules as we read them, and the engine."""

    def __init__(self, pipeline: Pipeline, matcher: Matcher) -> None:
        self.pipeline = pipeline
        self.tables = rules_by_stage(pipeline)
        self._matcher = matcher

    def match(self, stage_key: str, facts: Facts) -> list[RuleResult]:
        """Every rule of the stage against the facts, those that go first in front. EngineDisagreement when the engine
        does not find exactly the same rules to hold."""
        results = [findings_of(parsed, facts) for parsed in self.tables[stage_key]]
        ours = [r.parsed.rule.rule_id for r in results if r.hit]
        engine = self._matcher(stage_key, facts)
        if list(engine) != ours:
            raise EngineDisagreement(stage_key, engine, ours)
        return results
