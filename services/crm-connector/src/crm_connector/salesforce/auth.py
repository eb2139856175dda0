"""Access tokens: REST and Pub/Sub ask one provider on every call, so that none is kept after it has expired."""

import asyncio
import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import RSAKey
from pydantic import TypeAdapter

from crm_connector.crm import CrmFault
from crm_connector.salesforce.errors import AuthRefused, NotReached, OutcomeUnknown
from crm_connector.salesforce.http import Exchanged, exchange
from crm_connector.salesforce.pace import LoginPace
from crm_connector.salesforce.replies import read

_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# Salesforce accepts an assertion for at most three minutes.
_ASSERTION_SECONDS = 180
# Neither flow states a lifetime; the org's default is two hours.
_SESSION_SECONDS = 7200.0
_REFRESH_AT = 0.8
_PEER = "the token endpoint"
# What a header of HTTP or gRPC can carry.
_TOKEN_TEXT = re.compile(r"[\x21-\x7e]{1,10000}")
_ID = re.compile(r"[0-9A-Za-z]{1,18}")
# `invalid_grant` also comes for passing reasons: of these only a person can remove the cause.
_REFUSED_GRANTS = (
    "approved this consumer", "admin approved", "invalid assertion", "audience is invalid", "authentication failure",
    "inactive", "expired authorization code", "expired access/refresh token", "ip restricted",
    "invalid user credentials",
    "no valid scopes", "client identifier invalid", "invalid credentials", "user is locked", "password",
)  # fmt: skip


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
    callers want one, one request is made. After a fault the next request waits, longer each time."""

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
        self._pace = LoginPace(clock)
        self._fingerprint = ""

    async def current(self) -> Session:
        """A session with life left. AuthRefused, NotReached, OutcomeUnknown."""
        async with self._mint:
            if self._session is None or self._clock() - self._minted_at > _SESSION_SECONDS * _REFRESH_AT:
                self._session = await self._login()
                self._minted_at = self._clock()
            return self._session

    async def replace(self, rejected: Session) -> Session:
        """Another session than the one the org rejected. Callers that come later get the first caller's session."""
        async with self._mint:
            if self._session is rejected:
                self._session = None
                self._pace.rejected(self._clock() - self._minted_at)
        return await self.current()

    def retry(self) -> None:
        """Let the next caller log in at once, whatever went wrong before."""
        self._pace.forget()

    async def _login(self) -> Session:
        try:
            fingerprint = self._credentials.fingerprint()
            form = self._credentials.form()
        except Exception as error:
            # The library of keys has an exception for each way in which a file can be none.
            raise AuthRefused(f"the credentials cannot be read: {error or type(error).__name__}") from error
        if fingerprint != self._fingerprint:
            self._pace.forget()
            self._fingerprint = fingerprint
        self._pace.check()
        try:
            session = self._session_of(await exchange(self._http, "POST", self._url, peer=_PEER, data=form))
        except CrmFault as fault:
            self._pace.failed(fault)
            raise
        self._pace.succeeded()
        return session

    def _session_of(self, reply: Exchanged) -> Session:
        if reply.status != 200:
            raise _refusal(reply)
        token = read(_TOKEN, reply.content)
        try:
            parts, url = urlsplit(token.id).path.strip("/").split("/"), urlsplit(token.instance_url)
        except ValueError as error:
            raise OutcomeUnknown(f"{_PEER} answered with a URL that is none") from error
        if len(parts) < 3 or not token.access_token or not token.instance_url:
            raise OutcomeUnknown(f"{_PEER} answered without a token, an instance or an organisation")
        # A token that went out by TLS is not sent back without it.
        schemes = ("https",) if self._url.startswith("https:") else ("http", "https")
        if url.scheme not in schemes or not url.hostname or url.query or url.fragment:
            raise OutcomeUnknown(f"{_PEER} answered with an instance URL that cannot be used")
        if not _TOKEN_TEXT.fullmatch(token.access_token) or not _ID.fullmatch(parts[-2]):
            raise OutcomeUnknown(f"{_PEER} answered with a token or an organisation that cannot be used")
        return Session(token.access_token, token.instance_url.rstrip("/"), parts[-2])


def _refusal(reply: Exchanged) -> CrmFault:
    try:
        refused = read(_TOKEN_ERROR, reply.content)
    except OutcomeUnknown:
        return OutcomeUnknown(f"{_PEER} answered {reply.status} without a reason that can be read")
    words = f"{refused.error}: {refused.error_description}"[:500]
    if _is_final(refused) and reply.status in (400, 401, 403):
        return AuthRefused(words)
    return NotReached(f"{_PEER} does not log us in for now: {words}")


def _is_final(refused: _TokenError) -> bool:
    """Whether only a person can remove the cause. Every other error passes."""
    error, words = refused.error.casefold(), refused.error_description.casefold()
    if error == "invalid_grant":
        return any(known in words for known in _REFUSED_GRANTS)
    return error.startswith("invalid_client") or error == "invalid_app_access"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
