"""What is held back, for how long, and when it goes on."""

from datetime import UTC, datetime, timedelta

import pytest
from crm_connector.domain.holds import LONGEST_HOLD, Holds, Refusal, Scope
from hypothesis import given
from hypothesis import strategies as st

START = datetime(2026, 11, 22, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ORG = Refusal(Scope.ORG, "", (), "API_DISABLED_FOR_ORG", "disabled")
ANSWERS = Refusal(Scope.FIELD, "Answer", ("Json",), "INVALID_FIELD", "no such column")


class Clock:
    now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_whole_crm_holds_everything_back_and_an_object_only_what_touches_it(clock: Clock) -> None:
    holds = Holds(clock)
    holds.refused(ANSWERS, SECOND)
    assert holds.blocks(["Opportunity", "Answer"])
    assert not holds.blocks(["Opportunity"])
    holds.refused(ORG, SECOND)
    assert holds.blocks(["Opportunity"])
    assert [hold.subject for hold in holds.all] == ["", "Answer"]


def test_it_is_tried_again_after_pauses_that_double(clock: Clock) -> None:
    holds = Holds(clock)
    pauses = []
    for _ in range(20):
        holds.refused(ORG, SECOND)
        # Calls that were out already say nothing new.
        holds.refused(ORG, SECOND)
        (hold,) = holds.all
        pauses.append(hold.until - clock.now)
        clock.now = hold.until
        assert not holds.blocks(["Opportunity"])
        assert holds.probing
    assert pauses[:4] == [SECOND, 2 * SECOND, 4 * SECOND, 8 * SECOND]
    assert pauses[-1] == LONGEST_HOLD
    assert holds.all[0].since == START


def test_a_write_that_is_taken_ends_what_would_have_held_it_back(clock: Clock) -> None:
    holds = Holds(clock)
    holds.refused(ORG, SECOND)
    holds.refused(ANSWERS, SECOND)
    holds.taken(["Opportunity"])
    assert [hold.subject for hold in holds.all] == ["Answer"]
    holds.taken(["Opportunity", "Answer"])
    assert holds.all == []


def test_another_instance_goes_on_with_it_and_a_person_may_cut_it_short(clock: Clock) -> None:
    first = Holds(clock)
    first.refused(ORG, timedelta(minutes=5))
    second = Holds(clock, first.all)
    assert second.blocks([])
    second.try_now()
    assert not second.blocks([])


@given(st.lists(st.sampled_from(["refuse", "take", "wait"])))
def test_it_always_comes_to_an_end(steps: list[str]) -> None:
    clock = Clock()
    holds = Holds(clock)
    for step in steps:
        if step == "refuse":
            holds.refused(ORG, SECOND)
        elif step == "take":
            holds.taken([])
        else:
            clock.now += SECOND
    clock.now += LONGEST_HOLD
    assert not holds.blocks(["Opportunity"])
