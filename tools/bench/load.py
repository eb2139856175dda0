"""A client that costs next to nothing, so that the load does not measure itself.

HTTP/1.1 with keep-alive on loopback: requests are bytes made beforehand, and only status and body of a reply are read.
It reads only replies with a Content-Length, which is all that our servers send.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import uvloop

CONNECTIONS = 16
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"
Check = Callable[[int, bytes], bool]


class UnexpectedAnswer(Exception):
    """A reply that the client cannot read, or one that the load did not want."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A status code and a whole body."""

    status: int
    body: bytes


class AnswerReader:
    """Turns the bytes of one connection into replies, however they were cut."""

    def __init__(self) -> None:
        self._left = b""

    def feed(self, data: bytes) -> list[Answer]:
        """The replies that these bytes complete, in order. Raises UnexpectedAnswer."""
        left = self._left + data if self._left else data
        answers: list[Answer] = []
        while (end := left.find(_HEAD_END)) >= 0:
            head, begin = left[:end], end + len(_HEAD_END)
            size = _length(head)
            if len(left) < begin + size:
                break
            answers.append(Answer(_status(head), left[begin : begin + size]))
            left = left[begin + size :]
        self._left = left
        return answers


def _status(head: bytes) -> int:
    if not head.startswith(b"HTTP/1.1 ") or not head[9:12].isdigit():
        raise UnexpectedAnswer(f"no status line of HTTP/1.1: {head[:80]!r}")
    return int(head[9:12])


def _length(head: bytes) -> int:
    lowered = head.lower()
    at = lowered.find(_LENGTH)
    if at < 0:
        raise UnexpectedAnswer(f"no Content-Length: {head[:200]!r}")
    begin = at + len(_LENGTH)
    end = lowered.find(b"\r\n", begin)
    return int(lowered[begin : end if end >= 0 else None])


def request(method: str, path: str, body: Any, token: str = "") -> bytes:
    """The bytes of a request with a JSON body."""
    content = json.dumps(body, separators=(",", ":")).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(content)}"]
    lines += [f"Authorization: Bearer {token}"] if token else []
    return "\r\n".join(lines).encode() + _HEAD_END + content


class Connection(asyncio.Protocol):
    """One connection that carries one request at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = AnswerReader()
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Answer] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no asyncio.Transport, though they do what one does.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            answers = self._reader.feed(data)
            if len(answers) > 1 or (answers and (self._waiting is None or self._waiting.done())):
                raise UnexpectedAnswer("more answers than requests")
        except UnexpectedAnswer as problem:
            self._fail(problem)
            return
        if answers and self._waiting is not None:
            self._waiting.set_result(answers[0])

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._fail(exc or ConnectionResetError("the server closed the connection"))

    def send(self, content: bytes) -> asyncio.Future[Answer]:
        """The reply to come. Raises ConnectionResetError when the server has gone."""
        if self._transport is None:
            raise ConnectionResetError("the server closed the connection")
        self._waiting = self._loop.create_future()
        self._transport.write(content)
        return self._waiting

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _fail(self, problem: Exception) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(problem)


async def drive(
    url: str, requests: Sequence[bytes], wanted: Check, *, rate: float = 0, connections: int = CONNECTIONS
) -> float:
    """Send all requests, `rate` a second or as fast as they are answered; the seconds it took.

    Every answer must be `wanted(status, body)`. Raises UnexpectedAnswer with the first that is not, and
    ConnectionResetError.
    """
    loop = asyncio.get_running_loop()
    host, port = url.removeprefix("http://").split(":")
    opened = [(await loop.create_connection(Connection, host, int(port)))[1] for _ in range(connections)]
    places = iter(range(len(requests)))
    began = time.perf_counter()

    async def work(connection: Connection) -> None:
        for place in places:
            if rate and (early := began + place / rate - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            answer = await connection.send(requests[place])
            if not wanted(answer.status, answer.body):
                raise UnexpectedAnswer(f"{answer.status} {answer.body[:500]!r}")

    try:
        async with asyncio.TaskGroup() as group:
            for connection in opened:
                group.create_task(work(connection))
        return time.perf_counter() - began
    except BaseExceptionGroup as problems:
        raise problems.exceptions[0] from None
    finally:
        for connection in opened:
            connection.close()


def run(url: str, warm_up: Sequence[bytes], requests: Sequence[bytes]) -> float:
    """Submissions a second that a server accepts as new, after a warm-up that does not count."""

    async def act() -> float:
        await drive(url, warm_up, created)
        return len(requests) / await drive(url, requests, created)

    return uvloop.run(act())


def created(status: int, body: bytes) -> bool:
    """Whether a submission was accepted as new."""
    return status == 201
