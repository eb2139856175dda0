"""What tokens say of a caller, and what the roles may do."""

import ast
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.http import auth
from kit.http.auth import SCOPES_OF, TokenVerifier, person_of
from kit.http.problems import UnauthenticatedProblem
from kit.ids import identity_digest
from kit.settings import ServiceSettings
from sandbox.issuer import LocalIssuer
from sandbox.salesforce.ids import full_id, make_id

ROOT = Path(__file__).parents[2]
SCOPE = re.compile(r"[a-z]+(-[a-z]+)*:[a-z]+(-[a-z]+)*")


class Settings(ServiceSettings):
    service = "assessment"


async def verifier(issuer: LocalIssuer, **settings: str) -> TokenVerifier:
    found = TokenVerifier(Settings(oidc_jwks_url=issuer.jwks_url, **settings))
    await found.refresh()
    return found


def test_every_scope_is_granted_and_demanded() -> None:
    """A scope that no role has shuts a door for good; one that nothing asks for promises what is not so."""
    demanded = set[str]()
    for source in [*ROOT.glob("services/*/src/**/*.py"), *ROOT.glob("libs/kit/src/kit/**/*.py")]:
        if source != Path(auth.__file__):
            texts = (node.value for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.Constant))
            demanded |= {text for text in texts if isinstance(text, str) and SCOPE.fullmatch(text)}
    granted = {scope for scopes in SCOPES_OF.values() for scope in scopes}
    assert demanded == granted


def test_who_reviews_or_overrides_sees_opportunities_of_others() -> None:
    for scopes in SCOPES_OF.values():
        if scopes & {"submissions:review", "transitions:override"}:
            assert scopes & {"opportunities:read-team", "opportunities:read-any"}


async def test_managers_see_their_team_or_all(issuer: LocalIssuer) -> None:
    for role in SCOPES_OF:
        token = issuer.token("acme", "mona", [role])
        for choice in ("team", "all"):
            scopes = (await verifier(issuer, managers_see=choice)).verify(token).scopes
            more = {"opportunities:read-any"} if (role, choice) == ("manager", "all") else set[str]()
            assert scopes == SCOPES_OF[role] | more


def test_a_partner_sees_stages_alone() -> None:
    assert SCOPES_OF["partner"] == {"stages:read"}


class TestPerson:
    @given(st.integers(0, 62**7 - 1))
    def test_both_forms_of_a_user_id_are_one_person(self, number: int) -> None:
        user_id = make_id("005", number)
        assert person_of(user_id[:15], "x") == person_of(user_id, "x") == user_id

    @given(st.text("0aZ9xQ", min_size=12, max_size=12))
    def test_the_short_form_is_completed_as_salesforce_does(self, rest: str) -> None:
        assert person_of(f"005{rest}", "x") == full_id(f"005{rest}")

    @pytest.mark.parametrize("claim", ["ann", "006Sg0000000001", "auth0|123456789012", "005short"])
    def test_what_is_no_user_id_of_salesforce_is_left_as_it_is(self, claim: str) -> None:
        assert person_of(claim, "x") == claim

    async def test_the_claim_is_a_setting(self, issuer: LocalIssuer) -> None:
        token = issuer.token("acme", "auth0|7", ["rep"], crm_user_id="005Sg0000000001")
        by_subject = (await verifier(issuer)).verify(token)
        by_claim = (await verifier(issuer, person_claim="crm_user_id")).verify(token)
        assert (by_subject.subject, by_subject.person_id) == ("auth0|7", "auth0|7")
        assert (by_claim.subject, by_claim.person_id) == ("auth0|7", full_id("005Sg0000000001"))

    async def test_without_the_claim_a_caller_owns_nothing(self, issuer: LocalIssuer) -> None:
        caller = (await verifier(issuer, person_claim="crm_user_id")).verify(issuer.token("acme", "005A", ["rep"]))
        assert caller.person_id == "subject:005A"

    async def test_a_name_is_never_taken_for_an_id(self, issuer: LocalIssuer) -> None:
        token = issuer.token("acme", "7", ["rep"], email="005Sg0000000001AAA")
        caller = (await verifier(issuer, person_claim="email", person_claim_is="email")).verify(token)
        assert caller.person_id == "subject:7"
        assert caller.identity == identity_digest("acme", "005Sg0000000001AAA")

    @given(st.text(), st.sampled_from(["acme", "globex"]))
    def test_a_name_has_one_digest_in_a_tenant(self, name: str, tenant: str) -> None:
        assert identity_digest(tenant, name) == identity_digest(tenant, name.lower())
        assert identity_digest(tenant, name) != identity_digest(f"{tenant}x", name)
        assert re.fullmatch("[0-9a-f]{64}", identity_digest(tenant, name))

    async def test_a_claim_of_another_type_is_refused(self, issuer: LocalIssuer) -> None:
        token = issuer.token("acme", "ann", ["rep"], crm_user_id=["005A"])
        with pytest.raises(UnauthenticatedProblem):
            (await verifier(issuer, person_claim="crm_user_id")).verify(token)
