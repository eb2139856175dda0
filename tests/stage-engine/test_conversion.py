"""Conversion against simulations whose truth is known."""

import random
from collections import Counter

import pytest
from stage_engine.domain.conversion import End, Watched, conversion_of

HORIZON = 90
SEEDS = range(40)


def simulated(seed: int, *, opportunities: int = 400, span: int = 120, gets_on: float = 0.30) -> list[Watched]:
    """Opportunities that entered evenly over the last days. Of those that get on, half do so within 20 days; the
    others are lost, half of them within 60."""
    chance = random.Random(seed)
    counted: Counter[tuple[int, End]] = Counter()
    for _ in range(opportunities):
        age = chance.uniform(0, span)
        on = chance.random() < gets_on
        day = chance.expovariate(0.6931 / 20) % HORIZON if on else chance.expovariate(0.6931 / 60)
        end = chance.choice((End.NEXT, End.NEXT, End.LATER)) if on else End.ENDED
        counted[(int(day), end) if day < age else (int(age), End.OPEN)] += 1
    return [Watched(day, end, entries) for (day, end), entries in counted.items()]


def test_the_truth_lies_within_the_band_as_often_as_it_says() -> None:
    found = [conversion_of(simulated(seed), HORIZON) for seed in SEEDS]
    estimates = [each.conversion for each in found if each.conversion is not None]
    assert len(estimates) == len(SEEDS)
    assert sum(each.low <= 0.30 <= each.high for each in estimates) >= 34
    assert abs(sum(each.value for each in estimates) / len(estimates) - 0.30) < 0.012
    strict = [each.strict for each in found if each.strict is not None]
    assert sum(each.low <= 0.20 <= each.high for each in strict) >= 34
    # What got on ÷ what can be judged is far off, which is why there is an estimator.
    naive = [each.reached / each.judged for each in found]
    assert sum(naive) / len(naive) > 0.36


def test_the_median_agrees_too() -> None:
    # With everyone watched to the end.
    whole = sorted(conversion_of(simulated(seed, span=10_000), 10_000).median_days or 0 for seed in SEEDS)
    young = sorted(conversion_of(simulated(seed), HORIZON).median_days or 0 for seed in SEEDS)
    assert abs(whole[20] - young[20]) <= 4


def test_with_everybody_watched_it_is_the_plain_share() -> None:
    found = conversion_of([Watched(5, End.NEXT, 30), Watched(9, End.ENDED, 50), Watched(90, End.OPEN, 20)], HORIZON)
    assert found.conversion is not None
    assert found.conversion.value == pytest.approx(0.30)
    assert (found.conversion.low, found.conversion.high) == (
        pytest.approx(0.219, abs=1e-3),
        pytest.approx(0.396, abs=1e-3),
    )
    assert (found.entered, found.judged, found.censored, found.reached) == (100, 100, 0, 30)


def test_a_young_stage_says_nothing_yet() -> None:
    found = conversion_of([Watched(1, End.NEXT, 2), Watched(3, End.OPEN, 4)], HORIZON)
    assert (found.entered, found.judged, found.censored, found.conversion) == (6, 2, 4, None)
    assert conversion_of([], HORIZON).conversion is None
    assert conversion_of([Watched(1, End.NEXT, 2)], HORIZON).conversion is not None


def test_what_happens_after_the_horizon_does_not_count() -> None:
    found = conversion_of([Watched(90, End.NEXT, 10), Watched(3, End.NEXT, 10)], HORIZON)
    assert found.conversion is not None and found.conversion.value == pytest.approx(0.5)
    assert found.reached == 10
