"""The token endpoint, sessions, and the two doors that take a token."""

import base64
import stat
import time
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from sandbox.salesforce.testing import JWT_BEARER, REPLY_SECONDS, RunningOrg

TOKEN = "/services/oauth2/token"


def grant(org: RunningOrg, **form: str) -> httpx.Response:
    return httpx.post(org.url + TOKEN, data=form, timeout=REPLY_SECONDS)


def bearer(org: RunningOrg, **claims: Any) -> httpx.Response:
    return grant(org, grant_type=JWT_BEARER, assertion=org.assertion(**claims))


def secret(org: RunningOrg) -> str:
    return (org.credentials_dir / "client_secret").read_text()


def test_credentials_are_private_and_the_org_keeps_no_private_half(org: RunningOrg) -> None:
    for name in ("connector.key.pem", "client_secret", "client.json"):
        assert stat.S_IMODE((org.credentials_dir / name).stat().st_mode) == 0o600
    data = b"".join(p.read_bytes() for p in (org.directory / "data").iterdir())
    assert b"PRIVATE KEY" not in data
    assert secret(org).encode() not in data


class TestJwtBearer:
    @pytest.mark.parametrize("unit", [1, 1000])
    def test_exp_may_be_seconds_or_milliseconds(self, org: RunningOrg, unit: int) -> None:
        reply = bearer(org, exp=(int(time.time()) + 100) * unit)
        assert reply.status_code == 200
        body = reply.json()
        assert set(body) == {"access_token", "scope", "instance_url", "id", "token_type"}
        assert body["instance_url"] == org.url
        assert body["access_token"].startswith(org.client["org_id"][:15] + "!")

    @pytest.mark.parametrize(
        ("claims", "error"),
        [
            ({"exp": 1}, "invalid_grant"),
            ({"exp": int(time.time()) + 86_400}, "invalid_grant"),
            ({"exp": None}, "invalid_grant"),
            ({"iss": "someone"}, "invalid_client_id"),
            ({"aud": "https://example.com"}, "invalid_grant"),
            ({"sub": "nobody@example.com"}, "invalid_grant"),
        ],
    )
    def test_a_wrong_claim_is_refused(self, org: RunningOrg, claims: dict[str, Any], error: str) -> None:
        reply = bearer(org, **claims)
        assert reply.status_code == 400
        assert reply.json()["error"] == error
        assert set(reply.json()) == {"error", "error_description"}

    def test_a_foreign_signature_is_refused(self, org: RunningOrg) -> None:
        claims = jwt.decode(
            org.assertion(), RSAKey.import_key((org.credentials_dir / "connector.key.pem").read_bytes())
        ).claims
        forged = jwt.encode({"alg": "RS256"}, claims, RSAKey.generate_key(2048))
        reply = grant(org, grant_type=JWT_BEARER, assertion=forged)
        assert reply.json()["error"] == "invalid_grant"

    def test_the_audience_may_be_the_org_itself(self, org: RunningOrg) -> None:
        assert bearer(org, aud=org.url).status_code == 200


class TestClientCredentials:
    def test_the_secret_may_come_in_the_body_or_by_basic(self, org: RunningOrg) -> None:
        client_id = org.client["client_id"]
        by_body = grant(org, grant_type="client_credentials", client_id=client_id, client_secret=secret(org))
        pair = base64.b64encode(f"{client_id}:{secret(org)}".encode()).decode()
        by_basic = httpx.post(
            org.url + TOKEN,
            data={"grant_type": "client_credentials"},
            headers={"Authorization": f"Basic {pair}"},
            timeout=REPLY_SECONDS,
        )
        for reply in (by_body, by_basic):
            assert reply.status_code == 200
            assert reply.json()["issued_at"].isdigit()
            assert reply.json()["signature"]

    def test_wrong_ones_are_told_apart(self, org: RunningOrg) -> None:
        client_id = org.client["client_id"]
        bad_secret = grant(org, grant_type="client_credentials", client_id=client_id, client_secret="x")
        assert bad_secret.json() == {
            "error": "invalid_client",
            "error_description": "invalid client credentials",
        }
        bad_id = grant(org, grant_type="client_credentials", client_id="x", client_secret=secret(org))
        assert bad_id.json() == {
            "error": "invalid_client_id",
            "error_description": "client identifier invalid",
        }

    def test_another_grant_is_unsupported(self, org: RunningOrg) -> None:
        assert grant(org, grant_type="password").json()["error"] == "unsupported_grant_type"


class TestSessions:
    async def test_a_revoked_token_is_refused_everywhere(self, org: RunningOrg) -> None:
        token = org.token()
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=org.url, headers=headers, timeout=REPLY_SECONDS) as client:
            known = (await client.get("/services/oauth2/userinfo")).json()
            assert known["organization_id"] == org.client["org_id"]
            assert known["preferred_username"] == org.client["username"]
            assert (await client.post("/services/oauth2/revoke", data={"token": token})).status_code == 200
            reply = await client.get("/services/data/v67.0/limits")
            assert reply.status_code == 401
            assert reply.json() == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
            identity = await client.get("/services/oauth2/userinfo")
            assert (identity.status_code, identity.text) == (403, "Bad_OAuth_Token")

    async def test_expiring_all_tokens_ends_open_sessions(self, org: RunningOrg, api: httpx.AsyncClient) -> None:
        assert (await api.get("/limits")).status_code == 200
        org.sim("tokens/expire")
        assert (await api.get("/limits")).status_code == 401

    async def test_a_session_ends_after_two_idle_hours(self, own_org: RunningOrg, own_api: httpx.AsyncClient) -> None:
        own_org.sim("clock", {"seconds": 7000})
        assert (await own_api.get("/limits")).status_code == 200
        own_org.sim("clock", {"seconds": 7000})
        assert (await own_api.get("/limits")).status_code == 200
        own_org.sim("clock", {"seconds": 7300})
        assert (await own_api.get("/limits")).status_code == 401
        own_org.token()

    async def test_a_session_survives_a_kill(self, own_org: RunningOrg, own_api: httpx.AsyncClient) -> None:
        own_org.kill_and_restart()
        assert (await own_api.get("/limits")).status_code == 200


def test_versions_need_no_token(org: RunningOrg) -> None:
    versions = httpx.get(f"{org.url}/services/data", timeout=REPLY_SECONDS).json()
    assert versions[-1] == {"label": "v67.0", "url": "/services/data/v67.0", "version": "67.0"}
