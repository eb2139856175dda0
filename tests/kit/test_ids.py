"""Ids keep the order and the time of their making."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.ids import derived, uuid7, uuid_of


def test_ids_are_ordered_and_of_version_7():
    ids = [uuid7() for _ in range(10_000)]
    assert ids == sorted(set(ids))
    assert {i.version for i in ids} == {7}
    assert {i.variant for i in ids} == {"specified in RFC 4122"}


def test_derived_ids_keep_the_time_of_their_origin_and_are_the_same_every_time():
    origin, other = uuid7(), uuid7()
    ids = {derived(o, name) for o in (origin, other) for name in ("score", "intent", "")}
    assert len(ids) == 6
    assert derived(origin, "score") in ids
    assert {i.version for i in ids} == {8}
    assert {i.variant for i in ids} == {"specified in RFC 4122"}
    assert derived(origin, "score").int >> 80 == origin.int >> 80


@given(st.uuids())
def test_an_id_is_read_as_it_is_written(value):
    read = uuid_of(str(value))
    assert (read, hash(read), str(read), read.bytes) == (value, hash(value), str(value), value.bytes)
    for other in (f"{{{value}}}", f"urn:uuid:{value}", str(value)[1:], f"{value}0", f"g{str(value)[1:]}"):
        with pytest.raises(ValueError, match="UUID"):
            uuid_of(other)
