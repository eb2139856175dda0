"""What a queued write says of itself after each move."""

from dataclasses import fields
from typing import Any

import pytest
from crm_connector.domain.intents import DONE, IntentState, Move
from crm_connector.records import QueuedWrite

MOVES = [(move, source) for move in Move for source in move.sources]


def write(**given: Any) -> QueuedWrite:
    return QueuedWrite(**dict.fromkeys((field.name for field in fields(QueuedWrite)), None) | given)


@pytest.mark.parametrize(("move", "source"), MOVES, ids=str)
def test_what_is_done_no_longer_says_why_an_attempt_before_failed(move: Move, source: IntentState) -> None:
    """Also where an echo proves an attempt that was thought to have failed."""
    after = write(state=source, code="BUSY", reason="try again later").moved(move)
    assert after.state is move.target
    kept = ("", "") if after.state in DONE else ("BUSY", "try again later")
    assert (after.code, after.reason) == kept
