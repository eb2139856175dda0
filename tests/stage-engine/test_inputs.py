"""What names an input."""

from typing import Any

from stage_engine.domain.inputs import TimerFired


def test_a_timer_names_the_decision_that_set_it(world: Any) -> None:
    given = TimerFired("o1", "t", 3, world.start)
    assert given.identity == "timer:2026-03-02T09:00:00+00:00:t:3"
