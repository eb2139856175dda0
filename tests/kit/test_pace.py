"""How long a loop rests after a small batch."""

import ast
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from kit.delivery.pace import Pace, backoff

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


@given(st.integers(0, 10**6), st.floats(0.001, 10), st.floats(10, 1000))
def test_however_many_failures_the_pause_is_a_number_within_its_bounds(failures, first, most):
    assert first <= backoff(failures, first, most) <= most
    assert backoff(failures, first, most) <= backoff(failures + 1, first, most)


def test_a_pause_doubles_with_each_failure():
    assert [backoff(failures, 0.5, 10) for failures in (1, 2, 3, 4, 5, 6, 10**6)] == [0.5, 1, 2, 4, 8, 10, 10]


def test_no_loop_doubles_a_pause_by_itself():
    """A power of a count is no number any more after a thousand failures: `backoff` is the one place that has it."""
    root = Path(__file__).parents[2]
    files = [*root.glob("libs/*/src/**/*.py"), *root.glob("services/*/src/**/*.py")]
    bounded = {"kit/delivery/pace.py", "crm_connector/domain/intents.py", "crm_connector/domain/holds.py"}
    powers = [
        f"{file}:{node.lineno}"
        for file in files
        if not any(str(file).endswith(each) for each in bounded)
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow)
        if getattr(node.left, "value", None) == 2 and not isinstance(node.right, ast.Constant)
    ]
    assert len(files) > 100 and powers == []
