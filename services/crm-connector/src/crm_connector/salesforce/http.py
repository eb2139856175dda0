"""One HTTP exchange with the org, bounded in time and size. Whatever the peer does, the outcome is a reply or a
CrmFault: a proxy, a gateway or an outage may speak in the org's place."""

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx

from crm_connector.crm import CrmFault
from crm_connector.salesforce.errors import NotReached, OutcomeUnknown, StillWorking

# The org gives up after ten minutes. Most calls end in a second, and one that is long in coming holds others up.
TIMEOUT_SECONDS = 120.0
_DEADLINE_SECONDS = TIMEOUT_SECONDS + 15
# A page of 2,000 records has about 2 MB.
MOST_BYTES = 64 * 1024 * 1024
# Each further layer of compression multiplies what a reply can grow to.
_HEADERS = {"Accept-Encoding": "gzip"}


@dataclass(frozen=True, slots=True)
class Exchanged:
    """A whole reply."""

    status: int
    headers: httpx.Headers
    content: bytes

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


async def exchange(http: httpx.AsyncClient, method: str, url: str, *, peer: str, **given: Any) -> Exchanged:
    """The reply of `peer`, as faults name it. NotReached when the request certainly did not arrive, else
    OutcomeUnknown."""
    given["headers"] = _HEADERS | given.get("headers", {})
    try:
        async with asyncio.timeout(_DEADLINE_SECONDS), http.stream(method, url, **given) as reply:
            return Exchanged(reply.status_code, reply.headers, await _content(reply, peer))
    except CrmFault:
        raise
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.InvalidURL) as error:
        raise NotReached(f"{peer} cannot be reached: {_words(error)}") from error
    except (TimeoutError, httpx.TimeoutException) as error:
        raise StillWorking(f"{peer} did not reply in time: {_words(error)}") from error
    except Exception as error:
        # Bad compression, a broken protocol, a header that is none: the client has an exception for each.
        raise OutcomeUnknown(f"the reply of {peer} was lost: {_words(error)}") from error


async def _content(reply: httpx.Response, peer: str) -> bytes:
    if "," in reply.headers.get("Content-Encoding", ""):
        raise OutcomeUnknown(f"{peer} sent a reply that is compressed more than once")
    content = bytearray()
    async for chunk in reply.aiter_bytes():
        content += chunk
        if len(content) > MOST_BYTES:
            raise OutcomeUnknown(f"{peer} sent a reply of more than {MOST_BYTES} bytes")
    return bytes(content)


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
