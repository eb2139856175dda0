"""Limits of what a request may carry: its size, and text that can be stored."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kit.http.problems import FieldError, InvalidProblem

MAX_BODY_BYTES = 5 * 1024 * 1024
# Escapes that are JSON but no text PostgreSQL could store: NUL, and halves of surrogate pairs. Each is preceded by an
# even number of backslashes, or it would be no escape.
_BAD_TEXT = re.compile(
    rb"(?<!\\)(?:\\\\)*(?:\\u0000|\\u[dD][89abAB][\da-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][\da-fA-F]{2})\\u[dD][c-fC-F])"
)


class BodyLimit:
    """Refuses bodies over MAX_BODY_BYTES while they are read, whatever length they declare."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI interface."""
        length = 0

        async def limited() -> Message:
            nonlocal length
            message = await receive()
            length += len(message.get("body", b""))
            if length > MAX_BODY_BYTES:
                raise HTTPException(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
            return message

        await self._app(scope, limited if scope["type"] == "http" else receive, send)


_judging: set[Callable[..., Any]] = set()
F = TypeVar("F", bound=Callable[..., Any])


def judges_text(endpoint: F) -> F:
    """Decorator, below the route's: this endpoint judges text that cannot be stored item by item, so that one bad
    item does not refuse the others."""
    _judging.add(endpoint)
    return endpoint


def judges(endpoint: Callable[..., Any]) -> bool:
    """Whether the endpoint was decorated with `judges_text`."""
    return endpoint in _judging


def check_text(body: bytes, *, escapes: bool) -> None:
    """JSON between systems is UTF-8 (RFC 8259, 8.1). The parser would also take UTF-16, in which the search for bad
    escapes finds nothing, and raw halves of surrogate pairs."""
    try:
        body.decode()
        bad = b"\x00" in body or (escapes and _BAD_TEXT.search(body))
        detail = "text must not contain U+0000 or half a surrogate pair"
    except UnicodeDecodeError:
        bad, detail = True, "the body must be UTF-8"
    if bad:
        raise InvalidProblem(detail, code="bad_text", errors=[FieldError("/body", "bad_text", detail)])
