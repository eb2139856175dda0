"""Access tokens: REST and Pub/Sub ask one provider on every call, so that none is kept after it has expired."""

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import RSAKey
from pydantic import TypeAdapter, ValidationError

from crm_connector.salesforce.errors import AuthRefused, NotReached, OutcomeUnknown
from crm_connector.salesforce.replies import read

_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# Salesforce accepts an assertion for at most three minutes.
_ASSERTION_SECONDS = 180
# Neither flow states a lifetime; the org's default is two hours.
_SESSION_SECONDS = 7200.0
_REFRESH_AT = 0.8


@dataclass(frozen=True, slots=True)
class Session:
    """A token and where it is good."""

    token: str
    instance_url: str
    org_id: str


@dataclass(frozen=True, slots=True)
class _Token:
    """`id` is the identity URL, which ends in /id/{organisation}/{user}."""

    access_token: str
    instance_url: str
    id: str


@dataclass(frozen=True, slots=True)
class _TokenError:
    error: str
    error_description: str = ""


_TOKEN = TypeAdapter(_Token)
_TOKEN_ERROR = TypeAdapter(_TokenError)


@dataclass(frozen=True)
class JwtBearer:
    """Proof by a signed assertion; the public half of the key is uploaded to the org."""

    client_id: str
    username: str
    audience: str
    key_file: Path

    def form(self) -> dict[str, str]:
        """The token request's fields."""
        claims = {
            "iss": self.client_id,
            "sub": self.username,
            "aud": self.audience,
            "exp": int(time.time()) + _ASSERTION_SECONDS,
        }
        key = RSAKey.import_key(self.key_file.read_bytes())
        assertion = jwt.encode({"alg": "RS256"}, claims, key)
        return {"grant_type": _JWT_BEARER, "assertion": assertion}

    def fingerprint(self) -> str:
        """Changes when the credentials do."""
        return _digest(self.client_id, self.username, self.key_file.read_text())


@dataclass(frozen=True)
class ClientCredentials:
    """Proof by a shared secret; the app's Run-As user acts."""

    client_id: str
    secret_file: Path

    def form(self) -> dict[str, str]:
        """The token request's fields."""
        return {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.secret_file.read_text().strip(),
        }

    def fingerprint(self) -> str:
        """Changes when the credentials do."""
        return _digest(self.client_id, self.secret_file.read_text())


class Sessions:
    """Mints a session when there is none, when most of its life is over, and when the org rejects it. However many
    callers want one, one request is made. Credentials the org has refused are not offered a second time."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        login_url: str,
        credentials: JwtBearer | ClientCredentials,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._url = login_url.rstrip("/") + "/services/oauth2/token"
        self._credentials = credentials
        self._clock = clock
        self._mint = asyncio.Lock()
        self._session: Session | None = None
        self._minted_at = 0.0
        self._refused: tuple[str, AuthRefused] | None = None

    async def current(self) -> Session:
        """A session with life left. AuthRefused, NotReached, OutcomeUnknown."""
        async with self._mint:
            if self._session is None or self._clock() - self._minted_at > _SESSION_SECONDS * _REFRESH_AT:
                self._session = await self._request()
                self._minted_at = self._clock()
            return self._session

    async def replace(self, rejected: Session) -> Session:
        """Another session than the one the org rejected. Callers that come later get the first caller's session."""
        async with self._mint:
            if self._session is rejected:
                self._session = None
        return await self.current()

    async def _request(self) -> Session:
        try:
            fingerprint = self._credentials.fingerprint()
            form = self._credentials.form()
        except (OSError, ValueError) as error:
            raise AuthRefused(f"the credentials cannot be read: {error}") from error
        if self._refused is not None and self._refused[0] == fingerprint:
            raise AuthRefused(str(self._refused[1]))
        try:
            reply = await self._http.post(self._url, data=form)
        except httpx.TransportError as error:
            raise NotReached(f"the token endpoint cannot be reached: {error or type(error).__name__}") from error
        if reply.status_code == 200:
            return _session(read(_TOKEN, reply.content))
        refusal = _oauth_error(reply)
        if refusal is None:
            raise OutcomeUnknown(f"the token endpoint answered {reply.status_code}")
        self._refused = (fingerprint, refusal)
        raise refusal


def _session(token: _Token) -> Session:
    parts = urlsplit(token.id).path.strip("/").split("/")
    if len(parts) < 3 or not token.access_token or not token.instance_url:
        raise OutcomeUnknown("the token endpoint answered without a token, an instance or an organisation")
    return Session(token.access_token, token.instance_url.rstrip("/"), parts[-2])


def _oauth_error(reply: httpx.Response) -> AuthRefused | None:
    if reply.status_code not in (400, 401, 403):
        return None
    try:
        refused = _TOKEN_ERROR.validate_json(reply.content)
    except ValidationError:
        return AuthRefused(f"the token endpoint answered {reply.status_code}")
    return AuthRefused(f"{refused.error}: {refused.error_description}")


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
