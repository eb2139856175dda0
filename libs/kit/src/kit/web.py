"""What every route gets: the transaction of its caller's tenant, and answers that survive a retry.

A POST with an `Idempotency-Key` stores its answer in the transaction of its effects; the same key then returns that
answer without acting again (draft-ietf-httpapi-idempotency-key-header).
"""

import hashlib
import json
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kit.auth import Caller, Principal
from kit.db import Database, UnitOfWork, is_transient
from kit.errors import (
    PROBLEM_MEDIA_TYPE,
    FieldError,
    InvalidProblem,
    NotFoundProblem,
    ProblemDocument,
    UnavailableProblem,
)
from kit.group_commit import GroupCommit, Item, Outcome
from kit.tables import idempotency

log = logging.getLogger(__name__)

REPLAY_HEADER = "Idempotent-Replay"
_RETRY_SECONDS = 1
_MAX_KEY = 255
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


class _Replay(Exception):
    def __init__(self, response: Response) -> None:
        super().__init__("answered before")
        self.response = response


@contextmanager
def _unavailable_when_it_passes(request: Request) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not is_transient(error):
            raise
        log.warning("%s %s was not answered: %s", request.method, request.url.path, type(error).__name__)
        # A lost connection does not say whether the commit took place.
        detail = "The database does not answer now. Repeat the same request, with its id or key, until it is answered."
        raise UnavailableProblem(detail, headers={"Retry-After": str(_RETRY_SECONDS)}) from error


async def _unit_of_work(request: Request, caller: Caller) -> AsyncIterator[UnitOfWork]:
    database: Database = request.app.state.database
    with _unavailable_when_it_passes(request):
        async with database.unit_of_work(caller.tenant_id) as uow:
            key = request.headers.get("idempotency-key")
            if key is not None and request.method == "POST":
                await _claim_key(request, uow, caller.subject, key)
                request.state.remember = (uow, caller.subject, key)
            yield uow


def group_of(
    act: Callable[[UnitOfWork, Sequence[Item]], Awaitable[list[Outcome]]],
) -> Callable[[Request, Principal], Awaitable[Callable[[Item], Awaitable[Outcome]]]]:
    """A dependency that gives a route, instead of a transaction, a function which acts on one item in the next
    transaction of the caller's tenant, together with the items of other requests (see GroupCommit)."""

    # async: FastAPI hands what is not to a thread.
    async def dependency(request: Request, caller: Caller) -> Callable[[Item], Awaitable[Outcome]]:
        groups: dict[Any, GroupCommit[Item, Outcome]] = request.app.state.groups
        if act not in groups:
            groups[act] = GroupCommit(request.app.state.database, act)

        async def in_group(item: Item) -> Outcome:
            with _unavailable_when_it_passes(request):
                return await groups[act](caller.tenant_id, item)

        return in_group

    return dependency


# scope="function": the transaction ends before the answer is sent, so whoever has the answer can rely on it.
Uow = Annotated[UnitOfWork, Depends(_unit_of_work, scope="function")]


async def _claim_key(request: Request, uow: UnitOfWork, subject: str, key: str) -> None:
    if not 0 < len(key) <= _MAX_KEY:
        _refuse_key("bad_idempotency_key", f"the key must have 1 to {_MAX_KEY} characters")
    digest = hashlib.sha256(f"{request.method} {request.url.path}\n".encode())
    digest.update(await request.body())
    fingerprint = digest.hexdigest()
    table = idempotency
    names = {"tenant_id": uow.tenant_id, "subject": subject, "key": key}
    # A twin that is still running holds this row: the insert waits for its outcome.
    claim = insert(table).values(**names, fingerprint=fingerprint).on_conflict_do_nothing()
    if (await uow.session.execute(claim.returning(table.c.key))).scalar() is not None:
        return
    stored = (
        await uow.session.execute(select(table).where(*(table.c[name] == value for name, value in names.items())))
    ).one()
    if stored.fingerprint != fingerprint:
        _refuse_key("idempotency_key_reused", "this key was used for another request: make a new one")
    raise _Replay(Response(stored.body, stored.status, {**stored.headers, REPLAY_HEADER: "true"}))


def _refuse_key(code: str, detail: str) -> None:
    raise InvalidProblem(detail, code=code, errors=[FieldError("/header/idempotency-key", code, detail)])


_judging: set[Callable[..., Any]] = set()
F = TypeVar("F", bound=Callable[..., Any])


def judges_text(endpoint: F) -> F:
    """Decorator, below the route's: this endpoint judges text that cannot be stored item by item, so that one bad
    item does not refuse the others."""
    _judging.add(endpoint)
    return endpoint


class _Route(APIRoute):
    """Refuses text that cannot be stored, and stores or replays answers by idempotency key."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        strict = self.endpoint not in _judging

        async def wrapped(request: Request) -> Response:
            if request.method in ("POST", "PUT", "PATCH"):
                _check_text(await request.body(), escapes=strict)
            if "\x00" in request.scope["path"] or b"%00" in request.scope["query_string"]:
                raise NotFoundProblem("no such resource")
            try:
                response = await handle(request)
            except _Replay as replay:
                return replay.response
            remember = getattr(request.state, "remember", None)
            if remember is not None:
                uow, subject, key = remember
                await _store_answer(uow, subject, key, response)
            return response

        return wrapped


def _check_text(body: bytes, *, escapes: bool) -> None:
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


async def _store_answer(uow: UnitOfWork, subject: str, key: str, response: Response) -> None:
    kept = {name: response.headers[name] for name in ("content-type", "etag", "location") if name in response.headers}
    table = idempotency
    await uow.session.execute(
        update(table)
        .where(table.c.tenant_id == uow.tenant_id, table.c.subject == subject, table.c.key == key)
        .values(status=response.status_code, headers=kept, body=bytes(response.body))
    )


_PROBLEM = {"content": {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": description, **_PROBLEM}
    for status, description in {
        400: "The body cannot be read",
        401: "No valid token",
        403: "The token lacks the scope",
        404: "Not found, or another tenant's",
        409: "In another state",
        412: "Changed since it was read",
        413: "The body is too large",
        422: "The request breaks a rule",
        428: "If-Match is missing",
        503: "Not able to answer now",
    }.items()
}


_ONLY_WITH_BODY = ("400", "413")
_ONLY_WITH_IF_MATCH = ("412", "428")


def document_problems(document: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI document with the schema its problem answers refer to, and without those an operation cannot give."""
    for path in document.get("paths", {}).values():
        for operation in path.values():
            impossible = () if "requestBody" in operation else _ONLY_WITH_BODY
            if all(parameter["name"] != "if-match" for parameter in operation.get("parameters", [])):
                impossible += _ONLY_WITH_IF_MATCH
            for status in impossible:
                operation["responses"].pop(status, None)
    schema = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas |= schema.pop("$defs", {}) | {"ProblemDocument": schema}
    return document


def router(tag: str, **options: Any) -> APIRouter:
    """A router under /v1 whose operations are named after their functions and document their problems."""
    return APIRouter(
        prefix="/v1",
        tags=[tag],
        route_class=_Route,
        responses=_PROBLEMS,
        generate_unique_id_function=lambda route: route.name,
        **options,
    )


def fingerprint(document: Any) -> str:
    """SHA-256 of the canonical JSON (sorted keys, no blanks, UTF-8): equal content, equal fingerprint."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()
