"""Who calls and what they may do: OIDC access tokens, checked against a cached key set."""

import asyncio
import json
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx
from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from kit.contracts.events import MOST_TENANT, NO_TENANT
from kit.delivery.pace import pause
from kit.http.problems import ForbiddenProblem, UnauthenticatedProblem, UnavailableProblem
from kit.ids import identity_digest
from kit.settings import ServiceSettings

log = logging.getLogger(__name__)

ALGORITHMS = ["RS256", "ES256"]
_LEEWAY_SECONDS = 30
_REFRESH_SECONDS = 300.0
_CACHED_TOKENS = 10_000

# A user of Salesforce: its id has 15 characters, or 18 of which the last three say which of the others are upper case.
_CRM_USER = re.compile(r"005[0-9A-Za-z]{12}")
_CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"

_READ = {
    "assessments:read", "submissions:read", "worklist:read", "scores:read", "pipelines:read", "stages:read",
    "opportunities:read", "recommendations:read",
}  # fmt: skip
_ANY = {"worklist:read-any", "opportunities:read-any", "analytics:read"}
_OPERATE = {"connection:read", "intents:read", "dead-letters:read", "dead-letters:write", "audit:read"}

# What each role may do. The one table of permissions.
SCOPES_OF: Mapping[str, frozenset[str]] = {
    "rep": frozenset(_READ | {"submissions:write", "transitions:write"}),
    # With MANAGERS_SEE=all their team is the whole company: see `_principal`.
    "manager": frozenset(
        _READ
        | {
            "opportunities:read-team", "worklist:read-any", "analytics:read", "submissions:write", "submissions:review",
            "transitions:write", "transitions:override",
        }
    ),
    "admin": frozenset(
        _READ
        | _ANY
        | _OPERATE
        | {
            "assessments:write", "submissions:write", "submissions:review", "profiles:read", "profiles:write",
            "pipelines:write", "transitions:write", "transitions:override", "connection:write", "intents:write",
            "partners:write", "people:read", "facts:write", "actions:settle",
            "leads:write",
        }
    ),
    "sre": frozenset(_OPERATE | {"connection:write", "intents:write", "analytics:read"}),
    # On call for the whole platform: the dead letters of every tenant, and of none.
    "platform-sre": frozenset({"dead-letters:read", "dead-letters:write", "dead-letters:all"}),
    "partner": frozenset({"stages:read"}),
    "service": frozenset(_READ | _ANY | {"submissions:write", "facts:write", "actions:settle", "leads:write"}),
}  # fmt: skip


@dataclass(frozen=True)
class Principal:
    """The authenticated caller. `subject` is who the issuer says it is; `person_id` is the user that it is in the CRM,
    which decides whose opportunities are its own; `identity` is the digest by which that user is looked for. `team` are
    all who report to that user, and `has_left` says that it is no longer active there."""

    tenant_id: str
    subject: str
    person_id: str
    roles: frozenset[str]
    scopes: frozenset[str]
    identity: str = ""
    team: frozenset[str] = frozenset()
    has_left: bool = False

    def may(self, scope: str) -> bool:
        """Whether the caller holds this scope."""
        return scope in self.scopes

    def demand(self, scope: str) -> None:
        """ForbiddenProblem `missing_scope` unless the caller holds this scope."""
        if scope not in self.scopes:
            having = ", ".join(sorted(role for role, scopes in SCOPES_OF.items() if scope in scopes)) or "no role"
            detail = f"The scope {scope} is needed: a token of one of these roles has it: {having}."
            raise ForbiddenProblem(detail, code="missing_scope", extra={"scope": scope})


class TokenVerifier:
    """Checks signature, `iss`, `aud`, `exp` and algorithm. The key set is refreshed in the background; a request
    never waits for the issuer."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._url = settings.oidc_jwks_url
        self._settings = settings
        self._claims = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY_SECONDS,
            iss={"essential": True, "value": settings.oidc_issuer},
            aud={"essential": True, "value": settings.oidc_audience},
            exp={"essential": True},
            sub={"essential": True},
            tenant_id={"essential": True},
        )
        self._keys: KeySet | None = None
        self._read_at = time.monotonic()
        self._verified: dict[str, tuple[float, Principal]] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the key set fresh until `stop`; quickly retried until there is one."""
        while not stop.is_set():
            try:
                await self.refresh()
                wait = _REFRESH_SECONDS
            except Exception as error:
                log.warning("the key set could not be read: %s", error)
                wait = 1.0
            await pause(stop, wait)

    async def refresh(self) -> None:
        """Read the key set now; tokens verified by a key that is gone are forgotten."""
        if self._url.startswith("file://"):
            document = json.loads(await asyncio.to_thread(Path(self._url.removeprefix("file://")).read_bytes))
        else:
            async with httpx.AsyncClient(timeout=5) as client:
                document = (await client.get(self._url)).raise_for_status().json()
        self._keys = KeySet.import_key_set(document)
        self._read_at = time.monotonic()
        self._verified.clear()

    @property
    def keys_age_seconds(self) -> float:
        """Time since the keys were read, or since the start when they never were."""
        return time.monotonic() - self._read_at

    def verify(self, token: str) -> Principal:
        """The caller that a token names. UnauthenticatedProblem with code `token_expired` or `token_invalid`."""
        cached = self._verified.get(token)
        if cached is not None and cached[0] > time.time():
            return cached[1]
        if self._keys is None:
            raise UnavailableProblem(
                "The issuer's keys are not known yet. Try again soon.", headers={"Retry-After": "1"}
            )
        try:
            claims = jwt.decode(token, self._keys, algorithms=ALGORITHMS).claims
            self._claims.validate(claims)
            expires_at = float(claims["exp"])
        except (JoseError, ValueError, TypeError, OverflowError) as error:
            expired = "expired" in type(error).__name__.lower()
            code = "token_expired" if expired else "token_invalid"
            detail = "The token has expired: get a new one." if expired else "The token is not valid here."
            raise _unauthenticated(detail, code) from error
        principal = _principal(claims, self._settings)
        if len(self._verified) >= _CACHED_TOKENS:
            self._verified.clear()
        self._verified[token] = (expires_at, principal)
        return principal


def person_of(claim: str, subject: str) -> str:
    """The CRM's id of a person by the claim that holds it: of a user of Salesforce always all 18 characters. A caller
    without the claim is no person of the CRM, and gets an id that no owner has."""
    if not claim:
        return f"subject:{subject}"
    if not _CRM_USER.fullmatch(claim):
        return claim
    upper = [sum(1 << i for i, char in enumerate(claim[start : start + 5]) if char.isupper()) for start in (0, 5, 10)]
    return claim + "".join(_CHECK[bits] for bits in upper)


def _principal(claims: dict[str, Any], settings: ServiceSettings) -> Principal:
    roles = claims.get("roles", [])
    tenant_id, subject, name = claims["tenant_id"], claims["sub"], claims.get(settings.person_claim, "")
    given = [tenant_id, subject, name, *roles] if isinstance(roles, list) else [None]
    if not all(isinstance(each, str) for each in given):
        raise _unauthenticated("The token's claims have the wrong types.", "token_invalid")
    if tenant_id in ("", NO_TENANT) or len(tenant_id) > MOST_TENANT:
        raise _unauthenticated(f"The token's tenant_id is empty, {NO_TENANT!r} or too long.", "token_invalid")
    known = frozenset(role for role in roles if role in SCOPES_OF)
    scopes = frozenset(scope for role in known for scope in SCOPES_OF[role])
    if settings.managers_see == "all" and "opportunities:read-team" in scopes:
        scopes |= {"opportunities:read-any"}
    # By another claim it is no person until it is matched: a name is never taken for the id of a user.
    person_id = person_of(name if settings.person_claim_is == "crm_id" else "", subject)
    value = person_id if settings.person_claim_is == "crm_id" else name
    return Principal(tenant_id, subject, person_id, known, scopes, identity_digest(tenant_id, value) if name else "")


def _unauthenticated(detail: str, code: str) -> UnauthenticatedProblem:
    challenge = 'Bearer error="invalid_token"' if code != "unauthenticated" else "Bearer"
    return UnauthenticatedProblem(detail, code=code, headers={"WWW-Authenticate": challenge})


_bearer = HTTPBearer(auto_error=False, description="OIDC access token")


def admit(request: Request) -> Principal:
    """The caller of this request, from its header alone. UnauthenticatedProblem without a valid token."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise _unauthenticated("Send `Authorization: Bearer <token>`.", "unauthenticated")
    verifier: TokenVerifier = request.app.state.verifier
    caller = request.state.caller = verifier.verify(token.strip())
    return caller


async def authenticate(request: Request, _documented: Annotated[Any, Depends(_bearer)]) -> Principal:
    """The caller, whom our routes admitted before they read the body, as a person of the CRM: see
    kit.operators.people."""
    return await request.app.state.people.known(request, getattr(request.state, "caller", None) or admit(request))


Caller = Annotated[Principal, Depends(authenticate)]


def requires(scope: str) -> Any:
    """A route dependency that admits only callers with this scope, and yields the caller."""

    async def check(caller: Caller) -> Principal:
        caller.demand(scope)
        return caller

    return Depends(check)
