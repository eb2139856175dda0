"""Who sees which opportunity."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.http.auth import SCOPES_OF, Principal, person_of
from kit.http.ownership import READ_ANY, READ_TEAM, Owners
from kit.http.problems import NotFoundProblem
from sqlalchemy import String, column
from sqlalchemy.dialects import postgresql

PEOPLE = ["ann", "bob", "eve", person_of("", "eve")]
owners = st.sampled_from([*PEOPLE, "", None])
callers = st.builds(
    lambda role, person_id, team, has_left: Principal(
        "acme", "eve", person_id, frozenset({role}), SCOPES_OF[role], team=team, has_left=has_left
    ),
    st.sampled_from(sorted(SCOPES_OF)),
    st.sampled_from(PEOPLE),
    st.frozensets(st.sampled_from(PEOPLE)),
    st.booleans(),
)


@given(callers, owners)
def test_a_caller_sees_their_own_their_teams_or_all(caller: Principal, owner_id: str | None) -> None:
    own = owner_id == caller.person_id or (caller.may(READ_TEAM) and owner_id in caller.team)
    assert Owners.seen_by(caller).include(owner_id) is (caller.may(READ_ANY) or (own and not caller.has_left))
    if owner_id in (None, ""):
        assert Owners.seen_by(caller).include(owner_id) is caller.may(READ_ANY)


def test_only_these_roles_see_more_than_their_own() -> None:
    assert {role for role, scopes in SCOPES_OF.items() if READ_ANY in scopes} == {"admin", "service"}
    assert {role for role, scopes in SCOPES_OF.items() if READ_TEAM in scopes} == {"manager"}


@given(callers, st.lists(owners, max_size=6))
def test_a_query_finds_what_the_check_lets_pass(caller: Principal, owner_ids: list[str | None]) -> None:
    seen = Owners.seen_by(caller)
    condition = seen.condition(column("owner_id", String))
    # Read as PostgreSQL does: SQLite has no arrays.
    wanted = dict(condition.compile(dialect=postgresql.dialect()).params)
    found = [each for each in owner_ids if _holds(str(condition), wanted, each)]
    assert found == [owner_id for owner_id in owner_ids if seen.include(owner_id)]


def _holds(condition: str, wanted: dict[str, object], owner_id: str | None) -> bool:
    if condition in ("true", "false"):
        return condition == "true"
    [value] = wanted.values()
    return owner_id in value if "ANY" in condition else owner_id == value


def test_what_is_not_seen_is_as_absent_and_the_log_says_why() -> None:
    absent = NotFoundProblem("There is no opportunity o1 of yours.", code="opportunity_not_found")
    ann, all_of_them = Owners(frozenset({"ann"})), Owners(None)
    ann.demand("ann", absent)
    all_of_them.demand(None, absent)
    assert absent.refused == ""
    for owner_id in ("eve", "", None):
        with pytest.raises(NotFoundProblem) as caught:
            ann.demand(owner_id, absent)
        assert caught.value is absent
        assert absent.refused == "not_owner"


def test_the_condition_of_all_asks_nothing() -> None:
    assert str(Owners(None).condition(column("owner_id", String))) == "true"
