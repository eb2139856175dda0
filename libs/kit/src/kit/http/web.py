"""What every route gets: the transaction of its caller's tenant, documented problems, and answers that survive a retry
(see `idempotency`)."""

import json
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute

from kit.database.faults import is_transient
from kit.database.unit_of_work import Database, UnitOfWork
from kit.fairness.shares import Shares
from kit.http.auth import Caller, Principal, admit
from kit.http.bodies import body_rules, check_text
from kit.http.idempotency import AnsweredBefore, claim_key, store_answer
from kit.http.parameters import check_query, parameters_of
from kit.http.problems import PROBLEM_MEDIA_TYPE, NotFoundProblem, ProblemDocument, UnavailableProblem

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1


@contextmanager
def unavailable_while_it_passes(request: Request) -> Iterator[None]:
    """Answer a passing fault of the database with a 503 problem."""
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
    async with unit_of_work(request, caller, caller.tenant_id) as uow:
        yield uow


@asynccontextmanager
async def unit_of_work(request: Request, caller: Principal, tenant_id: str) -> AsyncIterator[UnitOfWork]:
    """A transaction of the tenant for this request of the caller."""
    database: Database = request.app.state.database
    shares: Shares = request.app.state.shares
    with unavailable_while_it_passes(request):
        async with shares.of(tenant_id), database.unit_of_work(tenant_id) as uow:
            key = request.headers.get("idempotency-key")
            if key is not None and request.method == "POST":
                await claim_key(request, uow, caller.subject, key)
                request.state.remember = (uow, caller.subject, key)
            yield uow


class Transactions:
    """Transactions of the caller's tenant, one after another: for a request that works long between them, and must not
    hold a connection meanwhile. It knows no idempotency key, so it is for what can be repeated as it is."""

    def __init__(self, request: Request, caller: Caller) -> None:
        self._request = request
        self._tenant_id = caller.tenant_id

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[UnitOfWork]:
        """A transaction that commits at the end of the block."""
        database: Database = self._request.app.state.database
        shares: Shares = self._request.app.state.shares
        with unavailable_while_it_passes(self._request):
            async with shares.of(self._tenant_id), database.unit_of_work(self._tenant_id) as uow:
                yield uow


ManyUows = Annotated[Transactions, Depends(Transactions)]

# scope="function": the transaction ends before the answer is sent, so the caller can rely on the answer.
Uow = Annotated[UnitOfWork, Depends(_unit_of_work, scope="function")]


class _Route(APIRoute):
    """Admits the caller before it reads the body, refuses text that cannot be stored and query parameters that mean
    nothing, and stores or replays answers by idempotency key."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        rules = body_rules(self.endpoint)
        known = parameters_of(self.dependant)

        async def wrapped(request: Request) -> Response:
            # A body costs memory and time: a caller without a valid token gets none of it, nor does one whose turn it
            # is not.
            caller, fair_use = admit(request), request.app.state.fair_use
            if "\x00" in request.scope["path"] or b"%00" in request.scope["query_string"]:
                raise NotFoundProblem("There is no such resource.")
            check_query(request, known)
            return await fair_use.run(caller.tenant_id, lambda: answer(request))

        async def answer(request: Request) -> Response:
            if request.method in ("POST", "PUT", "PATCH"):
                request.state.body_limit = rules.limit
                check_text(await request.body(), escapes=not rules.judges_text)
            try:
                response = await handle(request)
            except AnsweredBefore as replay:
                return replay.response
            remember = getattr(request.state, "remember", None)
            if remember is not None:
                uow, subject, key = remember
                await store_answer(uow, subject, key, response)
            return response

        return wrapped


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
        429: "Too many requests of this tenant at once",
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
    return _with_names_of_their_own(document)


def _with_names_of_their_own(document: dict[str, Any]) -> dict[str, Any]:
    """The document in which no two schemas share a title: generators of clients name their classes after it. What an
    operation takes is called `QuestionBodyInput` where it differs from what it gives, `QuestionBody`."""
    text = json.dumps(document)
    for name in document["components"]["schemas"]:
        plain, dash, role = name.partition("-")
        if dash:
            text = text.replace(f'"#/components/schemas/{name}"', f'"#/components/schemas/{plain}{_ROLES[role]}"')
    named = json.loads(text)
    schemas = {}
    for name, schema in named["components"]["schemas"].items():
        plain, dash, role = name.partition("-")
        own = f"{plain}{_ROLES[role]}" if dash else name
        schemas[own] = schema | ({"title": own} if dash else {})
    named["components"]["schemas"] = schemas
    return named


_ROLES = {"Input": "Input", "Output": ""}


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
