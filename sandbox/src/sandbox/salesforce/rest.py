"""The REST API and OAuth endpoints: HTTP in and out, without any decision."""

import base64
import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from sandbox.salesforce import composite, schema, sobject_collections
from sandbox.salesforce.clock import parse_time, wire_time
from sandbox.salesforce.composite import Writer
from sandbox.salesforce.describe import describe, summary
from sandbox.salesforce.errors import ApiError, NotFound, OAuthError, SessionInvalid
from sandbox.salesforce.faults import Faults
from sandbox.salesforce.limits import Limits
from sandbox.salesforce.oauth import Client, Sessions, TokenEndpoint
from sandbox.salesforce.query import DEFAULT_BATCH, Queries
from sandbox.salesforce.rows import Reply, RowRequest, http_date, perform
from sandbox.salesforce.store import Org

VERSIONS = tuple(f"{number}.0" for number in range(50, 68))
MIN_BATCH = 200
_CLIENT = re.compile(r"client=([^,;]+)")
_BATCH = re.compile(r"batchSize=(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Api:
    """What the endpoints need of the process."""

    org: Org
    queries: Queries
    limits: Limits
    sessions: Sessions
    tokens: TokenEndpoint
    client: Client
    started: datetime
    faults: Faults


@dataclass(frozen=True, slots=True)
class Call:
    """An authenticated request."""

    request: Request
    user: str
    version: str

    @property
    def writer(self) -> Writer:
        origin = f"com/salesforce/api/rest/{self.version}"
        client = _CLIENT.search(self.request.headers.get("sforce-call-options", ""))
        return Writer(self.user, f"{origin};client={client[1].strip()}" if client else origin)

    @property
    def batch(self) -> int:
        wanted = _BATCH.search(self.request.headers.get("sforce-query-options", ""))
        return min(max(int(wanted[1]), MIN_BATCH), DEFAULT_BATCH) if wanted else DEFAULT_BATCH

    async def json(self) -> Any:
        text = await self.request.body()
        if not text:
            return None
        try:
            return json.loads(text)
        except ValueError:
            raise ApiError("JSON_PARSER_ERROR", "Unexpected character in the request body") from None


def bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() in {"bearer", "oauth"} else ""


async def authenticated(request: Request, version: str) -> Call:
    """Raises SessionInvalid, or NotFound for a version the org does not serve."""
    sessions: Sessions = request.app.state.sessions
    user = sessions.user_of(bearer(request))
    if version not in VERSIONS:
        raise NotFound()
    return Call(request, user, version)


Caller = Annotated[Call, Depends(authenticated)]


def oauth_router(api: Api) -> APIRouter:
    router = APIRouter()

    async def form(request: Request) -> dict[str, str]:
        return dict(parse_qsl((await request.body()).decode()))

    @router.post("/services/oauth2/token")
    async def token(request: Request) -> Response:
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        basic = None
        if scheme.lower() == "basic":
            try:
                name, _, secret = base64.b64decode(encoded).decode().partition(":")
            except ValueError:
                name = secret = ""
            basic = (name, secret)
        try:
            body = api.tokens.grant(await form(request), basic)
        except OAuthError as error:
            return JSONResponse(error.body, 400)
        await api.org.journal.flushed()
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    @router.post("/services/oauth2/revoke")
    async def revoke(request: Request) -> Response:
        given = {**dict(request.query_params), **await form(request)}
        if not api.sessions.revoke(given.get("token", "")):
            error = OAuthError("unsupported_token_type", "this token type is not supported")
            return JSONResponse(error.body, 400)
        await api.org.journal.flushed()
        return Response(status_code=200)

    async def identity(request: Request) -> Response:
        try:
            user_id = api.sessions.user_of(bearer(request))
        except SessionInvalid:
            return PlainTextResponse("Bad_OAuth_Token", 403)
        user = api.org.tables["User"][user_id]
        return JSONResponse(
            {
                "sub": f"{str(request.base_url).rstrip('/')}/id/{api.client.org_id}/{user_id}",
                "user_id": user_id,
                "organization_id": api.client.org_id,
                "preferred_username": user["Username"],
                "username": user["Username"],
                "name": user["Name"],
                "email": user.get("Email"),
                "active": user["IsActive"],
                "user_type": "STANDARD",
            }
        )

    router.add_api_route("/services/oauth2/userinfo", identity, methods=["GET", "POST"])
    router.add_api_route("/id/{org_id}/{user_id}", identity, methods=["GET"])
    return router


def data_router(api: Api) -> APIRouter:
    """Every `/services/data` resource. Replies leave only once what they show is durable."""
    router = APIRouter(prefix="/services/data")
    org = api.org

    async def reply(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
        await org.journal.flushed()
        if body is None:
            return Response(status_code=status, headers=headers)
        return JSONResponse(body, status, headers)

    @router.get("")
    async def versions() -> Response:
        return JSONResponse([{"label": f"v{v}", "url": f"/services/data/v{v}", "version": v} for v in VERSIONS])

    @router.get("/v{version}")
    async def resources(call: Caller) -> Response:
        base = f"/services/data/v{call.version}"
        names = ("sobjects", "query", "queryAll", "composite", "limits")
        return await reply({name: f"{base}/{name}" for name in names})

    @router.get("/v{version}/limits")
    async def limits(call: Caller) -> Response:
        return await reply(api.limits.report())

    @router.get("/v{version}/query")
    async def query(call: Caller) -> Response:
        return await run_query(call, deleted=False)

    @router.get("/v{version}/queryAll")
    async def query_all(call: Caller) -> Response:
        return await run_query(call, deleted=True)

    async def run_query(call: Call, *, deleted: bool) -> Response:
        text = call.request.query_params.get("q")
        if text is None:
            raise ApiError("MALFORMED_QUERY", "SOQL statements cannot be empty or null")
        page = api.queries.start(text, deleted=deleted, batch=call.batch, version=call.version)
        return await reply(page)

    @router.get("/v{version}/query/{locator}")
    async def query_more(call: Caller, locator: str) -> Response:
        return await reply(api.queries.resume(locator, batch=call.batch, version=call.version))

    @router.get("/v{version}/queryAll/{locator}")
    async def query_all_more(call: Caller, locator: str) -> Response:
        return await reply(api.queries.resume(locator, batch=call.batch, version=call.version))

    @router.get("/v{version}/sobjects")
    async def objects(call: Caller) -> Response:
        rows = [summary(obj, call.version) for obj in schema.OBJECTS]
        return await reply({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": rows})

    def object_named(name: str) -> schema.SObject:
        obj = schema.find_object(name)
        if obj is None:
            raise NotFound()
        return obj

    @router.get("/v{version}/sobjects/{name}")
    async def object_info(call: Caller, name: str) -> Response:
        return await reply({"objectDescribe": summary(object_named(name), call.version), "recentItems": []})

    @router.get("/v{version}/sobjects/{name}/describe")
    async def object_description(call: Caller, name: str) -> Response:
        obj = object_named(name)
        table = schema.LEAD_STATUS if obj is schema.LEAD else schema.STAGE
        stages = sorted(org.tables[table.name].values(), key=lambda s: s["SortOrder"])
        changed = max([api.started, *(parse_time(s["SystemModstamp"]) for s in stages)])
        since = call.request.headers.get("if-modified-since")
        if since is not None and changed.replace(microsecond=0) <= http_date(since):
            return Response(status_code=304)
        stamp = changed.strftime("%a, %d %b %Y %H:%M:%S GMT")
        return await reply(describe(obj, stages, call.version, org.access), headers={"Last-Modified": stamp})

    @router.get("/v{version}/sobjects/{name}/updated")
    async def updated(call: Caller, name: str) -> Response:
        obj, start, end = object_named(name), *_window(call)
        rows = org.tables[obj.name].values()
        ids = [r["Id"] for r in rows if start <= r["SystemModstamp"] < end and not r.get("IsDeleted")]
        return await reply({"ids": sorted(ids), "latestDateCovered": _covered(end)})

    @router.get("/v{version}/sobjects/{name}/deleted")
    async def deleted(call: Caller, name: str) -> Response:
        obj, start, end = object_named(name), *_window(call)
        rows = org.tables[obj.name].values()
        gone = {r["Id"]: r["SystemModstamp"] for r in rows if r.get("IsDeleted")}
        gone |= {key: at for key, at in org.purged.items() if key.startswith(obj.prefix)}
        body = {
            "deletedRecords": [{"id": key, "deletedDate": at} for key, at in gone.items() if start <= at < end],
            "earliestDateAvailable": wire_time(api.started),
            "latestDateCovered": _covered(end),
        }
        return await reply(body)

    def _covered(end: str) -> str:
        return min(end, wire_time(org.clock.now()))

    def _window(call: Call) -> tuple[str, str]:
        params = call.request.query_params
        try:
            start, end = (wire_time(parse_time(params[name])) for name in ("start", "end"))
        except (KeyError, ValueError):
            raise ApiError("INVALID_REPLICATION_DATE", "start and end must be datetimes") from None
        if start > end:
            raise ApiError("INVALID_REPLICATION_DATE", "start must be before end")
        return start, end

    async def row(call: Call, *path: str) -> Response:
        headers = call.request.headers
        request = RowRequest(
            method=call.request.method,
            path=path,
            version=call.version,
            params=call.request.query_params,
            body=await call.json(),
            unmodified_since=headers.get("if-unmodified-since"),
        )
        transaction = call.writer.begin(org)
        done: Reply = perform(transaction, request)
        org.commit(transaction)
        where = {"Location": done.location} if done.location else None
        return await reply(done.body, done.status, where)

    @router.post("/v{version}/sobjects/{name}")
    async def create_row(call: Caller, name: str) -> Response:
        return await row(call, name)

    @router.api_route("/v{version}/sobjects/{name}/{record_id}", methods=["GET", "PATCH", "DELETE"])
    async def row_by_id(call: Caller, name: str, record_id: str) -> Response:
        return await row(call, name, record_id)

    @router.api_route("/v{version}/sobjects/{name}/{key}/{value:path}", methods=["GET", "PATCH", "DELETE"])
    async def row_by_key(call: Caller, name: str, key: str, value: str) -> Response:
        return await row(call, name, key, value)

    @router.post("/v{version}/composite")
    async def composite_call(call: Caller) -> Response:
        return await reply(composite.run_composite(org, call.writer, await call.json()))

    @router.post("/v{version}/composite/graph")
    async def graph_call(call: Caller) -> Response:
        return await reply(composite.run_graphs(org, call.writer, await call.json(), api.faults))

    @router.post("/v{version}/composite/sobjects")
    async def create_many(call: Caller) -> Response:
        return await reply(sobject_collections.create(org, call.writer, await call.json()))

    @router.patch("/v{version}/composite/sobjects")
    async def update_many(call: Caller) -> Response:
        return await reply(sobject_collections.update(org, call.writer, await call.json()))

    @router.delete("/v{version}/composite/sobjects")
    async def delete_many(call: Caller) -> Response:
        params = call.request.query_params
        ids = [i for i in params.get("ids", "").split(",") if i]
        all_or_none = params.get("allOrNone", "").lower() == "true"
        results = sobject_collections.delete(org, call.writer, ids, all_or_none=all_or_none)
        return await reply(results)

    @router.patch("/v{version}/composite/sobjects/{name}/{key}")
    async def upsert_many(call: Caller, name: str, key: str) -> Response:
        return await reply(sobject_collections.upsert(org, call.writer, name, key, await call.json()))

    @router.get("/v{version}/composite/sobjects/{name}")
    async def read_many(call: Caller, name: str) -> Response:
        params = call.request.query_params
        ids, fields = ([i for i in params.get(k, "").split(",") if i] for k in ("ids", "fields"))
        return await reply(sobject_collections.retrieve(org, name, ids, fields, call.version))

    @router.post("/v{version}/composite/sobjects/{name}")
    async def read_many_by_body(call: Caller, name: str) -> Response:
        body = await call.json() or {}
        ids, fields = body.get("ids", []), body.get("fields", [])
        return await reply(sobject_collections.retrieve(org, name, ids, fields, call.version))

    return router
