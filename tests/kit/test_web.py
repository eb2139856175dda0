"""What every route promises, on a real database."""

import asyncio
import time

import pytest
from joserfc import jwt
from sandbox.issuer import LocalIssuer
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored

pytestmark = pytest.mark.stack


async def create(service, tenant, body="a", **headers):
    return await service.client.post("/v1/notes", json={"text": body}, headers=service.headers(tenant) | headers)


async def test_one_idempotency_key_acts_once_and_answers_the_same(service, tenant):
    headers = {"Idempotency-Key": "k1"}
    answers = await asyncio.gather(*(create(service, tenant, **headers) for _ in range(8)))
    assert {a.status_code for a in answers} == {201}
    assert len({a.text for a in answers}) == 1
    assert sorted(a.headers.get("idempotent-replay", "") for a in answers) == [""] + ["true"] * 7
    assert all(a.headers["etag"] == '"1"' for a in answers)
    assert len(await service.events(SubmissionScored, tenant=tenant, count=1)) == 1


async def test_an_idempotency_key_with_another_body_is_refused(service, tenant):
    await create(service, tenant, "a", **{"Idempotency-Key": "k"})
    answer = await create(service, tenant, "b", **{"Idempotency-Key": "k"})
    assert answer.status_code == 422
    assert answer.json()["code"] == "idempotency_key_reused"


async def test_the_key_of_one_tenant_means_nothing_to_another(service, tenant):
    first = await create(service, tenant, **{"Idempotency-Key": "k"})
    second = await create(service, tenant + "-b", **{"Idempotency-Key": "k"})
    assert first.json() != second.json()


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("", "unauthenticated"),
        ("nonsense", "token_invalid"),
        ("expired", "token_expired"),
        ("forged", "token_invalid"),
        ("audience", "token_invalid"),
        ("none", "token_invalid"),
    ],
)
async def test_a_bad_token_is_refused_with_its_reason(service, tenant, tmp_path, token, code):
    none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIiwidGVuYW50X2lkIjoiYiIsInJvbGVzIjpbImFkbWluIl19."
    tokens = {
        "expired": service.issuer.token(tenant, "ann", ["admin"], -3600),
        "forged": LocalIssuer(tmp_path / "forged").token(tenant, "ann", ["admin"]),
        "none": none,
    }
    audience = LocalIssuer.__new__(LocalIssuer)
    audience.__dict__.update(service.issuer.__dict__ | {"_audience": "other"})
    tokens["audience"] = audience.token(tenant, "ann", ["admin"])
    headers = {"Authorization": f"Bearer {tokens.get(token, token)}"} if token else {}
    answer = await service.client.get("/v1/notes", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["code"] == code
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "wrong",
    [
        {"exp": 10**400},
        {"exp": -(10**400)},
        {"exp": "soon"},
        {"exp": [1]},
        {"exp": None},
        {"iat": 10**400},
        {"nbf": 10**400},
        {"tenant_id": "-"},
        {"tenant_id": ""},
        {"tenant_id": "t" * 91},
        {"tenant_id": 7},
        {"sub": {}},
        {"roles": "admin"},
        {"roles": [7]},
    ],
    ids=lambda wrong: f"{next(iter(wrong))} {str(next(iter(wrong.values())))[:9]}",
)
async def test_a_claim_that_makes_no_sense_is_refused(service, tenant, wrong):
    issuer, now = service.issuer, int(time.time())
    claims = {"iss": issuer._issuer, "aud": issuer._audience, "sub": "ann", "tenant_id": tenant, "roles": ["admin"]}
    key = issuer._key
    token = jwt.encode({"alg": "RS256", "kid": key.kid}, claims | {"iat": now, "exp": now + 60} | wrong, key)
    answer = await service.client.get("/v1/notes", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    assert answer.json()["code"] in ("token_invalid", "token_expired")


async def test_a_missing_scope_is_named(service, tenant):
    answer = await service.client.post("/v1/notes", json={"text": "a"}, headers=service.headers(tenant, "rep"))
    assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")
    assert "a token of one of these roles has it: " in answer.json()["detail"]
    assert answer.json()["scope"] == "assessments:write"


async def test_changes_need_the_current_etag(service, tenant):
    note_id = (await create(service, tenant)).json()["note_id"]
    path, headers = f"/v1/notes/{note_id}", service.headers(tenant)
    put = service.client.put
    assert (await put(path, json={"text": "b"}, headers=headers)).status_code == 428
    assert (await put(path, json={"text": "b"}, headers=headers | {"If-Match": '"9"'})).status_code == 412
    assert (await put(path, json={"text": "b"}, headers=headers | {"If-Match": "zz"})).status_code == 422
    assert (await put(path, json={"text": "b"}, headers=headers | {"If-Match": '"1"'})).status_code == 200


async def test_pages_follow_each_other_and_refuse_altered_cursors(service, tenant):
    for number in range(5):
        await create(service, tenant, str(number))
    seen, cursor = [], ""
    while cursor is not None:
        answer = await service.client.get(
            "/v1/notes", params={"limit": 2, **({"cursor": cursor} if cursor else {})}, headers=service.headers(tenant)
        )
        seen += answer.json()["items"]
        cursor, last = answer.json()["next_cursor"], cursor
    assert seen == list("01234")
    for bad in (("y" if last[0] == "x" else "x") + last[1:], "!", "a" * 9):
        answer = await service.client.get("/v1/notes", params={"cursor": bad}, headers=service.headers(tenant))
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor")
    other = await service.client.get("/v1/notes", params={"cursor": last}, headers=service.headers(tenant + "x"))
    assert other.status_code == 422


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 422, "malformed_json"),
        (b'{"text": 5}', 422, "validation_failed"),
        (b'{"text": "a\\u0000"}', 422, "bad_text"),
        (b'{"text": "\\ud800"}', 422, "bad_text"),
        (b'{"text": "' + b"x" * 6_000_000 + b'"}', 413, "body_too_large"),
        (b"[" * 60_000, 400, "malformed_json"),
    ],
)
async def test_bad_bodies_are_refused_as_problems(service, tenant, body, status, code):
    headers = service.headers(tenant) | {"content-type": "application/json"}
    answer = await service.client.post("/v1/notes", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_no_row_of_another_tenant_can_be_read_or_written(service, tenant):
    await create(service, tenant)
    for setting in ("another", "", "*", "' OR true --"):
        async with service.database.unit_of_work(setting) as uow:
            assert (await uow.session.execute(text("SELECT count(*) FROM note"))).scalar() == 0
    with pytest.raises(DBAPIError, match="row-level security"):
        async with service.database.unit_of_work("another") as uow:
            insert = text("INSERT INTO note VALUES (:t, gen_random_uuid(), 'x', 1)")
            await uow.session.execute(insert, {"t": tenant})


async def test_without_a_tenant_nothing_is_visible(service, tenant):
    await create(service, tenant)
    async with service.database.engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM note"))).scalar() == 0


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'x'", "DELETE FROM audit", "DROP TABLE note"])
async def test_the_application_cannot_alter_the_audit_or_the_schema(service, tenant, statement):
    await create(service, tenant)
    with pytest.raises(DBAPIError, match=r"permission denied|must be owner"):
        async with service.database.unit_of_work(tenant) as uow:
            await uow.session.execute(text(statement))


async def test_changes_are_audited(service, tenant):
    await create(service, tenant)
    answer = await service.client.get("/v1/audit-entries", headers=service.headers(tenant))
    (entry,) = answer.json()["items"]
    assert (entry["action"], entry["actor"]) == ("note.created", "admin")


async def test_health_and_metrics_tell_the_truth(service, monkeypatch, eventually):
    assert (await service.client.get("/livez")).status_code == 200

    async def ready():
        assert (await service.client.get("/readyz")).json() == {"ready": True, "reasons": []}

    await eventually(ready)
    assert "outbox_oldest_age_seconds" in (await service.client.get("/metrics")).text
    now = time.monotonic()
    monkeypatch.setattr(service.runtime.watchdog, "_clock", lambda: now)
    monkeypatch.setitem(service.runtime.watchdog._beats, "a loop", (now - 60, "it was told to"))
    answer = await service.client.get("/livez")
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["a loop has not run for 60 s, since it was told to"]
