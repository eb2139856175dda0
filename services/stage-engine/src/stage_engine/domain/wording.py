"""What changes from one version of a pipeline to another, in words."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from stage_engine.domain.actions import Action, ActionField
from stage_engine.domain.clocks import Obligation, Timer
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.rules import DeclaredFact, Rule
from stage_engine.domain.stages import Condition, Criterion, Milestone, Stage

# What belongs to a stage or a pipeline by a key or name of its own.
Member = Criterion | Milestone | DeclaredFact | Action | Timer


class ChangeKind(StrEnum):
    """What a change is about."""

    PIPELINE = "pipeline"
    STAGE_ADDED = "stage_added"
    STAGE_REMOVED = "stage_removed"
    STAGE_CHANGED = "stage_changed"
    RULE_ADDED = "rule_added"
    RULE_REMOVED = "rule_removed"
    RULE_CHANGED = "rule_changed"


@dataclass(frozen=True, slots=True)
class Change:
    """One change: `key` is that of the stage or rule, empty of the pipeline itself."""

    kind: ChangeKind
    key: str
    text: str


_NAMES = {
    "cascade_at_most": "moves that may follow one another",
    "alternations_at_most": "times it may go to and fro within an hour",
    "start_by_criteria": "new subjects begin where entry criteria hold",
    "voided_evidence": "a stage whose evidence was voided",
    "lasting": "how long it must have held",
    "assessment_keys": "assessments",
    "from_stage": "its first stage",
    "to_stage": "its target",
    "is_default": "default pipeline",
    "confirm_own": "own proposals may be confirmed",
    "reason_code": "reason",
    "proposals_expire_after": "time for which proposals are waited for",
    "reassign_after": "time without a touch after which another owner is chosen",
    "evidence_max_age": "days for which evidence counts",
    "segment_fact": "the fact that cuts figures into segments",
    "win_probability": "percent that win from here",
    "assessment_max_age": "days for which evidence of single assessments counts",
}
# Said in words of their own, or not by people at all.
_OF_ITS_OWN = {
    "key", "version", "stages", "rules", "name", "conditions", "rule_id", "entry", "exit", "milestones", "facts",
    "on_entry", "on_exit", "on_close", "on_first_sight", "on_hold", "on_resume", "actions", "timers",
}  # fmt: skip


def differences(old: Pipeline, new: Pipeline) -> list[Change]:
    """Everything that differs: first the pipeline, then its stages, then its rules, in the order of the new version."""
    texts = _named(old, new, "The pipeline") + _members(old.facts, new.facts, "The pipeline", "fact")
    texts += _members(old.timers, new.timers, "The pipeline", "timer")
    texts += _members(old.on_first_sight, new.on_first_sight, "The pipeline", "action on first sight")
    texts += _members(old.on_hold, new.on_hold, "The pipeline", "action on hold")
    texts += _members(old.on_resume, new.on_resume, "The pipeline", "action on resume")
    found = [Change(ChangeKind.PIPELINE, "", text) for text in texts]
    found += _stages(old, new)
    return found + list(_rules(old, new))


def _stages(old: Pipeline, new: Pipeline) -> Iterator[Change]:
    for stage in new.stages:
        if stage.key not in old:
            text = f"{stage.name} is a new stage, {stage.category}, {_place(new, stage)}{_approved(stage)}."
            yield Change(ChangeKind.STAGE_ADDED, stage.key, text)
            continue
        for text in _stage(old.stage(stage.key), stage):
            yield Change(ChangeKind.STAGE_CHANGED, stage.key, text)
    for stage in old.stages:
        if stage.key not in new:
            yield Change(ChangeKind.STAGE_REMOVED, stage.key, f"{stage.name} is no stage any more.")
    kept = [s.key for s in old.stages if s.key in new]
    order = [s.key for s in new.stages if s.key in old]
    if kept != order:
        text = f"The order of stages becomes {', '.join(new.stage(key).name for key in order)}."
        yield Change(ChangeKind.PIPELINE, "", text)


def _stage(old: Stage, new: Stage) -> list[str]:
    return [
        *_named(old, new, new.name),
        *_members(old.entry, new.entry, new.name, "entry criterion"),
        *_members(old.exit, new.exit, new.name, "exit criterion"),
        *_members(old.milestones, new.milestones, new.name, "milestone"),
        *_members(old.timers, new.timers, new.name, "timer"),
        *_members(old.on_entry, new.on_entry, new.name, "entry action"),
        *_members(old.on_exit, new.on_exit, new.name, "exit action"),
        *_members(old.on_close, new.on_close, new.name, "closing action"),
    ]


def _members(old: Sequence[Member], new: Sequence[Member], subject: str, kind: str) -> list[str]:
    """What came, went or changed of a list whose members are known by their keys or names."""
    before, after = {_id(each): each for each in old}, {_id(each): each for each in new}
    texts: list[str] = []
    for key, each in after.items():
        was, way = before.get(key), f"{subject}, {kind} {_word(each.name)}"
        if was is None:
            texts.append(f"{way} is new, {_asked(each)}.")
            continue
        if was.name != each.name:
            texts.append(f"{subject}, {kind} {_word(was.name)} is now called {_word(each.name)}.")
        if isinstance(was, Criterion | Milestone) and isinstance(each, Criterion | Milestone):
            texts += _conditions(was, each, way)
        if isinstance(was, Timer) and isinstance(each, Timer):
            texts += _members(was.actions, each.actions, way, "action")
        texts += [f"{way}: {text}." for text in _others(was, each)]
    texts += [
        f"{subject}, {kind} {_word(each.name)} is dropped: {_asked(each)}."
        for key, each in before.items()
        if key not in after
    ]
    kept, order = [key for key in before if key in after], [key for key in after if key in before]
    if kept != order:
        names = ", ".join(_word(after[key].name) for key in order)
        texts.append(f"{subject}: the order by {kind} becomes {names}.")
    return texts


def _id(member: Member) -> str:
    return member.name if isinstance(member, DeclaredFact) else member.key


def _asked(member: Member) -> str:
    match member:
        case DeclaredFact():
            return f"of type {member.type}"
        case Action():
            return f"{member.kind}: {_word(member.text or member.target or member.key)}"
        case Timer():
            of = f" {member.fact}" if member.fact else ""
            again = f", again each {member.repeats}" if member.repeats else ""
            asks = "".join(f", asks for {_asked(each)}" for each in member.actions)
            return f"{member.after} {member.starts}{of}{again}{asks}"
        case Criterion():
            return f"{member.need}: {_all(member)}"
        case Milestone():
            return f"reached by {_all(member)}"


def _approved(of: Stage | Rule) -> str:
    return "" if of.approval is None else f", with the approval of {of.approval}"


def _place(pipeline: Pipeline, stage: Stage) -> str:
    rank = pipeline.rank(stage.key)
    return f"after {pipeline.stages[rank - 1].name}" if rank else "at the beginning"


def _rules(old: Pipeline, new: Pipeline) -> Iterator[Change]:
    before, after = _by_id(old.rules), _by_id(new.rules)
    for rule_id, rule in after.items():
        if rule_id not in before:
            text = f"{_way(rule, new)} is a new rule, {rule.mode}: {_all(rule)}{_approved(rule)}."
            yield Change(ChangeKind.RULE_ADDED, rule_id, text)
            continue
        was, way = before[rule_id], _way(rule, new)
        texts = _conditions(was, rule, way)
        if (was.from_stage, was.to_stage) != (rule.from_stage, rule.to_stage):
            texts.append(f"{_way(was, old)} becomes {way}.")
        texts += [f"{way}: {text}." for text in _others(was, rule, without={"from_stage", "to_stage"})]
        texts += _members(was.actions, rule.actions, way, "action")
        for text in texts:
            yield Change(ChangeKind.RULE_CHANGED, rule_id, text)
    for rule_id, rule in before.items():
        if rule_id not in after:
            yield Change(ChangeKind.RULE_REMOVED, rule_id, f"{_way(rule, old)}: {_all(rule)} is no rule any more.")


def _by_id(rules: Iterable[Rule]) -> Mapping[str, Rule]:
    return {rule.rule_id: rule for rule in rules}


def _way(rule: Rule, pipeline: Pipeline) -> str:
    def name(key: str) -> str:
        return pipeline.stage(key).name if key in pipeline else key

    return f"{name(rule.from_stage) if rule.from_stage else 'Any stage'} → {name(rule.to_stage)}"


def _all(rule: Rule | Criterion | Milestone) -> str:
    return " and ".join(_condition(each) for each in rule.conditions) or "always"


def _condition(condition: Condition) -> str:
    return f"{condition.fact} {condition.cell or 'of any value'}"


def _conditions(old: Rule | Criterion | Milestone, new: Rule | Criterion | Milestone, way: str) -> list[str]:
    was, now = _cells(old), _cells(new)
    if was.keys() == now.keys() and len(was) == 1:
        ((fact, cells),) = now.items()
        return [] if was[fact] == cells else [f"{way}: {was[fact]} becomes {cells}."]
    changed = [fact for fact, cells in now.items() if was.get(fact, cells) != cells]
    texts = [f"{way}: {fact} {was[fact]} becomes {now[fact]}." for fact in changed]
    texts += [f"{way}: {fact} {cells} is needed as well." for fact, cells in now.items() if fact not in was]
    return texts + [f"{way}: {fact} {cells} is needed no more." for fact, cells in was.items() if fact not in now]


def _cells(rule: Rule | Criterion | Milestone) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for condition in rule.conditions:
        found.setdefault(condition.fact, []).append(condition.cell or "of any value")
    return {fact: " and ".join(cells) for fact, cells in found.items()}


def _named(old: Any, new: Any, subject: str) -> list[str]:
    """What differs of two values that have a name."""
    texts = [f"{old.name} is now called {new.name}."] if old.name != new.name else []
    return texts + [f"{subject}: {text}." for text in _others(old, new)]


def _others(old: Any, new: Any, without: Iterable[str] = ()) -> list[str]:
    """Every other field that differs, whatever it is: what a later release adds shows as well."""
    left_out = {*_OF_ITS_OWN, *without}
    found: list[str] = []
    for each in fields(old):
        was, now = getattr(old, each.name), getattr(new, each.name)
        if each.compare and each.name not in left_out and was != now:
            name = _NAMES.get(each.name, each.name.replace("_", " "))
            found.append(f"{name} {_word(was)} becomes {_word(now)}")
    return found


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Condition):
        return f"“{_condition(value)}”"
    if isinstance(value, ActionField):
        return f"{value.name} = “{value.value}”"
    if isinstance(value, Obligation):
        again = f", again each {value.repeats}" if value.repeats else ""
        cell = "" if value.cell == "known" else f" {value.cell}"
        where = f" of {value.stage_key}" if value.stage_key else ""
        return f"“{value.name}” within {value.within} {value.starts}{where}{again}, met by {value.met_by}{cell}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_word(each)}" for key, each in value.items()) or "none"
    if isinstance(value, str) or not isinstance(value, Sequence):
        text = str(value) if value is not None else ""
        return f"“{text[:200]}”" if " " in text else text or "none"
    return ", ".join(_word(each) for each in value) or "none"
