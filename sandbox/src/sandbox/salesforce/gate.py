"""The layer in front of the API: ordered faults, the call allocation, and the way to lose a reply."""

import asyncio

from starlette.datastructures import MutableHeaders
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sandbox.salesforce.errors import ApiError, OAuthError
from sandbox.salesforce.faults import Fault, Faults
from sandbox.salesforce.limits import Limits

_ABORT = "sandbox.abort"
_DOWN = """<!DOCTYPE html><html><head><title>Service Unavailable</title></head>
<body><h1>We are down for maintenance.</h1><p>Sorry for the inconvenience. We'll be back shortly.</p>
</body></html>"""


class AbortableProtocol(HttpToolsProtocol):
    """HTTP whose application may cut the connection, as a failing network does."""

    def on_headers_complete(self) -> None:
        self.scope["extensions"] = {_ABORT: {"call": self.transport.abort}}
        super().on_headers_complete()


class Gate:
    """Applies faults and limits to Salesforce's own paths and lets everything else through."""

    def __init__(self, app: ASGIApp, faults: Faults, limits: Limits) -> None:
        self._app = app
        self._faults = faults
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith(("/services/", "/id/")):
            await self._app(scope, receive, send)
            return
        if len(path) > 1 and path.endswith("/"):
            scope["path"] = path = path.rstrip("/")
        sender = self._with_limit_info(send) if path.startswith("/services/data") else send
        fault = self._faults.take(path)
        reply = await self._refusal(path, fault)
        if reply is not None:
            await reply(scope, receive, sender)
        elif fault is not None and fault.drop_after_commit:
            await self._app(scope, receive, _discard)
            scope["extensions"][_ABORT]["call"]()
            # The server learns of the lost connection on its next turn, and then sends nothing.
            await asyncio.sleep(0.01)
        else:
            await self._app(scope, receive, sender)

    async def _refusal(self, path: str, fault: Fault | None) -> Response | None:
        if fault is not None:
            await asyncio.sleep(fault.latency_ms / 1000)
            if fault.html_503:
                return HTMLResponse(_DOWN, 503)
            error = fault.error()
            if error is not None and path.endswith("/oauth2/token"):
                return JSONResponse(OAuthError(error.code, error.message).body, error.status)
            if error is not None:
                return error_reply(error)
        if path.startswith("/services/data/v") and not path.endswith("/limits"):
            try:
                self._limits.count_call()
            except ApiError as error:
                return error_reply(error)
        return None

    def _with_limit_info(self, send: Send) -> Send:
        async def sender(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Sforce-Limit-Info"] = self._limits.info
            await send(message)

        return sender


async def _discard(message: Message) -> None:
    del message


def error_reply(error: ApiError) -> Response:
    if error.status == 412:
        return Response(status_code=412)
    return JSONResponse(error.rest(), error.status)
