"""Who may call: the connected client, its token endpoint, and the sessions it opened."""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from sandbox.salesforce.clock import Clock
from sandbox.salesforce.errors import OAuthError, SessionInvalid
from sandbox.salesforce.journal import Entry, Journal

SESSION_LIFE = timedelta(hours=2)
ASSERTION_LIFE = timedelta(minutes=3)
CLOCK_SKEW = timedelta(seconds=30)
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LOGIN_HOSTS = ("https://login.salesforce.com", "https://test.salesforce.com")
# A number above this cannot be seconds before the year 5138: it is milliseconds.
_MILLISECONDS = 10**11


@dataclass(frozen=True, slots=True)
class Client:
    """The External Client App as the org knows it: the public half of its secrets."""

    client_id: str
    secret_sha256: str
    public_pem: str
    username: str
    user_id: str
    org_id: str


def issue_client(directory: Path, *, username: str, user_id: str, org_id: str) -> Client:
    """Makes a client and leaves what it must know in `directory`, readable by the owner only."""
    key = RSAKey.generate_key(2048, private=True)
    secret = secrets.token_hex(32).upper()
    client_id = "3MVG9" + secrets.token_urlsafe(48).replace("-", ".")
    public = {"client_id": client_id, "username": username, "org_id": org_id}
    directory.mkdir(parents=True, exist_ok=True)
    _write_private(directory / "connector.key.pem", key.as_pem(private=True))
    _write_private(directory / "client_secret", secret.encode())
    _write_private(directory / "client.json", json.dumps(public, indent=2).encode() + b"\n")
    return Client(client_id, _digest(secret), key.as_pem(private=False).decode(), username, user_id, org_id)


def client_is_issued(directory: Path, client: Client) -> bool:
    """Whether `directory` still holds the credentials of this client."""
    path = directory / "client.json"
    names = ("connector.key.pem", "client_secret")
    if not path.exists() or not all((directory / name).exists() for name in names):
        return False
    return json.loads(path.read_text()).get("client_id") == client.client_id


def client_text(client: Client) -> str:
    return json.dumps(asdict(client))


def _write_private(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class Sessions:
    """Open access tokens. They end after two hours without a call, or when revoked."""

    def __init__(self, clock: Clock, journal: Journal, org_id: str, meta: Mapping[str, str]) -> None:
        self._clock = clock
        self._journal = journal
        self._org_id = org_id
        # Since the process started.
        self.opened = 0
        self._open: dict[str, tuple[str, datetime]] = {
            name.removeprefix("session:"): (user, clock.now())
            for name, user in meta.items()
            if name.startswith("session:")
        }

    def start(self, user_id: str) -> str:
        self.opened += 1
        token = f"{self._org_id[:15]}!AQ{secrets.token_urlsafe(64).replace('-', '.')}"
        self._open[token] = (user_id, self._clock.now())
        self._journal.submit(Entry(meta={f"session:{token}": user_id}))
        return token

    def user_of(self, token: str) -> str:
        """Gives the user of a token and counts the call as activity. Raises SessionInvalid."""
        found = self._open.get(token)
        if found is None:
            raise SessionInvalid
        user, used_at = found
        now = self._clock.now()
        if now - used_at > SESSION_LIFE:
            self.revoke(token)
            raise SessionInvalid
        self._open[token] = (user, now)
        return user

    def revoke(self, token: str) -> bool:
        if self._open.pop(token, None) is None:
            return False
        self._journal.submit(Entry(meta={f"session:{token}": None}))
        return True

    def revoke_all(self) -> int:
        tokens = list(self._open)
        for token in tokens:
            self.revoke(token)
        return len(tokens)


class TokenEndpoint:
    """`POST /services/oauth2/token`."""

    def __init__(self, client: Client, sessions: Sessions, instance_url: str) -> None:
        self._client = client
        self._sessions = sessions
        self._instance_url = instance_url
        self._key = RSAKey.import_key(client.public_pem)
        port = instance_url.rsplit(":", 1)[1]
        self._audiences = {*LOGIN_HOSTS, instance_url, f"http://localhost:{port}"}

    def grant(self, form: Mapping[str, str], basic: tuple[str, str] | None) -> dict[str, Any]:
        """Opens a session. `basic` is the client id and secret of an Authorization header, if any.

        Raises OAuthError with the words of the documentation.
        """
        match form.get("grant_type"):
            case grant if grant == JWT_BEARER:
                self._check_assertion(form.get("assertion", ""))
                return self._token()
            case "client_credentials":
                self._check_secret(basic or (form.get("client_id", ""), form.get("client_secret", "")))
                now = str(int(datetime.now(UTC).timestamp() * 1000))
                signature = hashlib.sha256((self._client.secret_sha256 + now).encode()).hexdigest()
                return {**self._token(), "issued_at": now, "signature": signature}
        raise OAuthError("unsupported_grant_type", "grant type not supported")

    def _token(self) -> dict[str, Any]:
        client = self._client
        return {
            "access_token": self._sessions.start(client.user_id),
            "scope": "api id",
            "instance_url": self._instance_url,
            "id": f"{self._instance_url}/id/{client.org_id}/{client.user_id}",
            "token_type": "Bearer",
        }

    def _check_secret(self, pair: tuple[str, str]) -> None:
        if pair[0] != self._client.client_id:
            raise OAuthError("invalid_client_id", "client identifier invalid")
        if not secrets.compare_digest(_digest(pair[1]), self._client.secret_sha256):
            raise OAuthError("invalid_client", "invalid client credentials")

    def _check_assertion(self, assertion: str) -> None:
        """Checks signature, issuer, audience, subject and age; `exp` may be in milliseconds."""
        try:
            claims = jwt.decode(assertion, self._key, algorithms=["RS256"]).claims
        except (JoseError, ValueError):
            raise OAuthError("invalid_grant", "invalid assertion") from None
        if claims.get("iss") != self._client.client_id:
            raise OAuthError("invalid_client_id", "client identifier invalid")
        audience = claims.get("aud")
        given = audience if isinstance(audience, list) else [audience]
        if not any(str(item).rstrip("/") in self._audiences for item in given):
            raise OAuthError("invalid_grant", "audience is invalid")
        expires = claims.get("exp")
        if isinstance(expires, bool) or not isinstance(expires, int | float):
            raise OAuthError("invalid_grant", "invalid assertion")
        seconds = expires / 1000 if expires > _MILLISECONDS else expires
        # Against wall time: a client cannot know that the org's clock was moved.
        left = seconds - datetime.now(UTC).timestamp()
        skew = CLOCK_SKEW.total_seconds()
        if left < -skew or left > ASSERTION_LIFE.total_seconds() + skew:
            raise OAuthError("invalid_grant", "expired authorization code")
        if claims.get("sub") != self._client.username:
            raise OAuthError("invalid_grant", "user hasn't approved this consumer")
