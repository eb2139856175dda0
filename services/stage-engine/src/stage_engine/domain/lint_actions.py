"""Checks of actions: whether each says all that its kind needs, can be asked for, and names facts that exist."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from stage_engine.domain.actions import NAMES_OF_MOVE, Action, ActionKind, Named, TextError, parse_text
from stage_engine.domain.clocks import duration_of
from stage_engine.domain.facts import NAMES
from stage_engine.domain.finding import LintFinding, error
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.stages import Category


@dataclass(frozen=True, slots=True)
class _Kind:
    """What an action of a kind has to say, and what else it may; `key` and when it expires may be said of each."""

    needs: frozenset[str]
    may: frozenset[str] = frozenset()


def _kind(needs: str, may: str = "") -> _Kind:
    return _Kind(frozenset(needs.split()), frozenset(may.split()))


_KINDS = {
    ActionKind.TASK: _kind("text", "details to due_after"),
    ActionKind.NOTIFICATION: _kind("text", "to"),
    ActionKind.EMAIL: _kind("target", "text details to fields"),
    ActionKind.FIELD_UPDATE: _kind("fields"),
    ActionKind.CREATE_RECORD: _kind("target fields"),
    ActionKind.CONVERT_LEAD: _kind("", "text to"),
    ActionKind.ASSIGN: _kind("to", "text target"),
    ActionKind.ENROL: _kind("target", "to fields"),
    ActionKind.UNENROL: _kind("target", "to"),
    ActionKind.WEBHOOK: _kind("target", "text fields"),
}
# As assignment rules write it.
_ROLE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_PARTS = ("text", "details", "to", "target", "fields", "due_after")


def action_findings(pipeline: Pipeline) -> Iterator[LintFinding]:
    """Every action by itself, and whether it can be asked for."""
    keys = Counter(action.key for action in pipeline.actions)
    for pointer, action in _placed(pipeline):
        if keys[action.key] > 1:
            yield error("action_duplicate", f"{pointer}/key", f"{action.key!r} names more than one action")
        yield from _kind_findings(pointer, action, pipeline)
        yield from _text_findings(pointer, action, pipeline)
        yield from _duration_findings(pointer, action)
    for i, stage in enumerate(pipeline.stages):
        for name, actions in (("on_exit", stage.on_exit), ("on_close", stage.on_close)):
            if actions and stage.category is not Category.OPEN:
                text = f"{stage.name} is closed, and {name} is asked for in open stages only; use on_entry"
                yield error("action_never_asked", f"/stages/{i}/{name}", text)


def _placed(pipeline: Pipeline) -> Iterator[tuple[str, Action]]:
    of_all = (
        ("on_first_sight", pipeline.on_first_sight),
        ("on_hold", pipeline.on_hold),
        ("on_resume", pipeline.on_resume),
    )
    lists = [(f"/{name}", actions) for name, actions in of_all]
    lists += ((f"/timers/{i}/actions", timer.actions) for i, timer in enumerate(pipeline.timers))
    lists += ((f"/rules/{i}/actions", rule.actions) for i, rule in enumerate(pipeline.rules))
    for i, stage in enumerate(pipeline.stages):
        of_stage = (("on_entry", stage.on_entry), ("on_exit", stage.on_exit), ("on_close", stage.on_close))
        lists += ((f"/stages/{i}/{name}", actions) for name, actions in of_stage)
        lists += ((f"/stages/{i}/timers/{j}/actions", timer.actions) for j, timer in enumerate(stage.timers))
    return ((f"{pointer}/{j}", action) for pointer, actions in lists for j, action in enumerate(actions))


def _kind_findings(pointer: str, action: Action, pipeline: Pipeline) -> Iterator[LintFinding]:
    kind, said = _KINDS[action.kind], {name for name in _PARTS if getattr(action, name)}
    for name in sorted(kind.needs - said):
        yield error("action_incomplete", f"{pointer}/{name}", f"an action of kind {action.kind} needs {name}")
    for name in sorted(said - kind.needs - kind.may):
        yield error("action_part_unused", f"{pointer}/{name}", f"an action of kind {action.kind} has no {name}")
    names = Counter(field.name for field in action.fields)
    for i, field in enumerate(action.fields):
        if names[field.name] > 1:
            yield error("action_field_duplicate", f"{pointer}/fields/{i}/name", f"{field.name} is set more than once")
    if action.kind is ActionKind.ASSIGN and action.target and not _ROLE.fullmatch(action.target):
        text = f"{action.target!r} is no role; use small letters, digits and _, a letter first, or leave it out: owner"
        yield error("action_role_invalid", f"{pointer}/target", text)
    if action.kind is ActionKind.CONVERT_LEAD and pipeline.object_type != "lead":
        text = f"only a lead can be converted, and {pipeline.key} takes records of type {pipeline.object_type}"
        yield error("action_not_of_type", f"{pointer}/kind", text)


def _text_findings(pointer: str, action: Action, pipeline: Pipeline) -> Iterator[LintFinding]:
    for place, text in action.texts():
        try:
            parts = parse_text(text)
        except TextError as fault:
            yield error("text_invalid", f"{pointer}/{place}", str(fault))
            continue
        for name in (part.fact for part in parts if isinstance(part, Named)):
            if name not in NAMES_OF_MOVE and pipeline.kind_of_fact(name) is None:
                known = ", ".join((*NAMES_OF_MOVE, *NAMES))
                words = f"{name!r} is no fact; there are {known} and those that the pipeline declares"
                yield error("fact_unknown", f"{pointer}/{place}", words)


def _duration_findings(pointer: str, action: Action) -> Iterator[LintFinding]:
    for name, text in (("due_after", action.due_after), ("expires_after", action.expires_after)):
        try:
            if text or name == "expires_after":
                duration_of(text)
        except ValueError as fault:
            yield error("duration_invalid", f"{pointer}/{name}", str(fault))
