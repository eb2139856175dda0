"""What counts as recovery, and what as waiting for the broker or the database."""

import pytest

from tools.chaos.outages import Outages


def _outages(*spans: tuple[float, float]) -> Outages:
    moments = iter([moment for span in spans for moment in span])
    outages = Outages(lambda: next(moments))
    for _ in spans:
        with outages.noted():
            pass
    return outages


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], 10),
        ([(0, 5)], 10),
        ([(5, 12)], 8),
        ([(12, 15)], 7),
        ([(18, 30)], 8),
        ([(20, 30)], 10),
        ([(5, 30)], 0),
        ([(11, 14), (12, 13), (13, 16)], 5),
        ([(15, 17), (11, 12)], 7),
    ],
)
def test_only_the_time_counts_at_which_nothing_was_away(spans: list[tuple[float, float]], expected: float) -> None:
    assert _outages(*spans).without(10, 20) == pytest.approx(expected)
