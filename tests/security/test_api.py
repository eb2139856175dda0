"""Every operation of every service, called by those who may not, and with what it cannot take."""

import base64
import hashlib
import json

import pytest
from kit.http.etag import etag
from kit.http.pagination import encode_cursor, signature_of

from tests.security.attacks.operations import BODIES, NOWHERE

pytestmark = pytest.mark.stack

DEEP = 10_000
UNREADABLE = {
    "half an object": (b'{"a": ', {422: "malformed_json"}),
    "no JSON": (b"title=a", {422: "malformed_json"}),
    "nothing": (b"", {422: "validation_failed"}),
    "a list": (b"[]", {422: "validation_failed"}),
    "a number": (b"7", {422: "validation_failed"}),
    "deep lists": (b"[" * DEEP + b"]" * DEEP, {400: "malformed_json"}),
    "deep objects": (b'{"a":' * DEEP, {400: "malformed_json"}),
    "a number of 5,000 digits": (b'{"a": ' + b"9" * 5000 + b"}", {400: "malformed_json"}),
    "ten megabytes": (b'{"a": "' + b"x" * 10_000_000 + b'"}', {413: "body_too_large"}),
    "UTF-16": ('{"a": "\\u0000"}'.encode("utf-16"), {422: "bad_text"}),
    "UTF-16 without a mark": ('{"a": "\\u0000"}'.encode("utf-16-le"), {422: "bad_text"}),
    "half a surrogate pair, raw": (b'{"a": "\xed\xa0\x80"}', {422: "bad_text"}),
    "no UTF-8": (b'{"a": "\xff"}', {422: "bad_text"}),
}


def complaints_of(answer, expected, name):
    """What is wrong with a refusal: its status and code, or that it is no problem document."""
    if answer.headers.get("content-type") != "application/problem+json":
        return [f"{name}: {answer.status_code} {answer.headers.get('content-type')}"]
    problem = answer.json()
    found = {answer.status_code: problem["code"]}
    told = problem["status"] == answer.status_code and problem["type"].endswith(problem["code"]) and problem["detail"]
    return [] if found == expected and told else [f"{name}: {found}, expected {expected}"]


async def ask(service, operation, query, headers):
    """The answer of a list, some of which take a body."""
    body = {"json": BODIES[operation.name]} if operation.has_body else {}
    return await service.client.request(operation.method, operation.url({}), params=query, headers=headers, **body)


async def walk(service, operations, expected, **options):
    """Call each operation and collect what is wrong with the answers."""
    found = []
    for operation in operations:
        given = {"params": operation.query()} | options
        if operation.has_body and "content" not in given:
            given["json"] = {}
        answer = await service.client.request(operation.method, operation.url({}), **given)
        found += complaints_of(answer, expected, operation.name)
    assert len(operations) > 0
    return found


async def test_without_a_token_nothing_is_told(service, operations):
    assert await walk(service, operations, {401: "unauthenticated"}) == []


async def test_a_token_without_scopes_opens_nothing(service, operations, tenant):
    for roles in ([], ["no such role"], ["rep ", "ADMIN"], [""]):
        headers = {"Authorization": f"Bearer {service.issuer.token(tenant, 'eve', roles)}"}
        assert await walk(service, operations, {403: "missing_scope"}, headers=headers) == []


async def test_roles_that_are_no_list_are_refused(service, operations, tenant):
    headers = {"Authorization": f"Bearer {service.issuer.token(tenant, 'eve', [['admin']])}"}
    answer = await service.client.get(operations[0].url({}), headers=headers)
    assert complaints_of(answer, {401: "token_invalid"}, "a list in the roles") == []


async def test_changes_without_if_match_are_refused(service, operations, tenant):
    guarded = [operation for operation in operations if operation.parameter("if-match")]
    for operation in guarded:
        given = {"json": BODIES[operation.name], "headers": service.headers(tenant)}
        answer = await service.client.request(operation.method, operation.url({}), **given)
        assert complaints_of(answer, {428: "precondition_required"}, operation.name) == []
    assert len(guarded) == {"recommender": 0, "stage-engine": 19, "crm-connector": 2}.get(service.settings.service, 1)


@pytest.mark.parametrize("kind", UNREADABLE)
async def test_unreadable_bodies_are_refused(service, operations, tenant, kind):
    body, expected = UNREADABLE[kind]
    headers = service.headers(tenant) | {"content-type": "application/json", "if-match": etag(1)}
    taking = [o for o in operations if o.has_body and (body or o.document["requestBody"].get("required"))]
    if taking:
        assert await walk(service, taking, expected, content=body, headers=headers) == []


# Of every shape that JSON has, signed as the service itself would.
FORGED_KEYS = (
    [], ["x"], [1], [-(2**70)], [2**70], [True], [None], [1.5], [[]], [{}], ["a\x00"], ["x", "y"], [1, 2], ["x"] * 3,
    ["2026-01-01T00:00:00", NOWHERE], ["2026-01-01T00:00:00Z", "x"], ["0001-01-01T00:00:00+14:00", NOWHERE],
    [NOWHERE], {"a": 1}, "x", 7,
)  # fmt: skip


async def test_a_list_refuses_the_cursor_of_every_other_list_and_tenant(service, operations, tenant):
    headers, secret = service.headers(tenant), service.settings.cursor_secret
    lists = [operation for operation in operations if operation.parameter("cursor")]
    for operation in lists:
        others = [(other.name, tenant) for other in lists if other is not operation]
        for name, owner in [*others, (operation.name, f"{tenant}-b"), ("", tenant)]:
            for key in (["x"], [1], [NOWHERE]):
                cursor = encode_cursor(signature_of(secret, name, owner), key)
                query = operation.query() | {"cursor": cursor}
                answer = await ask(service, operation, query, headers)
                assert complaints_of(answer, {422: "invalid_cursor"}, f"{operation.name} with {name}") == []


async def test_every_operation_refuses_a_parameter_that_it_would_ignore(service, operations, tenant):
    headers = service.headers(tenant)
    for operation in [operation for operation in operations if operation.method == "GET"]:
        known = [
            parameter["name"] for parameter in operation.document.get("parameters", []) if parameter["in"] == "query"
        ]
        for name in ("owner", "Limit", "limit ", "stage_key[]", "cursors"):
            query = operation.query() | {name: "x"}
            answer = await service.client.get(operation.url({}), params=query, headers=headers)
            assert complaints_of(answer, {422: "unknown_parameter"}, f"{operation.name}?{name}") == []
            assert all(each in answer.json()["detail"] for each in known)
        for name in known:
            query = [*operation.query().items(), (name, "a"), (name, "b")]
            answer = await service.client.get(operation.url({}), params=query, headers=headers)
            assert complaints_of(answer, {422: "repeated_parameter"}, f"{operation.name}?{name} twice") == []


async def test_every_list_refuses_a_limit_that_is_none(service, operations, tenant):
    headers = service.headers(tenant)
    lists = [operation for operation in operations if operation.parameter("limit")]
    for operation in lists:
        for limit in ("0", "-1", "201", "1000000000000", "x", "", "1.5", "1e1", "٣"):
            query = operation.query() | {"limit": limit}
            answer = await ask(service, operation, query, headers)
            assert complaints_of(answer, {422: "validation_failed"}, f"{operation.name}?limit={limit}") == []
            assert answer.json()["errors"][0]["pointer"] == "/query/limit"
        for cursor in ("x", "a" * 2001, "!", "%00", " "):
            query = operation.query() | {"cursor": cursor}
            answer = await ask(service, operation, query, headers)
            assert answer.status_code == 422, (operation.name, cursor, answer.text)
    assert len(lists) >= 2


async def test_a_cursor_made_without_the_secret_is_refused(service, operations, tenant):
    headers = service.headers(tenant)
    for operation in [operation for operation in operations if operation.parameter("cursor")]:
        for secret in (b"", b"stagecraft", operation.name.encode()):
            cursor = encode_cursor(signature_of(secret, operation.name, tenant), [1])
            query = operation.query() | {"cursor": cursor}
            answer = await ask(service, operation, query, headers)
            assert complaints_of(answer, {422: "invalid_cursor"}, operation.name) == []


async def test_a_cursor_with_any_key_is_a_page_or_refused(service, operations, tenant):
    """Also where the signature is right, as with a key of an older release."""
    headers = service.headers(tenant)
    for operation in [operation for operation in operations if operation.parameter("cursor")]:
        signature = signature_of(service.settings.cursor_secret, operation.name, tenant)
        for key in FORGED_KEYS:
            body = json.dumps(key).encode()
            check = hashlib.blake2b(body, digest_size=16, key=signature).digest()
            query = operation.query() | {"cursor": base64.urlsafe_b64encode(check + body).decode()}
            answer = await ask(service, operation, query, headers)
            assert answer.status_code in (200, 404, 422), (operation.name, key, answer.text)
            if answer.status_code == 422:
                assert answer.json()["code"] == "invalid_cursor", (operation.name, key)


async def test_paths_that_name_nothing_possible_are_not_found(service, operations, tenant):
    headers = service.headers(tenant)
    for operation in [o for o in operations if o.method == "GET" and o.path_parameters]:
        for strange in ("%00", "a%00b", "%F0%9F%98%80", "%ED%A0%80", "..%2f..%2fadmin", "'; DROP TABLE audit --"):
            url = operation.url(dict.fromkeys(operation.path_parameters, strange))
            answer = await service.client.get(url, params=operation.query(), headers=headers)
            empty = answer.status_code == 200 and answer.json()["items"] == []
            assert empty or answer.status_code in (404, 422), (operation.name, strange, answer.text)


async def test_unknown_paths_and_methods_are_problems(service, operations, tenant):
    headers = service.headers(tenant)
    answer = await service.client.get("/v1/nothing-here", headers=headers)
    assert complaints_of(answer, {404: "not_found"}, "unknown path") == []
    answer = await service.client.delete(operations[0].url({}), headers=headers)
    assert complaints_of(answer, {405: "method_not_allowed"}, "unknown method") == []


async def test_a_key_used_for_one_request_serves_no_other(service, operations, tenant):
    """The same key for another operation, whose answer it must not replay."""
    headers = service.headers(tenant) | {"Idempotency-Key": "k" * 255}
    posts = [o for o in operations if o.method == "POST" and not o.path_parameters]
    replays = [o for o in operations if o.name == "replay_the_dead_letter"]
    first, answers = (posts or replays)[0], []
    for body in ({"json": BODIES.get(first.name, {})}, {"json": {**BODIES.get(first.name, {}), "more": "x" * 9}}):
        answers.append(await service.client.request(first.method, first.url({}), headers=headers, **body))
    if answers[0].status_code < 300:
        assert complaints_of(answers[1], {422: "idempotency_key_reused"}, first.name) == []
    long = headers | {"Idempotency-Key": "k" * 256}
    answer = await service.client.request(first.method, first.url({}), headers=long, json=BODIES.get(first.name, {}))
    assert complaints_of(answer, {422: "bad_idempotency_key"}, first.name) == []


@pytest.mark.parametrize("service", ["assessment"], indirect=True, scope="module")
@pytest.mark.parametrize("bad", ["a\\u0000b", "\\ud800", "\\udfff\\ud800"])
async def test_text_that_cannot_be_stored_refuses_its_item_only(service, tenant, bad):
    good = {"submission_id": NOWHERE, "visit": {"stage_key": "s", "visit_no": 1}, "sent_at": "2026-03-02T09:30:00Z"}
    good |= BODIES["put_submission"] | {"answers": {"compliance": "BAD"}, "definition_hash": "0" * 64}
    items = [{**good, name: "BAD"} for name in good if name not in ("answers", "visit")]
    items += [{**good, "visit": {"stage_key": "BAD", "visit_no": 1}}, {**good, "answers": {"BAD": True}}, good, "BAD"]
    body = json.dumps({"items": items}).replace("BAD", bad).encode()
    headers = service.headers(tenant) | {"content-type": "application/json"}
    answer = await service.client.post("/v1/submission-batches", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert [item["status"] for item in answer.json()["items"]] == ["rejected"] * len(items)
