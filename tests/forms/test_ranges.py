"""Overlaps and holes: what is found is true, and silence means that the labels are sound."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from forms.labels import LabelRange, parse_label
from forms.ranges import Hole, MixedUnits, Overlap, inspect_labels
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    "labels",
    [
        ["under 10", "10 to 20", "more than 20"],
        ["0-2", "3-4", "5+"],
        ["Yes", "No"],
        ["1", "2", "3", "4", "5"],
        ["up to 5", "more than 5", "I do not know"],
    ],
)
def test_sound_labels_are_left_alone(labels: list[str]) -> None:
    assert list(inspect_labels(labels)) == []


def covers(found: LabelRange, number: Decimal) -> bool:
    above = found.lower is None or number > found.lower or (number == found.lower and found.includes_lower)
    below = found.upper is None or number < found.upper or (number == found.upper and found.includes_upper)
    return above and below


NUMBERS = st.integers(0, 12)
LABELS = st.one_of(
    st.tuples(NUMBERS, NUMBERS).map(lambda pair: f"{min(pair)}-{max(pair)}"),
    NUMBERS.map(lambda number: f">{number}"),
    NUMBERS.map(lambda number: f"<{number}"),
    NUMBERS.map(lambda number: f"at least {number}"),
    st.tuples(NUMBERS, NUMBERS).map(lambda pair: f"{min(pair)}.5-{max(pair)}.5"),
)


@given(st.lists(LABELS, max_size=5))
def test_every_witness_is_true_and_silence_means_whole_numbers_are_sound(labels: Sequence[str]) -> None:
    ranges = [found for found in map(parse_label, labels) if found is not None]
    found = list(inspect_labels(labels))
    for each in found:
        assert not isinstance(each, MixedUnits)
        hits = [one for one in ranges if covers(one, each.witness)]
        if isinstance(each, Overlap):
            assert each.first in hits and each.second in hits
        else:
            assert hits == []
    if sum(each.lower != each.upper for each in ranges) < 2:
        assert found == []
        return
    highest = max(number for each in ranges for number in (each.lower, each.upper) if number is not None)
    for whole in map(Decimal, range(int(highest) + 1)):
        hits = sum(covers(one, whole) for one in ranges)
        if hits > 1:
            assert any(isinstance(each, Overlap) for each in found)
        if hits == 0 and any(one.lower is not None and one.lower > whole for one in ranges):
            assert any(isinstance(each, Hole) for each in found)


def test_labels_in_different_units_are_not_compared() -> None:
    (found,) = inspect_labels(["1–2 weeks", "3–4 weeks", "1–2 months", "over 2 months"])
    assert isinstance(found, MixedUnits)
    assert (found.first.label, found.second.label) == ("1–2 weeks", "1–2 months")


def test_overlaps_in_one_unit_are_found_beside_another() -> None:
    mixed, overlap = inspect_labels(["1–2 weeks", "2–4 weeks", "1–2 months"])
    assert isinstance(mixed, MixedUnits) and isinstance(overlap, Overlap)
    assert overlap.witness == 2


@pytest.mark.parametrize(
    "labels",
    [["0 people", "1 person", "2-5 people", "over 5"], ["0-2 hours per week", "3+ hours"], ["0-5 %", "over 5%"]],
)
def test_one_unit_may_be_written_in_several_ways(labels: list[str]) -> None:
    assert list(inspect_labels(labels)) == []
