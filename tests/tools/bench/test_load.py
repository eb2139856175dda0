"""The bench's own client: whatever the pieces, the same answers; what it did not expect, it says."""

import asyncio
import itertools
import json
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.bench.load import Answer, AnswerReader, UnexpectedAnswer, drive, request

CREATED = b"HTTP/1.1 201 Created\r\nserver: uvicorn\r\nContent-Length: 2\r\n\r\n{}"
EMPTY = b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n"
TWO = [Answer(201, b"{}"), Answer(204, b"")]


@given(st.lists(st.integers(0, len(CREATED + EMPTY)), max_size=8))
def test_answers_are_whole_however_their_bytes_were_cut(places):
    stream = CREATED + EMPTY
    cuts = [0, *sorted(places), len(stream)]
    reader, answers = AnswerReader(), []
    for begin, end in itertools.pairwise(cuts):
        answers += reader.feed(stream[begin:end])
    assert answers == TWO


def test_a_blank_line_in_a_body_ends_nothing():
    body = b"a\r\n\r\nb"
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n" + body
    assert AnswerReader().feed(answer + EMPTY) == [Answer(200, body), Answer(204, b"")]


@pytest.mark.parametrize(
    "stream",
    [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"garbage\r\ncontent-length: 0\r\n\r\n",
    ],
)
def test_what_it_cannot_read_is_no_answer(stream):
    with pytest.raises(UnexpectedAnswer):
        AnswerReader().feed(stream)


def test_a_request_says_how_long_its_body_is():
    made = request("PUT", "/v1/x", {"name": "Zoë"}, "secret")
    head, _, body = made.partition(b"\r\n\r\n")
    assert head.startswith(b"PUT /v1/x HTTP/1.1\r\n")
    assert f"Content-Length: {len(body)}".encode() in head.split(b"\r\n")
    assert b"Authorization: Bearer secret" in head.split(b"\r\n")
    assert json.loads(body) == {"name": "Zoë"}


@asynccontextmanager
async def server(answer):
    """A server that answers each request with `answer(body)`, in two pieces; None hangs up."""
    bodies = []

    async def serve(reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                bodies.append(json.loads(await reader.readexactly(size)))
                if (given := answer(bodies[-1])) is None:
                    return
                writer.write(given[:20])
                await asyncio.sleep(0)
                writer.write(given[20:])
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", bodies


def requests(count):
    return [request("POST", "/", {"number": number}) for number in range(count)]


async def test_every_request_is_sent_once_and_every_answer_checked():
    checked = []
    async with server(lambda _: CREATED) as (url, bodies):
        await drive(url, requests(50), lambda status, body: checked.append((status, body)) or True, connections=4)
    assert sorted(body["number"] for body in bodies) == list(range(50))
    assert checked == [(201, b"{}")] * 50


async def test_a_paced_load_sends_everything():
    async with server(lambda _: CREATED) as (url, bodies):
        seconds = await drive(url, requests(20), lambda status, _: status == 201, rate=1000, connections=3)
    assert len(bodies) == 20
    assert seconds >= 19 / 1000


async def test_an_answer_that_is_not_wanted_ends_the_load():
    refusal = b"HTTP/1.1 422 Unprocessable\r\ncontent-length: 4\r\n\r\nnope"
    async with server(lambda body: refusal if body["number"] == 3 else CREATED) as (url, _):
        with pytest.raises(UnexpectedAnswer, match=r"422.*nope"):
            await drive(url, requests(10), lambda status, _: status == 201, connections=2)


async def test_a_server_that_hangs_up_ends_the_load():
    async with server(lambda body: None if body["number"] == 3 else CREATED) as (url, _):
        with pytest.raises(ConnectionResetError):
            await drive(url, requests(10), lambda status, _: status == 201, connections=2)
