"""Who sees which opportunity."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.http.auth import SCOPES_OF, Principal, person_of
from kit.http.ownership import READ_ANY, Owners
from kit.http.problems import NotFoundProblem
from sqlalchemy import Column, MetaData, String, Table, column, create_engine, insert, select

owners = st.sampled_from(["ann", "eve", "", "subject:eve", None])
callers = st.builds(
    lambda role, person_id: Principal("acme", "eve", person_id, frozenset({role}), SCOPES_OF[role]),
    st.sampled_from(sorted(SCOPES_OF)),
    st.sampled_from(["ann", "eve", person_of("", "eve")]),
)


@given(callers, owners)
def test_a_caller_sees_their_own_or_all(caller: Principal, owner_id: str | None) -> None:
    found = Owners.seen_by(caller)
    assert found.include(owner_id) is (caller.may(READ_ANY) or owner_id == caller.person_id)
    if owner_id in (None, ""):
        assert found.include(owner_id) is caller.may(READ_ANY)


def test_only_these_roles_see_all() -> None:
    assert {role for role, scopes in SCOPES_OF.items() if READ_ANY in scopes} == {"manager", "admin", "service"}


@given(callers, st.lists(owners, max_size=6))
def test_a_query_finds_what_the_check_lets_pass(caller: Principal, owner_ids: list[str | None]) -> None:
    table = Table("opportunity", MetaData(), Column("owner_id", String))
    engine, seen = create_engine("sqlite://"), Owners.seen_by(caller)
    with engine.connect() as connection:
        table.create(connection)
        for owner_id in owner_ids:
            connection.execute(insert(table).values(owner_id=owner_id))
        found = connection.execute(select(table.c.owner_id).where(seen.condition(table.c.owner_id))).scalars()
        assert list(found) == [owner_id for owner_id in owner_ids if seen.include(owner_id)]


def test_what_is_not_seen_is_as_absent_and_the_log_says_why() -> None:
    absent = NotFoundProblem("There is no opportunity o1 of yours.", code="opportunity_not_found")
    Owners("ann").demand("ann", absent)
    Owners(None).demand(None, absent)
    assert absent.refused == ""
    for owner_id in ("eve", "", None):
        with pytest.raises(NotFoundProblem) as caught:
            Owners("ann").demand(owner_id, absent)
        assert caught.value is absent
        assert absent.refused == "not_owner"


def test_the_condition_of_all_asks_nothing() -> None:
    assert str(Owners(None).condition(column("owner_id", String))) == "true"
