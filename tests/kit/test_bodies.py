"""What a body may hold, and who may send one."""

import asyncio
import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.app import create_app
from kit.fairness.fair_use import LOOK_SECONDS
from kit.http.bodies import BATCH_BODY, DOCUMENT_BODY, USUAL_BODY, accepts, has_bad_escape
from kit.http.web import router
from kit.settings import ServiceSettings
from sandbox.issuer import LocalIssuer
from testing.pace import spent


@pytest.mark.parametrize("bad", [rb"\u0000", rb"\\\u0000", rb"\ud800", rb"\uDFFF", rb"\ud800x"])
def test_text_that_cannot_be_stored_is_found(bad):
    assert has_bad_escape(b'{"a": "' + bad + b'"}')


@pytest.mark.parametrize("good", [rb"\\u0000", rb"\ud83d\ude00", rb"\u00e9", b"\xf0\x9f\x98\x80"])
def test_text_that_can_be_stored_passes(good):
    assert not has_bad_escape(b'{"a": "' + good + b'"}')


_ESCAPES = [
    r"\\",
    r"\n",
    r"\u0000",
    r"\u00e9",
    r"\ud83d",
    r"\uDE00",
    r"\ud83d\ude00",
    r"\uD800",
    "u0000",
    "ud800",
    "é",
    "x",
]


@given(st.lists(st.sampled_from(_ESCAPES), max_size=8).map("".join))
def test_it_is_found_wherever_the_parsed_text_holds_it(text):
    parsed = json.loads(f'"{text}"')
    bad = "\0" in parsed or any(0xD800 <= ord(char) < 0xE000 for char in parsed)
    assert has_bad_escape(f'"{text}"'.encode()) is bad


@pytest.mark.parametrize("unit", [rb"\ud83d\ude00", rb"\\", b"x", rb"\u0001", rb"\\u0000"])
def test_the_largest_body_is_judged_in_time_that_grows_with_its_length(unit):
    content = b'"' + unit * (BATCH_BODY // len(unit)) + b'"'
    with spent() as taken:
        bad = has_bad_escape(content)
    assert not bad and taken.seconds < 0.5


class Settings(ServiceSettings):
    service = "sample"


def an_app(issuer):
    api = router("sample")

    @api.post("/usual")
    async def usual(body: dict[str, str]) -> int:
        return len(body)

    @api.post("/documents")
    @accepts(DOCUMENT_BODY)
    async def documents(body: dict[str, str]) -> int:
        return len(body)

    settings = Settings(environment="test", oidc_jwks_url=issuer.jwks_url)
    return create_app(settings, description="A sample", routers=[api])


class Upload:
    """A body in pieces that counts how much of it was read."""

    def __init__(self, length):
        self.length, self.read = length, 0

    async def __aiter__(self):
        yield b'{"a": "'
        while self.read < self.length:
            self.read += 1024
            yield b"x" * 1024
        yield b'"}'


@pytest.fixture
def issuer(tmp_path):
    return LocalIssuer(tmp_path)


@pytest.fixture
async def client(issuer):
    app = an_app(issuer)
    await app.state.verifier.refresh()
    app.state.runtime.waits_for = ""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def send(client, path, upload, token):
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"} if token else {}
    return await client.post(path, content=upload, headers=headers)


async def test_nothing_is_read_of_a_request_whose_path_cannot_be_stored(client, issuer):
    upload = Upload(10_000_000)
    answer = await send(client, "/v1/usual?a=%00", upload, issuer.token("acme", "ann", ["rep"]))
    assert (answer.status_code, upload.read) == (404, 0)


async def test_nothing_is_read_of_a_tenant_that_takes_more_than_its_part(client, issuer):
    fair_use = client._transport.app.state.fair_use
    for tenant, seconds in (("quiet", 0.001), ("heavy", 9)):
        _, taken = fair_use.enter(tenant)
        fair_use.leave(tenant, seconds, taken)
    await asyncio.sleep(LOOK_SECONDS)
    upload = Upload(10_000)
    answer = await send(client, "/v1/usual", upload, issuer.token("heavy", "ann", ["rep"]))
    assert (answer.status_code, answer.json()["code"], upload.read) == (429, "too_many_requests", 0)
    assert int(answer.headers["retry-after"]) > 3
    assert (await send(client, "/v1/usual", upload, issuer.token("quiet", "ann", ["rep"]))).status_code == 200


@pytest.mark.parametrize("token", ["", "nonsense"])
async def test_nothing_is_read_from_a_caller_without_a_valid_token(client, token):
    upload = Upload(10_000_000)
    answer = await send(client, "/v1/usual", upload, token)
    assert answer.status_code == 401
    assert upload.read == 0


@pytest.mark.parametrize(("path", "limit"), [("/v1/usual", USUAL_BODY), ("/v1/documents", DOCUMENT_BODY)])
async def test_an_endpoint_reads_no_more_than_its_limit(client, issuer, path, limit):
    token = issuer.token("acme", "ann", ["admin"])
    fits = await send(client, path, Upload(limit - 2048), token)
    assert fits.status_code == 200
    upload = Upload(10_000_000)
    answer = await send(client, path, upload, token)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert str(limit) in answer.json()["detail"]
