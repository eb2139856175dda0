"""The only wiring place: opens an org's data and builds what serves it."""

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from sandbox.salesforce.clock import Clock
from sandbox.salesforce.console import Console, console_router
from sandbox.salesforce.conversion import conversion_router
from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.events import SELECTED, EventLog, EventWriter
from sandbox.salesforce.faults import Faults
from sandbox.salesforce.founding import INTEGRATION_USERNAME, found, user_named
from sandbox.salesforce.gate import Gate, error_reply
from sandbox.salesforce.journal import Entry, Journal
from sandbox.salesforce.limits import Limits
from sandbox.salesforce.oauth import (
    Client,
    Sessions,
    TokenEndpoint,
    client_is_issued,
    client_text,
    issue_client,
)
from sandbox.salesforce.pages import pages_router
from sandbox.salesforce.pubsub import PubSub
from sandbox.salesforce.query import Queries
from sandbox.salesforce.rest import Api, data_router, oauth_router
from sandbox.salesforce.store import Org


@dataclass(frozen=True)
class OrgProcess:
    """What `__main__` runs side by side."""

    app: FastAPI
    pubsub: PubSub
    journal: Journal


def open_org(data_dir: Path, credentials_dir: Path, *, instance_url: str, keepalive_seconds: float) -> OrgProcess:
    """Opens the org in `data_dir`, founding it at the first start and issuing credentials if missing."""
    data_dir.mkdir(parents=True, exist_ok=True)
    journal = Journal(data_dir / "org.sqlite3")
    meta = journal.meta()
    clock = Clock(timedelta(seconds=float(meta.get("clock_offset_seconds", 0))))
    floor = meta.get("event_floor")
    log = EventLog(journal.events(), int(floor) if floor else None, clock)
    journal.on_durable = log.append
    events = EventWriter(log.latest)
    org = Org(clock, journal, events)
    org.restore(journal.records())
    if not org.tables["Organization"]:
        found(org)
    client = _client(org, meta, credentials_dir)
    schemas = _schemas(journal, meta)
    sessions = Sessions(clock, journal, client.org_id, meta)
    faults, limits = Faults(), Limits()

    app = FastAPI(title="Simulated Salesforce org", openapi_url=None)
    app.add_middleware(Gate, faults=faults, limits=limits)
    app.state.sessions = sessions
    app.state.org = org
    _handle_errors(app)
    tokens = TokenEndpoint(client, sessions, instance_url)
    api = Api(org, Queries(org, clock), limits, sessions, tokens, client, clock.now(), faults)
    app.include_router(oauth_router(api))
    app.include_router(data_router(api))
    app.include_router(conversion_router(org, sessions))
    app.include_router(console_router(Console(org, faults, limits, sessions, events)))
    app.include_router(pages_router(org))

    @app.get("/readyz")
    async def ready() -> dict[str, str]:
        await journal.flushed()
        return {"status": "ready"}

    pubsub = PubSub(
        log=log,
        journal=journal,
        sessions=sessions,
        client=client,
        faults=faults,
        limits=limits,
        schemas=schemas,
        keepalive_seconds=keepalive_seconds,
    )
    return OrgProcess(app, pubsub, journal)


def _client(org: Org, meta: dict[str, str], directory: Path) -> Client:
    known = Client(**json.loads(meta["client"])) if "client" in meta else None
    if known is not None and client_is_issued(directory, known):
        return known
    org_id = next(iter(org.tables["Organization"]))
    user = user_named(org, INTEGRATION_USERNAME)
    if user is None:
        raise RuntimeError(f"the org has no user {INTEGRATION_USERNAME}")
    client = issue_client(directory, username=INTEGRATION_USERNAME, user_id=user["Id"], org_id=org_id)
    org.journal.submit(Entry(meta={"client": client_text(client)}))
    return client


def _schemas(journal: Journal, meta: dict[str, str]) -> dict[str, str]:
    """Every event schema the org ever wrote with: a stored event outlives its declaration."""
    kept = {name.removeprefix("schema:"): text for name, text in meta.items() if name.startswith("schema:")}
    for form in SELECTED.values():
        if form.id not in kept:
            kept[form.id] = form.json
            journal.submit(Entry(meta={f"schema:{form.id}": form.json}))
    return kept


def _handle_errors(app: FastAPI) -> None:
    @app.exception_handler(ApiError)
    async def refuse(request: Request, error: ApiError) -> Response:
        return error_reply(error)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        if error.status_code == 405:
            code, message = "METHOD_NOT_ALLOWED", f"HTTP Method '{request.method}' not allowed."
        else:
            code, message = "NOT_FOUND", "The requested resource does not exist"
        return JSONResponse([{"errorCode": code, "message": message}], error.status_code)
