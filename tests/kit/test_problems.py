"""Pointers, and what is said of a body that cannot be read."""

from typing import Annotated

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from kit.http.problems import install_problem_handlers, pointer
from pydantic import BaseModel, ConfigDict, Field


class Note(BaseModel):
    """A body."""

    model_config = ConfigDict(extra="forbid")

    text: str
    value: Annotated[str, Field(max_length=5)] | bool | list[str] | None = None
    counts: dict[Annotated[str, Field(max_length=5)], int] = {}


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


@pytest.mark.parametrize(
    ("more", "where", "code"),
    [
        (b'"value": 5', "/value", "type_not_allowed"),
        (b'"value": {}', "/value", "type_not_allowed"),
        (b'"value": "too long"', "/value", "string_too_long"),
        (b'"value": ["a", 5]', "/value/1", "string_type"),
        (b'"counts": {"a": "many"}', "/counts/a", "int_parsing"),
        (b'"counts": {"too long": 1}', "/counts/too long", "string_too_long"),
        (b'"other": 1', "/other", "extra_forbidden"),
    ],
)
async def test_a_value_that_may_be_of_several_kinds_is_refused_once(more: bytes, where: str, code: str) -> None:
    """A pointer names what is in the body, never the kind that was tried."""
    problem = await post(b'{"text": "a", %b}' % more)
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(where, code)]
    if code == "type_not_allowed":
        assert problem["errors"][0]["detail"] == "This must be a text, or true or false, or a list."


async def test_what_is_missing_is_named() -> None:
    assert [error["pointer"] for error in (await post(b"{}"))["errors"]] == ["/text"]


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
