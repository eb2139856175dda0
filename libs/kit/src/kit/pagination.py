"""Keyset pages: a cursor holds the last key seen, so pages stay right while rows come and go."""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query, Request
from pydantic import BaseModel, Field

from kit.auth import Caller
from kit.errors import FieldError, InvalidProblem

T = TypeVar("T")
R = TypeVar("R")
MAX_LIMIT = 200


class Page(BaseModel, Generic[T]):
    """Some items and the way to the next ones."""

    items: list[T]
    next_cursor: str | None = Field(None, description="send as `cursor` for the next page; null on the last")


class PageRequest:
    """Where a page starts and how long it may be. `after` is the key of the last row of the page before."""

    def __init__(self, list_id: str, after: list[Any] | None, limit: int) -> None:
        self._list_id = list_id
        self.after = after
        self.limit = limit

    def page(self, found: Sequence[R], key: Callable[[R], Sequence[Any]], item: Callable[[R], T]) -> Page[T]:
        """A page from up to `limit + 1` rows in key order; the extra row only tells that there are more."""
        shown = found[: self.limit]
        more = len(found) > self.limit
        cursor = encode_cursor(self._list_id, list(key(shown[-1]))) if more else None
        return Page[Any](items=[item(row) for row in shown], next_cursor=cursor)


def encode_cursor(list_id: str, key: list[Any]) -> str:
    """An opaque cursor that only fits this list."""
    body = json.dumps(key, default=str, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_check(list_id, body) + body).decode().rstrip("=")


def decode_cursor(list_id: str, cursor: str) -> list[Any]:
    """The key in a cursor. InvalidProblem `invalid_cursor` for anything this list did not hand out."""
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        body = raw[8:]
        if raw[:8] != _check(list_id, body):
            raise ValueError("altered")
        key = json.loads(body)
    except (ValueError, binascii.Error, UnicodeError) as error:
        raise InvalidProblem(
            "start again without a cursor",
            code="invalid_cursor",
            errors=[FieldError("/query/cursor", "invalid_cursor", "not a cursor of this list")],
        ) from error
    return key


def _check(list_id: str, body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=8, key=hashlib.sha256(list_id.encode()).digest()).digest()


async def _page_request(
    request: Request,
    caller: Caller,
    cursor: Annotated[str | None, Query(description="from the page before", max_length=2000)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 50,
) -> PageRequest:
    # A list is an operation for a tenant: keys of other lists have other shapes, and other tenants' say what they hold.
    list_id = f"{request.scope['route'].name} {caller.tenant_id}"
    after = decode_cursor(list_id, cursor) if cursor else None
    return PageRequest(list_id, after, limit)


Paging = Annotated[PageRequest, Depends(_page_request)]
