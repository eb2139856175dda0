"""One authenticated HTTP connection to the org: a token on every call, one replay after a 401, and the API usage
that every reply states."""

import re
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
from pydantic import TypeAdapter

from crm_connector.crm import CrmFault, CrmRefused
from crm_connector.salesforce.auth import Sessions
from crm_connector.salesforce.errors import (
    READ_FIRST,
    LimitExceeded,
    NotReached,
    OutcomeUnknown,
    error_items,
    refusal_of,
    remedy,
)
from crm_connector.salesforce.http import Exchanged, exchange
from crm_connector.salesforce.replies import parse, read
from crm_connector.telemetry import API_CALLS_ALLOWED, API_CALLS_USED

# Recognised in change events as the origin of our own writes.
CLIENT = "stagecraft-connector"
_USAGE = re.compile(r"api-usage=(\d{1,15})/(\d{1,15})")
_PEER = "the org"
K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class _Version:
    version: str


_VERSIONS = TypeAdapter(list[_Version])


class Rest:
    """The org's REST API of one version."""

    def __init__(self, http: httpx.AsyncClient, sessions: Sessions, version: str) -> None:
        self._http = http
        self._sessions = sessions
        self._version = version
        self.base = f"/services/data/v{version}"

    async def check_version(self) -> None:
        """CrmRefused when the org does not offer the pinned version."""
        offered = [entry.version for entry in await self.get("/services/data", _VERSIONS)]
        if self._version not in offered:
            raise CrmRefused(f"the org does not offer API version {self._version}, only up to {offered[-1:]}")

    async def get(self, path: str, kind: TypeAdapter[K], params: dict[str, str] | None = None) -> K:
        """The reply as a value of that kind. ApiRefusal and the CrmUnavailable errors."""
        return read(kind, (await self._send("GET", path, params=params)).content)

    async def post(self, path: str, body: Any, kind: TypeAdapter[K]) -> K:
        """As `get`, of a call whose repetition is not harmless: a lost reply is OutcomeUnknown."""
        return read(kind, (await self._send("POST", path, body=body)).content)

    async def patch(self, path: str, body: Any, kind: TypeAdapter[K]) -> K:
        """As `post`, of a record that is created or changed by a key of its own."""
        return read(kind, (await self._send("PATCH", path, body=body)).content)

    async def change(self, path: str, body: Any) -> None:
        """Change a record by its id: the org's reply is empty."""
        await self._send("PATCH", path, body=body)

    async def _send(self, method: str, path: str, params: dict[str, str] | None = None, body: Any = None) -> Exchanged:
        session = await self._sessions.current()
        reply = await self._once(method, session.instance_url + path, session.token, params, body)
        if reply.status == 401:
            # The whole request was turned away at the door, so sending it once more repeats nothing.
            session = await self._sessions.replace(session)
            reply = await self._once(method, session.instance_url + path, session.token, params, body)
        if reply.is_success:
            return reply
        raise _refusal(reply)

    async def _once(self, method: str, url: str, token: str, params: dict[str, str] | None, body: Any) -> Exchanged:
        headers = {"Authorization": f"Bearer {token}", "Sforce-Call-Options": f"client={CLIENT}"}
        reply = await exchange(self._http, method, url, peer=_PEER, params=params, json=body, headers=headers)
        usage = _USAGE.search(reply.headers.get("Sforce-Limit-Info", ""))
        if usage:
            API_CALLS_USED.set(int(usage[1]))
            API_CALLS_ALLOWED.set(int(usage[2]))
        return reply


def _refusal(reply: Exchanged) -> CrmFault:
    try:
        items = error_items(parse(reply.content))
    except OutcomeUnknown:
        items = []
    if not items:
        # A gateway's page: the work may or may not have been done.
        return OutcomeUnknown(f"the org answered {reply.status} without a code")
    refusal = refusal_of(reply.status, items[0])
    if refusal.code == "REQUEST_LIMIT_EXCEEDED":
        return LimitExceeded(str(refusal))
    if refusal.code == "INVALID_SESSION_ID":
        return NotReached(f"a fresh token is rejected too: {refusal}")
    if remedy(refusal.status, refusal.code, refusal.message) is READ_FIRST:
        return OutcomeUnknown(str(refusal))
    return refusal
