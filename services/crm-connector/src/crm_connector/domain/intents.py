"""The life of a write intent, and what each answer of the CRM makes of it.

NEW ──► SENT ──► CONFIRMED ──► ECHOED
 ▲       │ └────────────────────► ▲   the echo came before the reply
 ├───────┤ may be tried again
 │       ├──► CONFLICT                the CRM holds another stage than the one to replace
 └────── └──► PARKED                  repeating cannot help; a person may retry it
NEW ──► SUPERSEDED                    a newer decision's stage was written already
"""

from collections.abc import Container
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

FIRST_RETRY = timedelta(milliseconds=500)
LONGEST_RETRY = timedelta(minutes=5)


class IntentState(StrEnum):
    """Where a write intent stands."""

    NEW = "NEW"
    SENT = "SENT"
    CONFIRMED = "CONFIRMED"
    ECHOED = "ECHOED"
    CONFLICT = "CONFLICT"
    PARKED = "PARKED"
    SUPERSEDED = "SUPERSEDED"


TRANSITIONS: dict[IntentState, frozenset[IntentState]] = {
    # An echo proves an attempt that was thought to have failed.
    IntentState.NEW: frozenset({IntentState.SENT, IntentState.PARKED, IntentState.SUPERSEDED, IntentState.ECHOED}),
    IntentState.SENT: frozenset(
        {
            IntentState.NEW,
            IntentState.CONFIRMED,
            IntentState.ECHOED,
            IntentState.CONFLICT,
            IntentState.PARKED,
        }
    ),
    IntentState.CONFIRMED: frozenset({IntentState.ECHOED}),
    IntentState.PARKED: frozenset({IntentState.NEW}),
    IntentState.ECHOED: frozenset(),
    IntentState.CONFLICT: frozenset(),
    IntentState.SUPERSEDED: frozenset(),
}
# Of an opportunity's intents in these states only the oldest is worked on.
UNFINISHED = (IntentState.NEW, IntentState.SENT)


class Lane(StrEnum):
    """What a write carries decides how soon it goes: a stage is waited for, answers are read later."""

    STAGE = "STAGE"
    ANSWERS = "ANSWERS"


class Verdict(StrEnum):
    """What the CRM's reply means. CONFIRMED: it holds the write. CONFLICT: another stage stands there.
    REFUSED: repeating cannot help. AGAIN: certainly not written, may be later. UNKNOWN: read before anything else."""

    CONFIRMED = "CONFIRMED"
    CONFLICT = "CONFLICT"
    REFUSED = "REFUSED"
    AGAIN = "AGAIN"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class WriteResult:
    """The CRM's answer to one write, in its own words. `not_before` is the least time to wait;
    `most_attempts` bounds the repetition of a fault that may be a passing one; `answered` is False when the CRM as
    a whole did not answer."""

    write_id: str
    verdict: Verdict
    code: str = ""
    reason: str = ""
    not_before: timedelta = timedelta()
    most_attempts: int | None = None
    answered: bool = True


@dataclass(frozen=True, slots=True)
class Settlement:
    """What becomes of a SENT intent. `wait` applies to NEW (again) and to SENT (look again)."""

    state: IntentState
    wait: timedelta = timedelta()


class IntentTransitionInvalid(Exception):
    """The intent is in a state that does not lead to the other."""


def advance(state: IntentState, to: IntentState) -> IntentState:
    """`to`, if the life of an intent allows it; IntentTransitionInvalid otherwise."""
    if to not in TRANSITIONS[state]:
        raise IntentTransitionInvalid(f"{state} does not lead to {to}")
    return to


def settle(result: WriteResult, attempt: int, chance: float) -> Settlement:
    """What becomes of an intent after its `attempt`-th attempt; `chance` in [0, 1) spreads the retries."""
    match result.verdict:
        case Verdict.CONFIRMED:
            return Settlement(IntentState.CONFIRMED)
        case Verdict.CONFLICT:
            return Settlement(IntentState.CONFLICT)
        case Verdict.REFUSED:
            return Settlement(IntentState.PARKED)
        case Verdict.UNKNOWN:
            return Settlement(IntentState.SENT, retry_wait(1, chance))
    if result.most_attempts is not None and attempt >= result.most_attempts:
        return Settlement(IntentState.PARKED)
    return Settlement(IntentState.NEW, max(result.not_before, retry_wait(attempt, chance)))


def retry_wait(attempt: int, chance: float) -> timedelta:
    """Exponential from half a second to five minutes, the upper half of each step left to chance."""
    step = min(FIRST_RETRY * 2 ** min(attempt - 1, 20), LONGEST_RETRY)
    return step * (0.5 + chance / 2)


def expected_stage(decided: str, known: str | None, known_is_ours: bool) -> str:
    """The CRM's stage that a write may replace.

    A decision names the stage last agreed when it was made. If our own earlier write stands by now, the decision
    was made in its knowledge, so that one may be replaced; what anybody else put there may not.
    """
    if known and known_is_ours:
        return known
    return decided or known or ""


def resolve(write_ids: Container[str], standing: str) -> Verdict:
    """Whether an attempt of unknown outcome was carried out, by the write id that the CRM holds."""
    return Verdict.CONFIRMED if standing and standing in write_ids else Verdict.AGAIN
