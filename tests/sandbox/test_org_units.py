"""Ids, bitmaps, coercion and SOQL text without a process."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbox.salesforce import schema, soql
from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.events import SELECTED, bitmap, event_schema
from sandbox.salesforce.ids import MalformedId, full_id, make_id, number_of
from sandbox.salesforce.rules import coerce
from sandbox.salesforce.soql import Comparison, Join, Not


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


def test_numbers_are_rounded_half_up_to_their_scale() -> None:
    score = schema.OPPORTUNITY.find("Stagecraft_Score__c")
    assert score is not None
    assert coerce(score, 82.125) == 82.13
    assert coerce(score, "7") == 7.0
    with pytest.raises(ApiError, match="NUMBER_OUTSIDE_VALID_RANGE"):
        coerce(score, 10_000_000)


@pytest.mark.parametrize("text", ["2026-01-02T00:00:00Z", "2026-01-02T00:00:00.000+0000", "2026-01-02T01:00:00+01:00"])
def test_datetimes_are_kept_in_one_form(text: str) -> None:
    field = schema.OPPORTUNITY.find("Stagecraft_Last_Assessed__c")
    assert field is not None
    assert coerce(field, text) == "2026-01-02T00:00:00.000+0000"


def test_a_statement_is_parsed_into_its_parts() -> None:
    query = soql.parse(
        "select Id, Owner.Name from Opportunity where (StageName in ('A','B') or Amount >= 10.5) "
        r"and not Name like 'O\'Neil%' order by Amount desc nulls last, Id limit 5 offset 2"
    )
    assert query.paths == ("Id", "Owner.Name")
    assert query.limit == 5
    assert query.offset == 2
    assert isinstance(query.where, Join)
    assert query.where.word == "AND"
    inner, negated = query.where.terms
    assert isinstance(inner, Join)
    assert inner.word == "OR"
    assert isinstance(negated, Not)
    assert isinstance(negated.term, Comparison)
    assert negated.term.values[0].value == "O'Neil%"
    assert [(o.path, o.descending, o.nulls_last) for o in query.order] == [
        ("Amount", True, True),
        ("Id", False, False),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SELECT",
        "SELECT Id",
        "SELECT Id FROM",
        "SELECT FROM Opportunity",
        "SELECT Id FROM Opportunity WHERE",
        "SELECT Id FROM Opportunity WHERE Name",
        "SELECT Id FROM Opportunity WHERE Name = 'x",
        'SELECT Id FROM Opportunity WHERE Name = "x"',
        "SELECT Id FROM Opportunity WHERE Name IN ()",
        "SELECT Id FROM Opportunity WHERE Name = 'a' AND Name = 'b' OR Name = 'c'",
        "SELECT Id FROM Opportunity WHERE CloseDate = 2026-02-30",
        "SELECT Id FROM Opportunity LIMIT x",
        "SELECT Id, FROM Opportunity",
        "SELECT Id FROM Opportunity; DROP",
    ],
)
def test_a_bad_statement_is_malformed(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        soql.parse(text)
    assert caught.value.code == "MALFORMED_QUERY"


@given(st.text(alphabet="SELECTIdFROMWHERE ='(),0123456789-T:Z\\%", max_size=60))
def test_any_text_parses_or_is_malformed(text: str) -> None:
    try:
        soql.parse(text)
    except ApiError as error:
        assert error.code in {"MALFORMED_QUERY", "NUMBER_OUTSIDE_VALID_RANGE"}
