"""The life of a write, and what each reply of the CRM makes of it. This module alone says which state leads where.

NEW ──► SENT ──► CONFIRMED ──► ECHOED    NEW and SENT: the echo may come before the reply
 ▲       │
 ├───────┤ it may be tried again
 │       ├──► CONFLICT                   the CRM holds another stage than the one to replace
 └────── └──► PARKED ──► DISCARDED       repeating cannot help; a person may retry it, or give it up
NEW ──► PARKED                           its stage has no counterpart in the CRM
NEW ──► SUPERSEDED                       a newer decision's stage was written already
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, StrEnum

from crm_connector.domain.holds import Refusal

FIRST_RETRY = timedelta(milliseconds=500)
LONGEST_RETRY = timedelta(minutes=5)


class IntentState(StrEnum):
    """How far a write is."""

    NEW = "NEW"
    SENT = "SENT"
    PARKED = "PARKED"
    CONFIRMED = "CONFIRMED"
    ECHOED = "ECHOED"
    CONFLICT = "CONFLICT"
    SUPERSEDED = "SUPERSEDED"
    DISCARDED = "DISCARDED"

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to do for the write, so that it leaves the queue for good."""
        return self not in (IntentState.NEW, IntentState.SENT, IntentState.PARKED)


# The CRM has what these wanted.
DONE = (IntentState.CONFIRMED, IntentState.ECHOED)
# Of an opportunity's writes in these states only the first is worked on.
IN_LINE = (IntentState.NEW, IntentState.SENT)


class IntentTransitionInvalid(Exception):
    """The write is in a state that does not lead to the other."""


class Move(Enum):
    """Everything that can happen to a write: the states in which it can, and the state it leads to."""

    SEND = (IntentState.NEW,), IntentState.SENT
    SUPERSEDE = (IntentState.NEW,), IntentState.SUPERSEDED
    PARK = (IntentState.NEW, IntentState.SENT), IntentState.PARKED
    RETRY = (IntentState.PARKED,), IntentState.NEW
    DISCARD = (IntentState.PARKED,), IntentState.DISCARDED
    REPEAT = (IntentState.SENT,), IntentState.NEW
    DOUBT = (IntentState.SENT,), IntentState.SENT
    CONFIRM = (IntentState.SENT,), IntentState.CONFIRMED
    CONFLICT = (IntentState.SENT,), IntentState.CONFLICT
    # An echo may come before the reply, and may prove an attempt that was thought to have failed.
    PROVE = (IntentState.NEW, IntentState.SENT), IntentState.ECHOED
    ECHO = (IntentState.CONFIRMED,), IntentState.ECHOED

    def __init__(self, sources: tuple[IntentState, ...], target: IntentState) -> None:
        self.sources = sources
        self.target = target

    def of(self, state: IntentState) -> IntentState:
        """The state that follows. IntentTransitionInvalid where this cannot happen."""
        if state not in self.sources:
            raise IntentTransitionInvalid(f"{self.name} is impossible for a write that is {state}")
        return self.target


class Lane(StrEnum):
    """What a write carries decides how soon it goes: a stage is waited for, answers are read later."""

    STAGE = "STAGE"
    ANSWERS = "ANSWERS"


class Verdict(StrEnum):
    """What the CRM's reply means. CONFIRMED: it holds the write. CONFLICT: it holds another stage.
    REFUSED: repeating cannot help. AGAIN: certainly not written, may be later. UNKNOWN: read before anything else."""

    CONFIRMED = "CONFIRMED"
    CONFLICT = "CONFLICT"
    REFUSED = "REFUSED"
    AGAIN = "AGAIN"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Reply:
    """The CRM's reply to one write, in its own words. `not_before` is the least time to wait; `most_attempts` bounds
    the repetition of a fault that may be a passing one; `came` is False when the CRM as a whole did not reply.
    `refused` is the question whose answer the CRM did not take, empty for the assessment as a whole, else None;
    `refusal` is set when the CRM refuses more than this one write."""

    write_id: str
    verdict: Verdict
    code: str = ""
    reason: str = ""
    not_before: timedelta = timedelta()
    most_attempts: int | None = None
    came: bool = True
    refused: str | None = None
    refusal: Refusal | None = None


# Passing faults that last longer than this hold back no stage when they are about an answer.
_LONG = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Settlement:
    """What becomes of a SENT write. `wait` applies to NEW (send again) and to SENT (look again)."""

    move: Move
    wait: timedelta = timedelta()


_MOVES = {
    Verdict.CONFIRMED: Move.CONFIRM,
    Verdict.CONFLICT: Move.CONFLICT,
    Verdict.REFUSED: Move.PARK,
}


def settle(reply: Reply, attempt: int, chance: float) -> Settlement:
    """What becomes of a write after its `attempt`-th attempt; `chance` in [0, 1) spreads the retries."""
    if reply.verdict in _MOVES:
        return Settlement(_MOVES[reply.verdict])
    if reply.verdict is Verdict.UNKNOWN:
        return Settlement(Move.DOUBT, max(reply.not_before, retry_wait(1, chance)))
    if reply.most_attempts is not None and attempt >= reply.most_attempts:
        return Settlement(Move.PARK)
    return Settlement(Move.REPEAT, max(reply.not_before, retry_wait(attempt, chance)))


def left_out_after(
    reply: Reply, settlement: Settlement, left_out: Mapping[str, str], questions: Iterable[str]
) -> dict[str, str] | None:
    """What a write goes without after this reply, with the CRM's words; None when it is not about the evidence, or may
    pass soon. A second refused answer takes all answers with it, so that the stage waits for a few calls at most."""
    if reply.refused is None or reply.refused in left_out:
        return None
    if settlement.move is not Move.PARK and settlement.wait < _LONG:
        return None
    words = {reply.refused: f"{reply.code}: {reply.reason}"}
    if left_out and reply.refused:
        words |= dict.fromkeys(set(questions) - left_out.keys() - {reply.refused}, "left out with the others")
    return {**left_out, **words}


def retry_wait(attempt: int, chance: float) -> timedelta:
    """Exponential from half a second to five minutes; chance decides on the upper half of each step."""
    step = min(FIRST_RETRY * 2 ** min(attempt - 1, 20), LONGEST_RETRY)
    return step * (0.5 + chance / 2)


def expected_stage(decided: str, known: str | None, known_is_ours: bool) -> str:
    """The CRM's stage that a write may replace.

    A decision names the stage last agreed when it was made. If the CRM holds an earlier write of ours by now, the
    decision was made in its knowledge, so that one may be replaced; what anyone else put there may not.
    """
    if known and known_is_ours:
        return known
    return decided or known or ""


def resolve(write_ids: Container[str], held: str) -> Verdict:
    """Whether an attempt of unknown outcome was carried out, by the write id that the CRM holds."""
    return Verdict.CONFIRMED if held and held in write_ids else Verdict.AGAIN
