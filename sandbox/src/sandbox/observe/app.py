"""The page's server: static files, the dashboards' data, alerts, runbooks, traces, and the receiver of spans.

It asks Prometheus only what the committed dashboards ask, so a page from elsewhere cannot run queries of its own.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.observe.dashboards import Dashboards, DashboardUnknown, ask, choices, chosen
from sandbox.observe.logs import lines_of
from sandbox.observe.otlp import Receiver
from sandbox.observe.query import PrometheusClient, PrometheusError
from sandbox.observe.runbooks import Runbooks, RunbookUnknown
from sandbox.observe.traces import TraceStore, Wanted
from sandbox.observe.views import alerts_view, number_of, panel_view, period_of, picked, trace_view, traces_view

STATIC = Path(__file__).parent / "static"
HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
LISTED = 200


@dataclass(kw_only=True)
class Observed:
    """Everything the page shows. `prometheus` may be replaced while the page runs."""

    prometheus: PrometheusClient
    logs: Path
    scrape_seconds: float
    store: TraceStore = field(default_factory=TraceStore)
    dashboards: Dashboards = field(default_factory=Dashboards)
    runbooks: Runbooks = field(default_factory=Runbooks)


class Page:
    """The handlers. One that asks Prometheus answers 200 with the error in words, which the page shows in its place."""

    def __init__(self, observed: Observed) -> None:
        self._observed = observed

    async def home(self, request: Request) -> Response:
        boards = self._observed.dashboards.all()
        # A system that was just started has no hour to show.
        return RedirectResponse(f"/d/{boards[0]['uid']}?from=now-15m&refresh=10s" if boards else "/traces")

    async def shell(self, request: Request) -> Response:
        return _shell()

    async def dashboard(self, request: Request) -> Response:
        self._observed.dashboards.get(request.path_params["uid"])
        return _shell()

    async def runbook(self, request: Request) -> Response:
        return _shell(self._observed.runbooks.html(request.path_params["name"]))

    async def list_dashboards(self, request: Request) -> Response:
        boards = self._observed.dashboards.all()
        return JSONResponse(
            [{name: board.get(name, "") for name in ("uid", "title", "description")} for board in boards]
        )

    async def get_dashboard(self, request: Request) -> Response:
        return JSONResponse(self._observed.dashboards.get(request.path_params["uid"]))

    async def get_variables(self, request: Request) -> Response:
        board = self._observed.dashboards.get(request.path_params["uid"])
        return JSONResponse([asdict(variable) for variable in await choices(board, self._observed.prometheus)])

    async def get_panel(self, request: Request) -> Response:
        uid, asked = request.path_params["uid"], request.query_params
        board = self._observed.dashboards.get(uid)
        panel = self._observed.dashboards.panel(uid, request.path_params["panel"])
        period = period_of(asked, self._observed.scrape_seconds)
        answers = await ask(panel, period, chosen(board, picked(asked)), self._observed.prometheus)
        return JSONResponse(panel_view(period, answers))

    async def get_alerts(self, request: Request) -> Response:
        client = self._observed.prometheus
        try:
            return JSONResponse(alerts_view(await client.alerts(), await client.rules()))
        except PrometheusError as problem:
            return JSONResponse({"alerts": [], "rules": [], "error": str(problem)})

    async def list_traces(self, request: Request) -> Response:
        asked, store = request.query_params, self._observed.store
        wanted = Wanted(
            service=asked.get("service", ""),
            text=asked.get("q", ""),
            at_least_ms=number_of(asked, "min_ms"),
            errors=asked.get("errors") == "1",
        )
        return JSONResponse(traces_view(store.list(wanted, LISTED), store.services(), len(store)))

    async def get_trace(self, request: Request) -> Response:
        trace_id, store = request.path_params["trace_id"].lower(), self._observed.store
        spans = store.spans(trace_id)
        if not spans:
            words = f"There is no trace {trace_id[:40]!r} here: it was not recorded, or newer ones took its place."
            raise HTTPException(404, words)
        return JSONResponse(trace_view(spans, store.refused(trace_id), lines_of(trace_id, self._observed.logs)))


class SafeHeaders:
    """Adds HEADERS to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                pairs = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *pairs]}
            await send(message)

        await self._app(scope, receive, with_headers)


def page_app(observed: Observed) -> Starlette:
    """The application, for loopback only: it answers under no other host's name."""
    page, receiver = Page(observed), Receiver(observed.store)
    routes = [
        Route("/", page.home),
        Route("/d/{uid}", page.dashboard),
        Route("/alerts", page.shell),
        Route("/traces", page.shell),
        Route("/traces/{trace_id}", page.shell),
        Route("/runbooks/{name}", page.runbook),
        Route("/api/dashboards", page.list_dashboards),
        Route("/api/dashboards/{uid}", page.get_dashboard),
        Route("/api/dashboards/{uid}/variables", page.get_variables),
        Route("/api/dashboards/{uid}/panels/{panel:int}", page.get_panel),
        Route("/api/alerts", page.get_alerts),
        Route("/api/traces", page.list_traces),
        Route("/api/traces/{trace_id}", page.get_trace),
        Route("/v1/traces", receiver.receive, methods=["POST"]),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    return Starlette(
        routes=routes,
        middleware=[Middleware(SafeHeaders), hosts],
        exception_handlers={DashboardUnknown: _unknown, RunbookUnknown: _unknown, HTTPException: _refused},
    )


def _shell(article: str = "", status: int = 200) -> HTMLResponse:
    """The one HTML page; a script fills it by its path, unless there is an article already."""
    html = (STATIC / "page.html").read_text()
    content = f"<article>{article}</article>" if article else ""
    return HTMLResponse(html.replace("<!-- content -->", content), status)


async def _unknown(request: Request, problem: Exception) -> Response:
    return _problem(request, 404, str(problem))


async def _refused(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)
    words = {404: "There is no such page.", 405: "This address does not take that method."}
    plain = problem.detail in ("Not Found", "Method Not Allowed")
    return _problem(request, problem.status_code, words[problem.status_code] if plain else problem.detail)


def _problem(request: Request, status: int, words: str) -> Response:
    if request.url.path.startswith(("/api/", "/v1/", "/static/")):
        return JSONResponse({"error": words}, status)
    return _shell(f"<h1>Not found</h1><p>{escape(words)}</p>", status)
