"""Change events: their bitmaps and the ids of their schemas."""

from hypothesis import given
from hypothesis import strategies as st
from sandbox.salesforce import schema
from sandbox.salesforce.events import SELECTED, bitmap, event_schema


def test_bitmaps_match_the_published_vectors() -> None:
    assert bitmap([11, 22]) == ["0x400800"]
    assert bitmap([22]) == ["0x400000"]
    assert bitmap([]) == []


@given(st.sets(st.integers(1, 60), min_size=1))
def test_bitmaps_are_even_upper_case_hex_of_the_bits(bits: set[int]) -> None:
    (text,) = bitmap(bits)
    assert len(text) % 2 == 0
    assert text[2:] == text[2:].upper()
    value = int(text, 16)
    assert {bit for bit in range(64) if value >> bit & 1} == bits


def test_event_schema_ids_have_the_real_form_and_follow_the_content() -> None:
    form = SELECTED["Opportunity"]
    assert len(form.id) == 22
    assert form.id == event_schema(schema.OPPORTUNITY).id
    assert form.id != event_schema(schema.ACCOUNT).id
    assert all(f["default"] is None and f["type"][0] == "null" for f in form.parsed["fields"][1:])
