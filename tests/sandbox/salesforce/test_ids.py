"""Ids as the org makes and reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbox.salesforce.ids import MalformedId, full_id, make_id, number_of


def test_a_known_id_gets_its_known_suffix() -> None:
    assert full_id("00130000000pGJT") == "00130000000pGJTAA2"
    assert full_id("00130000000pGJTAA2") == "00130000000pGJTAA2"


@pytest.mark.parametrize("text", ["", "006", "00130000000pGJTAA3", "00130000000pGJ!"])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(MalformedId):
        full_id(text)


@given(st.integers(0, 62**7 - 1), st.integers(0, 62**7 - 1))
def test_made_ids_round_trip_and_sort_by_number(one: int, other: int) -> None:
    assert number_of(make_id("006", one)) == one
    assert (make_id("006", one)[:15] < make_id("006", other)[:15]) == (one < other)
