"""Pointers, and what is said of a body that cannot be read."""

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from kit.http.problems import install_problem_handlers, pointer
from pydantic import BaseModel


class Note(BaseModel):
    """A body."""

    text: str


def test_pointers_escape_what_json_pointers_must() -> None:
    assert pointer("a/b", "m~n", 0) == "/a~1b/m~0n/0"


async def post(body: bytes, query: str = "") -> dict:
    app = FastAPI()
    install_problem_handlers(app)

    @app.post("/notes")
    async def take(note: Note, limit: int = 1) -> None:
        pass

    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        answer = await client.post(f"/notes{query}", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    return answer.json()


async def test_a_pointer_starts_at_the_root_of_the_body() -> None:
    problem = await post(b'{"text": 5}')
    assert [error["pointer"] for error in problem["errors"]] == ["/text"]


async def test_what_is_no_part_of_the_body_says_where_it_is() -> None:
    problem = await post(b'{"text": "a"}', "?limit=many")
    assert [error["pointer"] for error in problem["errors"]] == ["/query/limit"]


@pytest.mark.parametrize(
    ("body", "line", "column"),
    [(b"{", 1, 2), (b'{"text": 1,}', 1, 12), (b'{\n  "text": "a"\n  "b": 1\n}', 3, 3), (b"\n\n]", 3, 1)],
)
async def test_a_body_that_is_no_json_is_refused_with_line_and_column(body: bytes, line: int, column: int) -> None:
    problem = await post(body)
    assert (problem["code"], problem["line"], problem["column"]) == ("malformed_json", line, column)
    assert problem["detail"].endswith(f"at line {line}, column {column}.")
