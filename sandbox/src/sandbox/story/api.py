"""The public APIs of the five services, as a person or system of a tenant calls them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
from kit.ids import uuid7

ATTEMPTS = 6
PAUSE_SECONDS = 0.2
PAGE = 200


class Refused(Exception):
    """A service answered with a problem (RFC 9457); `problem` is it whole."""

    def __init__(self, response: httpx.Response) -> None:
        try:
            self.problem: dict[str, Any] = response.json()
        except ValueError:
            self.problem = {"detail": response.text}
        self.status = response.status_code
        self.code = str(self.problem.get("code", ""))
        errors = self.problem.get("errors") or [{}]
        # The first error says more than the general sentence.
        self.words = str(errors[0].get("detail") or self.problem.get("detail", ""))
        detail = self.problem.get("detail", "")
        super().__init__(f"{response.request.method} {response.request.url.path}: {self.status} {self.code} {detail}")


class Caller:
    """Calls as one subject. A call that a service could not answer just now is repeated, as a device would do:
    submissions
    carry their own ids, and every POST an Idempotency-Key."""

    def __init__(self, http: httpx.AsyncClient, urls: Mapping[str, str], token: str) -> None:
        self._http = http
        self._urls = urls
        self._headers = {"Authorization": f"Bearer {token}"}

    async def get(self, service: str, path: str, **params: Any) -> Any:
        """The JSON of a resource. Raises Refused."""
        return (await self.send("GET", service, path, params=params)).json()

    async def post(self, service: str, path: str, body: Any = None, *, if_match: str = "") -> Any:
        """The JSON answer. Raises Refused."""
        headers = {"Idempotency-Key": str(uuid7())} | ({"If-Match": if_match} if if_match else {})
        return (await self.send("POST", service, path, body, headers=headers)).json()

    async def pages(self, service: str, path: str, **params: Any) -> AsyncIterator[list[dict[str, Any]]]:
        """The pages of a list, to its end."""
        cursor: dict[str, str] = {}
        while True:
            page = await self.get(service, path, limit=PAGE, **params, **cursor)
            yield page["items"]
            if page["next_cursor"] is None:
                return
            cursor = {"cursor": page["next_cursor"]}

    async def send(
        self,
        method: str,
        service: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """The successful response. Raises Refused, or httpx.TransportError when no answer comes for long."""
        url = self._urls[service] + path
        headers = {**self._headers, **(headers or {})}
        for attempt in range(1, ATTEMPTS + 1):
            try:
                response = await self._http.request(method, url, json=body, params=params, headers=headers)
            except httpx.TransportError:
                if attempt == ATTEMPTS:
                    raise
            else:
                if response.is_success:
                    return response
                if response.status_code not in (429, 502, 503, 504) or attempt == ATTEMPTS:
                    raise Refused(response)
            await asyncio.sleep(PAUSE_SECONDS * 2**attempt)
        raise AssertionError("the last attempt returns or raises")
