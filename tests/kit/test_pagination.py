"""Cursors."""

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.http.pagination import PageRequest, decode_cursor, encode_cursor, signature_of
from kit.http.problems import InvalidProblem


@given(st.lists(st.one_of(st.integers(), st.text())), st.text(min_size=1), st.integers(0, 200), st.integers(1, 255))
def test_a_cursor_fits_its_tenant_only_and_no_byte_may_change(key, tenant, position, flip):
    signature = signature_of(b"secret", "a list", tenant)
    cursor = encode_cursor(signature, key)
    assert json.loads(decode_cursor(signature, cursor)) == key
    for other in (signature_of(b"secret", "a list", tenant + "x"), signature_of(b"other", "a list", tenant)):
        with pytest.raises(InvalidProblem):
            decode_cursor(other, cursor)
    at = position % len(cursor)
    altered = cursor[:at] + chr((ord(cursor[at]) + flip) % 128) + cursor[at + 1 :]
    if altered != cursor:
        try:
            assert json.loads(decode_cursor(signature, altered)) == key  # base64 ignores bits that carry nothing
        except InvalidProblem:
            pass


_STORABLE = st.text(alphabet=st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))


@given(_STORABLE, st.integers(-(2**63), 2**63 - 1), st.datetimes(timezones=st.just(UTC)))
def test_a_key_comes_back_as_it_was(text, number, moment):
    signature = signature_of(b"secret", "a list", "acme")

    def after(key, *kinds):
        return PageRequest(signature, decode_cursor(signature, encode_cursor(signature, key)), 1).after(*kinds)

    assert after([text], str) == text
    assert after([number, text], int, str) == (number, text)
    assert after([moment, UUID(int=1), text], datetime, UUID, str) == (moment, UUID(int=1), text)
    with pytest.raises(InvalidProblem):
        after([text, number], str)
    with pytest.raises(InvalidProblem):
        after([number], str)
    assert PageRequest(signature, None, 1).after(int) is None
