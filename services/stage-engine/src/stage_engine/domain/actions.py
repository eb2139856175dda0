"""Actions as a pipeline declares them: what another service is asked to do when a subject moves. Texts over facts."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

from stage_engine.domain.value import value

_PART = re.compile(r"\{\{|\}\}|\{([^{}|]*)(?:\|([^{}]*))?\}|[{}]")
# What a text may name besides facts: the subject and the move that asks for the action.
SUBJECT_ID, MOVE_FROM, MOVE_TO, MOVE_REASON = "subject.id", "move.from", "move.to", "move.reason"
NAMES_OF_MOVE = (SUBJECT_ID, MOVE_FROM, MOVE_TO, MOVE_REASON)
# What a text says where a fact is unknown and nothing else was agreed.
UNKNOWN = "unknown"
LONGEST_TEXT = 4000


class ActionKind(StrEnum):
    """What is asked for. The CRM's connector carries out what changes the CRM, the engine itself assigns, and other
    programs do the rest."""

    TASK = "task"
    NOTIFICATION = "notification"
    EMAIL = "email"
    FIELD_UPDATE = "field_update"
    CREATE_RECORD = "create_record"
    CONVERT_LEAD = "convert_lead"
    ASSIGN = "assign"
    ENROL = "enrol"
    UNENROL = "unenrol"
    WEBHOOK = "webhook"


class ActionState(StrEnum):
    """Whether an action is still waited for, and if not, what became of it."""

    OPEN = "open"
    DONE = "done"
    REFUSED = "refused"
    EXPIRED = "expired"


class Phase(StrEnum):
    """When an action is asked for, in this order: a timer fires, a subject is put off, goes on, is seen for the first
    time, leaves a stage, is moved by a rule, comes into a stage, is closed. By itself: its owner is to be another."""

    TIMER = "timer"

    HOLD = "hold"
    RESUME = "resume"
    FIRST_SIGHT = "first_sight"
    EXIT = "exit"
    TRANSITION = "transition"
    ENTRY = "entry"
    CLOSE = "close"
    OWNER = "owner"


@dataclass(frozen=True, slots=True)
class ActionField:
    """A field of the CRM, or a parameter of another program, and its value as a text over facts."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Action:
    """What is asked for. `text`, `details`, `to` and the values of `fields` are texts over facts. `to` is whom it is
    for, empty: the owner; of `assign`, who gets the role. `target` names the object to create, the template to send,
    the list, the receiver of a webhook, or the role to give, empty: the owner's. It expires when it is not settled in
    time; with `once_per_cycle` a way back does not ask for it again."""

    key: str
    kind: ActionKind
    text: str = ""
    details: str = ""
    to: str = ""
    target: str = ""
    fields: tuple[ActionField, ...] = ()
    # Durations from the decision: until when a task is to be done, and until when the action is to be settled.
    due_after: str = ""
    expires_after: str = "30d"
    once_per_cycle: bool = False

    @property
    def name(self) -> str:
        return self.key

    def texts(self) -> Iterator[tuple[str, str]]:
        """Every text over facts, with its place in the action."""
        yield from (("text", self.text), ("details", self.details), ("to", self.to))
        yield from ((f"fields/{i}/value", field.value) for i, field in enumerate(self.fields))

    def reads(self) -> Iterator[str]:
        """The facts that its texts name. A text that cannot be read names none."""
        for _, text in self.texts():
            try:
                parts = parse_text(text)
            except TextError:
                continue
            yield from (p.fact for p in parts if isinstance(p, Named) and p.fact not in NAMES_OF_MOVE)


@value
class Asked:
    """An action that a decision asks for, with its texts filled in: `to` is whom it is for, `due_at` until when it is
    to be done, `expires_at` until when it counts."""

    key: str
    kind: ActionKind
    phase: Phase
    text: str
    details: str
    to: str
    target: str
    fields: tuple[tuple[str, str], ...]
    due_at: datetime | None
    expires_at: datetime


class TextError(ValueError):
    """The text is outside the grammar; the words say where."""


@dataclass(frozen=True, slots=True)
class Named:
    """A fact in a text, and what is said where it is unknown; None: nothing was agreed."""

    fact: str
    otherwise: str | None


@lru_cache(4096)
def parse_text(text: str) -> tuple[str | Named, ...]:
    """The parts of a text over facts: `{fact}`, `{fact|words where it is unknown}`, and `{{` or `}}` for a brace.
    TextError for anything else in braces."""
    parts: list[str | Named] = []
    place = 0
    for match in _PART.finditer(text):
        parts.append(text[place : match.start()])
        place = match.end()
        found = match[0]
        if found in ("{{", "}}"):
            parts.append(found[0])
        elif len(found) == 1:
            raise TextError(f"the brace at {match.start() + 1} is alone; write {found * 2} for a brace")
        elif not match[1].strip():
            raise TextError(f"the braces at {match.start() + 1} name no fact")
        else:
            parts.append(Named(match[1].strip(), match[2]))
    parts.append(text[place:])
    return tuple(part for part in parts if part != "")


@dataclass(frozen=True, slots=True)
class Rendered:
    """A text with its facts filled in, and whether one of them was unknown with nothing agreed for that."""

    text: str
    complete: bool


def rendered(text: str, values: Mapping[str, str]) -> Rendered:
    """The text for these values of facts."""
    words: list[str] = []
    complete = True
    for part in parse_text(text):
        if isinstance(part, str):
            words.append(part)
            continue
        known = values.get(part.fact, part.otherwise)
        complete = complete and known is not None
        words.append(UNKNOWN if known is None else known)
    return Rendered("".join(words)[:LONGEST_TEXT], complete)
