"""Both forms of a Salesforce id are one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.record_ids import full_record_id
from sandbox.salesforce.ids import full_id


@given(st.from_regex(r"0[01][0-9A-Za-z]{13}", fullmatch=True))
def test_a_short_id_becomes_the_one_that_the_org_gives(short: str) -> None:
    assert full_record_id(short) == full_id(short)
    assert full_record_id(full_record_id(short)) == full_record_id(short)


@pytest.mark.parametrize("other", ["", "deal-1", "006Qy00000AbCdEIAV", "006Qy00000AbCd", "abcdefghijklmno"])
def test_other_ids_stay_as_they_are(other: str) -> None:
    assert full_record_id(other) == other
