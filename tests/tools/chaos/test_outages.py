"""What counts as recovery, and what as waiting for the broker or the database."""

import pytest

from tools.chaos.outages import Outages, Spans


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


def test_the_longest_of_all_is_found_and_shown_by_process() -> None:
    spans = Spans()
    assert spans.longest == 0
    assert spans.figures == {"p50": 0.0, "max": 0.0, "max_of": {}}
    spans["scoring"] += [1.0, 9.0]
    spans["kafka"].append(3.0)
    assert spans.figures == {"p50": 3.0, "max": spans.longest, "max_of": {"kafka": 3.0, "scoring": 9.0}}
