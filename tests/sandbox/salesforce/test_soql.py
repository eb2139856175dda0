"""Statements of SOQL: parsed, or refused as malformed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbox.salesforce import soql
from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.soql import Comparison, Join, Not


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
