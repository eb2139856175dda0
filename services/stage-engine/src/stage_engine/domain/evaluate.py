"""Our own reading of the rules, beside the engine's: three-valued, exact, and able to say how far a rule was missed.

It is what the engine is checked against at every decision, and what explains the decision.
"""

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from functools import lru_cache
from typing import Protocol

from kit.numbers import plain

from stage_engine.domain.calendar import Calendar
from stage_engine.domain.facts import Facts, assessment_of, score_fact
from stage_engine.domain.literals import Known
from stage_engine.domain.parsed import ParsedCondition, ParsedRule, Tables, Tests, is_timed
from stage_engine.domain.value import value


class Truth(IntEnum):
    """A condition holds, is missed, or is undecided because the fact is unknown."""

    HOLDS = 0
    FAILED = 1
    MISSING = 2


@dataclass(slots=True, eq=False)
class Finding:
    """How one condition came out. `margin` is the signed distance to the threshold in the condition's unit: negative is
    short by so much, positive is beyond by so much; None where distance has no meaning."""

    truth: Truth
    condition: ParsedCondition
    actual: Known | None
    margin: Decimal | None

    @property
    def fact(self) -> str:
        return self.condition.fact

    @property
    def cell(self) -> str:
        return self.condition.text


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


@lru_cache(8192, typed=True)
def finding_of(condition: ParsedCondition, actual: Known | None) -> Finding:
    """How a condition comes out for a value. Equal numbers give the same, however many zeros each was written with."""
    if condition.holds(actual):
        truth = _HOLDS
    else:
        truth = _MISSING if actual is None else _FAILED
    margin = None if actual is None else condition.distance(actual)
    return Finding(truth, condition, actual, None if margin is None else Decimal(plain(margin)))


def findings_of(parsed: ParsedRule, facts: Facts) -> RuleResult:
    """Every condition of a rule against the facts, with its margin."""
    findings = [finding_of(condition, facts.get(condition.fact)) for condition in parsed.conditions]
    return RuleResult(parsed, findings, [each for each in findings if each.truth is not _HOLDS])


def facts_read_by(rules: Iterable[ParsedRule]) -> tuple[str, ...]:
    """The names of the facts that these rules read, sorted."""
    return tuple(sorted({fact for parsed in rules for fact in parsed.facts}))


def all_hold(tests: Tests, facts: Facts) -> bool:
    """Whether every test holds by our own reading."""
    for fact, holds in tests:
        if not holds(facts.get(fact)):
            return False
    return True


# Sets of facts that changed together, kept with the rules that read them.
_ASKED_LIMIT = 4096


class Ruleset:
    """A pipeline version ready to decide with: its rules as we read them, and the engine."""

    def __init__(
        self,
        read: Tables,
        matcher: Matcher,
        modes_revision: int = 0,
        *,
        automation: bool = True,
        breaker_open: bool = False,
    ) -> None:
        self.pipeline = pipeline = read.pipeline
        self.modes_revision = modes_revision
        # Whether rules may move anything by themselves.
        self.automation = automation
        # Whether those that would propose instead.
        self.breaker_open = breaker_open
        self.tables = read.rules
        # Criteria and milestones, by the names of their tables.
        self.demands = read.demands
        every = read.every()
        self._possible = {key: tuple(p for p in table if p.possible) for key, table in every.items()}
        # What it takes to keep, in rules and their conditions, once for each stage.
        self.size = sum(1 + len(p.conditions) for table in every.values() for p in table)
        self._leading: dict[str, tuple[ParsedRule, ...]] = {}
        # Those of each stage that act once they have held for a while.
        lasting = {key: tuple(p for p in self._possible[key] if p.rule.lasting) for key in self.tables}
        self.lasting = {key: table for key, table in lasting.items() if table}
        self.alone = self._alone()
        # Whether what holds depends on when it is asked.
        ages = pipeline.evidence_max_age is not None or bool(pipeline.assessment_max_age)
        self.timed = ages or any(map(is_timed, read.conditions()))
        self._matcher = matcher
        self._asked: dict[tuple[str, frozenset[str]], Asked] = {}
        self._evidence: dict[str, frozenset[str]] = {}

    def held_back(self) -> "Ruleset":
        """The same with automation off."""
        other = copy(self)
        other.automation = False
        return other

    def leading(self, stage_key: str) -> tuple[ParsedRule, ...]:
        """The rules of a stage that act and lead on from it."""
        found = self._leading.get(stage_key)
        if found is None:
            further = self.pipeline.further
            table = self._possible[stage_key]
            found = tuple(p for p in table if p.acts and further(stage_key, p.rule.to_stage) != stage_key)
            self._leading[stage_key] = found
        return found

    def in_calendar(self, calendar: Calendar) -> "Ruleset":
        """The same rules where these business hours are in force."""
        if calendar == self.pipeline.calendar:
            return self
        found = copy(self)
        found.pipeline = self.pipeline.in_calendar(calendar)
        return found

    def _alone(self) -> dict[str, str]:
        """The assessments that count in one stage and nowhere else, beside no other and with no criterion that reads
        them, with that stage: what they say has no bearing on other steps."""
        stages: dict[str, list[str]] = {}
        for stage in self.pipeline.stages:
            for key in stage.assessment_keys:
                stages.setdefault(key, []).append(stage.key)
        read = {assessment_of(fact) for table in self.demands.values() for p in table for fact in p.facts}
        one = {key: found[0] for key, found in stages.items() if len(found) == 1 and key not in read}
        return {key: stage for key, stage in one.items() if len(self.pipeline.stage(stage).assessment_keys) == 1}

    def asked(self, stage_key: str, facts: frozenset[str]) -> Asked:
        """The rules of the stage that read any of these facts."""
        found = self._asked.get((stage_key, facts))
        if found is None:
            rules = tuple(p for p in self.tables[stage_key] if not facts.isdisjoint(p.facts))
            if len(self._asked) >= _ASKED_LIMIT:
                self._asked.clear()
            found = Asked(rules, tuple(p for p in rules if p.acts), facts_read_by(rules))
            self._asked[stage_key, facts] = found
        return found

    def evidence(self, assessment_key: str) -> frozenset[str]:
        """The facts that new answers to an assessment may have changed: its score, and of the others those read."""
        found = self._evidence.get(assessment_key)
        if found is None:
            read = {fact for fact in self.pipeline.reads if assessment_of(fact) == assessment_key}
            found = self._evidence[assessment_key] = frozenset({score_fact(assessment_key), *read})
        return found

    def hits(self, stage_key: str, facts: Facts) -> list[ParsedRule]:
        """The rows of a table that hold, those that go first in front: rules of a stage, its criteria or milestones.
        EngineDisagreement when the engine does not find exactly the same."""
        found: list[ParsedRule] = []
        ours: list[str] = []
        for parsed in self._possible[stage_key]:
            for fact, holds in parsed.tests:
                if not holds(facts.get(fact)):
                    break
            else:
                found.append(parsed)
                ours.append(parsed.rule.rule_id)
        engine = self._matcher(stage_key, facts)
        if engine != ours:
            raise EngineDisagreement(stage_key, engine, ours)
        return found
