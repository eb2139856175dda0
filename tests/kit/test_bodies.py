"""What a body may hold, and who may send one."""

import httpx
import pytest
from kit.app import create_app
from kit.http.bodies import _BAD_TEXT, DOCUMENT_BODY, USUAL_BODY, accepts
from kit.http.web import router
from kit.settings import ServiceSettings
from sandbox.issuer import LocalIssuer


@pytest.mark.parametrize("bad", [rb"\u0000", rb"\\\u0000", rb"\ud800", rb"\uDFFF", rb"\ud800x"])
def test_text_that_cannot_be_stored_is_found(bad):
    assert _BAD_TEXT.search(b'{"a": "' + bad + b'"}')


@pytest.mark.parametrize("good", [rb"\\u0000", rb"\ud83d\ude00", rb"\u00e9", b"\xf0\x9f\x98\x80"])
def test_text_that_can_be_stored_passes(good):
    assert not _BAD_TEXT.search(b'{"a": "' + good + b'"}')


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
