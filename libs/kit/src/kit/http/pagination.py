"""Keyset pages: a cursor holds the last key seen, so pages stay right while rows come and go."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Generic, TypeVar, overload
from uuid import UUID

from fastapi import Depends, Query, Request
from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, TypeAdapter, ValidationError
from pydantic_core import to_json

from kit.http.auth import Caller
from kit.http.problems import FieldError, InvalidProblem

T = TypeVar("T")
R = TypeVar("R")
K1 = TypeVar("K1", str, int, UUID, datetime)
K2 = TypeVar("K2", str, int, UUID, datetime)
K3 = TypeVar("K3", str, int, UUID, datetime)
K4 = TypeVar("K4", str, int, UUID, datetime)
MAX_LIMIT = 200
_CHECK_BYTES = 16


class Page(BaseModel, Generic[T]):
    """Some items and the way to the next ones."""

    items: list[T]
    next_cursor: str | None = Field(None, description="send as `cursor` for the next page; null on the last")


class PageRequest:
    """Where a page starts and how long it may be."""

    def __init__(self, signature: bytes, after: bytes | None, limit: int) -> None:
        self._signature = signature
        self._after = after
        self.limit = limit

    @overload
    def after(self, kind: type[K1], /) -> K1 | None: ...
    @overload
    def after(self, kind: type[K1], second: type[K2], /) -> tuple[K1, K2] | None: ...
    @overload
    def after(self, kind: type[K1], second: type[K2], third: type[K3], /) -> tuple[K1, K2, K3] | None: ...
    @overload
    def after(
        self, kind: type[K1], second: type[K2], third: type[K3], fourth: type[K4], /
    ) -> tuple[K1, K2, K3, K4] | None: ...
    def after(self, *kinds: type[Any]) -> Any:
        """The key of the last row of the page before, of these kinds: str, int, UUID or datetime. None on the first
        page. InvalidProblem `invalid_cursor` when the cursor holds something else."""
        if self._after is None:
            return None
        try:
            key = _reader(kinds).validate_json(self._after, strict=True)
        except ValidationError as error:
            raise invalid_cursor() from error
        return key[0] if len(kinds) == 1 else key

    def page(self, found: Sequence[R], key: Callable[[R], Sequence[Any]], item: Callable[[R], T]) -> Page[T]:
        """A page from up to `limit + 1` rows in key order; the extra row only tells that there are more."""
        shown = found[: self.limit]
        more = len(found) > self.limit
        cursor = encode_cursor(self._signature, key(shown[-1])) if more else None
        return Page[Any](items=[item(row) for row in shown], next_cursor=cursor)


def encode_cursor(signature: bytes, key: Sequence[Any]) -> str:
    """An opaque cursor that only fits the list with this signature."""
    body = to_json(key)
    return base64.urlsafe_b64encode(_check(signature, body) + body).decode().rstrip("=")


def decode_cursor(signature: bytes, cursor: str) -> bytes:
    """The key in a cursor, as JSON. InvalidProblem `invalid_cursor` for anything this list did not hand out."""
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except (ValueError, UnicodeError) as error:
        raise invalid_cursor() from error
    check, body = raw[:_CHECK_BYTES], raw[_CHECK_BYTES:]
    if not hmac.compare_digest(check, _check(signature, body)):
        raise invalid_cursor()
    return body


def signature_of(secret: bytes, list_name: str, tenant_id: str) -> bytes:
    """What the cursors of one list of one tenant are signed with."""
    return hashlib.blake2b(f"{list_name}\n{tenant_id}".encode(), key=secret[:64]).digest()


def in_utc(moment: datetime) -> datetime:
    """The moment in UTC, as columns hold it. ValueError beyond the calendar."""
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("beyond the calendar") from error


# What the columns of each kind can hold.
_KINDS: dict[type, Any] = {
    str: Annotated[str, Field(pattern=r"^[^\x00]*$")],
    int: Annotated[int, Field(ge=-(2**63), lt=2**63)],
    UUID: UUID,
    datetime: Annotated[AwareDatetime, AfterValidator(in_utc)],
}


@lru_cache
def _reader(kinds: tuple[type, ...]) -> TypeAdapter[Any]:
    shape: Any = tuple
    return TypeAdapter(shape[tuple(_KINDS[kind] for kind in kinds)])


def invalid_cursor() -> InvalidProblem:
    """The refusal of a cursor that this list did not hand out."""
    errors = [FieldError("/query/cursor", "invalid_cursor", "This is not a cursor of this list.")]
    return InvalidProblem("Start again without a cursor.", code="invalid_cursor", errors=errors)


def _check(signature: bytes, body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_CHECK_BYTES, key=signature).digest()


async def _page_request(
    request: Request,
    caller: Caller,
    cursor: Annotated[str | None, Query(description="from the page before", max_length=2000)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 50,
) -> PageRequest:
    # A list is an operation for a tenant: keys of other lists have other shapes, and other tenants' say what they hold.
    secret = request.app.state.runtime.settings.cursor_secret
    signature = signature_of(secret, request.scope["route"].name, caller.tenant_id)
    return PageRequest(signature, decode_cursor(signature, cursor) if cursor else None, limit)


Paging = Annotated[PageRequest, Depends(_page_request)]
