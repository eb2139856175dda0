"""Limits of what a request may carry: its size, and text that can be stored."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kit.http.problems import FieldError, InvalidProblem

# What a request may carry: where its endpoint says nothing else, as one document (a definition, a submission), and as a
# batch of them. Reading the largest takes less than 100 ms.
USUAL_BODY = 64 * 1024
DOCUMENT_BODY = 1024 * 1024
BATCH_BODY = 2 * 1024 * 1024
# Text without escapes that are JSON but nothing that PostgreSQL could store: NUL, and halves of surrogate pairs. Each
# backslash begins an escape, read from the left. It never goes back, so the time grows with the length only.
_GOOD_TEXT = re.compile(
    rb"(?:[^\\]++|\\(?:[^u]|u(?!0000|[dD][89a-fA-F])|u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F]|\Z))*+", re.DOTALL
)


class BodyLimit:
    """Refuses a body over the limit of its endpoint while it is read, whatever length it declares.

    The route sets the limit in the request's state before it reads the body (`limit_body`)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI interface."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        state = scope.setdefault("state", {})
        length = 0

        async def limited() -> Message:
            nonlocal length
            message = await receive()
            length += len(message.get("body", b""))
            limit = state.get("body_limit", USUAL_BODY)
            if length > limit:
                raise HTTPException(413, f"The body is larger than the {limit} bytes that are allowed here.")
            return message

        await self._app(scope, limited, send)


@dataclass(frozen=True)
class BodyRules:
    """What an endpoint says of its body: the most bytes, and whether it judges bad text item by item itself."""

    limit: int = USUAL_BODY
    judges_text: bool = False


_rules: dict[Callable[..., Any], BodyRules] = {}
F = TypeVar("F", bound=Callable[..., Any])


def accepts(limit: int, *, judges_text: bool = False) -> Callable[[F], F]:
    """Decorator, below the route's: the endpoint takes bodies up to `limit` bytes.

    With `judges_text` it judges text that cannot be stored item by item, so that one bad item does not refuse the
    others."""

    def declare(endpoint: F) -> F:
        _rules[endpoint] = BodyRules(limit, judges_text)
        return endpoint

    return declare


def body_rules(endpoint: Callable[..., Any]) -> BodyRules:
    """What the endpoint declared with `accepts`, or the usual rules."""
    return _rules.get(endpoint, BodyRules())


def has_bad_escape(content: bytes) -> bool:
    """Whether text in this JSON cannot be stored, for what its escapes mean."""
    # Most bodies have no such escape, and looking for one is a hundred times faster than reading them all.
    return rb"\u" in content and _GOOD_TEXT.fullmatch(content) is None


def check_text(content: bytes, *, escapes: bool) -> None:
    """JSON between systems is UTF-8 (RFC 8259, 8.1). The parser would also take UTF-16, in which the search for bad
    escapes finds nothing, and raw halves of surrogate pairs."""
    try:
        content.decode()
        bad = b"\x00" in content or (escapes and has_bad_escape(content))
        detail = "Text must not contain U+0000 or half a surrogate pair."
    except UnicodeDecodeError:
        bad, detail = True, "The body must be UTF-8."
    if bad:
        raise InvalidProblem(detail, code="bad_text", errors=[FieldError("", "bad_text", detail)])
