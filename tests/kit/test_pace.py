"""How long a loop rests after a small batch."""

from hypothesis import given
from hypothesis import strategies as st
from kit.delivery.pace import Pace

seconds = st.floats(0, 1e6, allow_nan=False)


@given(st.floats(0, 100), seconds, seconds, seconds)
def test_the_rest_is_in_proportion_and_within_its_bounds(factor, least, more, took):
    pace = Pace(factor, least, least + more)
    rest = pace.rest_after(took)
    assert least <= rest <= least + more
    if least < rest < least + more:
        assert rest == factor * took


@given(seconds, seconds)
def test_who_took_longer_does_not_rest_less(one, other):
    pace = Pace(3, 0.01, 0.1)
    low, high = sorted((one, other))
    assert pace.rest_after(low) <= pace.rest_after(high)
