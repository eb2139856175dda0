"""What is switched without a new version: how far single rules may go, and whether any may move by itself."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from stage_engine.domain.finding import LintFinding, warning
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.rules import RuleMode


class Switch(StrEnum):
    """What one switching sets: a rule's mode, or as its version says; automation as a whole; the breaker."""

    OFF = "off"
    SHADOW = "shadow"
    PROPOSE = "propose"
    AUTO = "auto"
    AS_PUBLISHED = "as_published"
    AUTOMATION_ON = "automation_on"
    AUTOMATION_OFF = "automation_off"
    BREAKER_OPEN = "breaker_open"
    BREAKER_CLOSED = "breaker_closed"


# What the breaker is called where rules are called by their ids.
BREAKER = "@breaker"


@dataclass(frozen=True, slots=True)
class Switching:
    """One entry of the history; `rule_id` is empty of automation as a whole. It makes the revision."""

    revision: int
    rule_id: str
    switch: Switch
    reason: str
    changed_at: datetime
    changed_by: str


@dataclass(frozen=True, slots=True)
class Modes:
    """What is in force in a pipeline at a revision, for all its versions."""

    revision: int = 0
    rules: Mapping[str, RuleMode] = field(default_factory=dict)
    automation: bool = True
    # Rules that would move by themselves propose instead.
    breaker_open: bool = False

    def applied(self, pipeline: Pipeline) -> Pipeline:
        """The version with its rules as they are in force."""
        if not self.rules:
            return pipeline
        rules = tuple(replace(rule, mode=self.rules.get(rule.rule_id, rule.mode)) for rule in pipeline.rules)
        return replace(pipeline, rules=rules)

    def findings(self, pipeline: Pipeline) -> Iterator[LintFinding]:
        """Where a version says something else than what is in force."""
        for index, rule in enumerate(pipeline.rules):
            mode = self.rules.get(rule.rule_id, rule.mode)
            if mode is not rule.mode:
                text = f"{rule.rule_id} is switched to {mode} for all versions, whatever this one says"
                yield warning("rule_mode_switched", f"/rules/{index}/mode", text)
        if not self.automation:
            yield warning("automation_off", "", "automation is switched off: no rule moves anything by itself")
        if self.breaker_open:
            yield warning("breaker_open", "", "the breaker is open: rules only propose until a person closes it")


AS_PUBLISHED = Modes()


def in_force(history: Sequence[Switching]) -> tuple[Switching, ...]:
    """The latest switching of each rule, and of automation, that differs from what versions say; by rule."""
    latest = {each.rule_id: each for each in sorted(history, key=lambda each: each.revision)}
    usual = (Switch.AS_PUBLISHED, Switch.AUTOMATION_ON, Switch.BREAKER_CLOSED)
    return tuple(each for _, each in sorted(latest.items()) if each.switch not in usual)


def modes_at(revision: int, history: Sequence[Switching]) -> Modes:
    """What was in force at this revision."""
    found = in_force([each for each in history if each.revision <= revision])
    rules = {each.rule_id: RuleMode(each.switch.value) for each in found if each.rule_id not in ("", BREAKER)}
    opened = any(each.rule_id == BREAKER for each in found)
    return Modes(revision, rules, automation=all(each.rule_id for each in found), breaker_open=opened)
