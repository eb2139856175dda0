"""The line that each request leaves in the log."""

import logging
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from kit.http.auth import Caller, Principal, TokenVerifier, requires
from kit.http.ownership import Owners
from kit.http.problems import NotFoundProblem, install_problem_handlers
from kit.operators.access import AccessLog
from kit.settings import ServiceSettings
from sandbox.issuer import LocalIssuer


class Settings(ServiceSettings):
    service = "assessment"


class NoPeople:
    """Without a database every caller is who the token says."""

    async def known(self, _request: object, caller: Principal) -> Principal:
        return caller


@pytest.fixture
async def client(issuer: LocalIssuer) -> httpx.AsyncClient:
    app = FastAPI()
    app.state.verifier = TokenVerifier(Settings(oidc_jwks_url=issuer.jwks_url))
    await app.state.verifier.refresh()
    app.state.people = NoPeople()
    install_problem_handlers(app)

    @app.get("/opportunities/{owner_id}", dependencies=[requires("opportunities:read")])
    async def get_opportunity(owner_id: str, caller: Caller) -> str:
        absent = NotFoundProblem("There is none.", code="opportunity_not_found")
        if owner_id == "nobody":
            raise absent
        Owners.seen_by(caller).demand(owner_id, absent)
        return owner_id

    return httpx.AsyncClient(
        transport=httpx.ASGITransport(AccessLog(app, "sample", lambda: "")), base_url="http://test"
    )


@pytest.mark.parametrize(
    ("owner", "role", "status", "expected"),
    [
        ("ann", "rep", 200, {}),
        ("eve", "rep", 404, {"code": "opportunity_not_found", "refused": "not_owner"}),
        ("nobody", "rep", 404, {"code": "opportunity_not_found"}),
        ("ann", "partner", 403, {"code": "missing_scope", "refused": "scope"}),
        ("ann", "", 401, {"code": "unauthenticated", "refused": "token"}),
    ],
)
async def test_it_says_who_was_refused_what_and_why(
    client: httpx.AsyncClient,
    issuer: LocalIssuer,
    caplog: pytest.LogCaptureFixture,
    owner: str,
    role: str,
    status: int,
    expected: dict[str, str],
) -> None:
    headers = {"Authorization": f"Bearer {issuer.token('acme', 'ann', [role])}"} if role else {}
    with caplog.at_level(logging.INFO, "http"):
        answer = await client.get(f"/opportunities/{owner}", headers=headers)
    assert answer.status_code == status
    [line] = [record for record in caplog.records if record.name == "http"]
    fields: dict[str, Any] = line.__dict__["fields"]
    assert fields["operation"] == "get_opportunity"
    assert {name: value for name, value in fields.items() if name in ("code", "refused")} == expected
    assert fields.get("subject") == ("ann" if role else None)
    if status == 404:
        # The reply is the same whether there is none or another's.
        assert answer.json()["detail"] == "There is none."
        assert "not_owner" not in answer.text
