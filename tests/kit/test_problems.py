"""Pointers, and what is said of a body that cannot be read."""

from datetime import date
from typing import Annotated, Literal, Self
from uuid import UUID

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from kit.http.problems import install_problem_handlers, pointer
from kit.http.read_back import ReadBack
from kit.http.texts import Instant
from pydantic import BaseModel, ConfigDict, Field, model_validator


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


class Left(BaseModel):
    """One kind of a part."""

    model_config = ConfigDict(extra="forbid")

    left: int = 0


class Right(BaseModel):
    """Another kind of it."""

    model_config = ConfigDict(extra="forbid")

    right: int = 0


class Part(BaseModel):
    """What is of one kind or another."""

    last: Annotated[Left | Right, Field()]


class Strict(ReadBack):
    """A body of which more is read than written."""

    model_config = ConfigDict(extra="forbid")
    only_read = frozenset({"revision"})

    name: Annotated[str, Field(min_length=1, pattern="^[a-z]*$")]
    kind: Literal["a", "b"] = "a"
    at: Instant | None = None
    on: date | None = None
    tags: Annotated[tuple[str, ...], Field(min_length=2)] = ("x", "y")
    id: UUID | None = None
    parts: dict[str, tuple[Part, ...]] | None = None

    @model_validator(mode="after")
    def _not_both(self) -> Self:
        if self.at and self.on:
            raise ValueError("name a time or a date, not both")
        return self


@pytest.fixture
async def strict():
    app = FastAPI()
    install_problem_handlers(app)

    @app.put("/strict")
    async def put(body: Strict, since: Instant | None = None) -> str:
        return body.name

    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        yield client


@pytest.mark.parametrize(
    ("body", "where", "words"),
    [
        ({"name": ""}, "/name", "This must not be empty."),
        ({"name": "A"}, "/name", "This text has another form than is allowed: ^[a-z]*$."),
        ({"name": "a", "kind": "c"}, "/kind", "This must be 'a' or 'b'."),
        ({"name": "a", "at": "soon"}, "/at", "This must be a time such as 2026-11-30T09:00:00Z."),
        ({"name": "a", "at": 2026}, "/at", "This must be a time such as 2026-11-30T09:00:00Z."),
        ({"name": "a", "at": "2026"}, "/at", "This must be a time such as 2026-11-30T09:00:00Z."),
        ({"name": "a", "at": "-1.5e3"}, "/at", "This must be a time such as 2026-11-30T09:00:00Z."),
        ({"name": "a", "on": "25.12.2026"}, "/on", "This must be a date such as 2026-11-30."),
        ({"name": "a", "tags": ["x"]}, "/tags", "This must have at least 2 members; it has 1."),
        ({"name": "a", "id": "x"}, "/id", "This must be a UUID, such as 0190a6a2-5c1e-7c3a-9f0e-3b1d2c4e5f60."),
        ({"name": "a", "at": "2026-11-30T09:00:00Z", "on": "2026-11-30"}, "", "Name a time or a date, not both."),
        (
            {"name": "a", "revison": 1},
            "/revison",
            "There is no field of this name. Allowed are: at, id, kind, name, on, parts, tags.",
        ),
        (
            {"name": "a", "parts": {"a/b": [{"last": {"middle": 1}}]}},
            "/parts/a~1b/0/last/middle",
            "There is no field of this name. Allowed are: left, right.",
        ),
    ],
)
async def test_what_is_wrong_is_said_in_plain_words(strict, body: dict, where: str, words: str) -> None:
    problem = (await strict.put("/strict", json=body)).json()
    assert [(error["pointer"], error["detail"]) for error in problem["errors"]] == [(where, words)]


async def test_what_is_only_read_may_be_sent_back(strict) -> None:
    assert (await strict.put("/strict", json={"name": "a", "revision": 3})).status_code == 200


async def test_a_year_is_no_time_and_a_plus_in_a_url_is_explained(strict) -> None:
    """A bare number would count as seconds since 1970."""
    for since in ("2026", "1793000000", "2026-11-30T09:00:00+01:00"):
        answer = await strict.put(f"/strict?since={since}", json={"name": "a"})
        assert answer.status_code == 422
        assert "write + as %2B" in answer.json()["errors"][0]["detail"]
    answer = await strict.put("/strict?since=2026-11-30T09:00:00%2B01:00", json={"name": "a"})
    assert answer.status_code == 200


async def test_the_detail_says_that_there_are_more_errors(strict) -> None:
    problem = (await strict.put("/strict", json={"a": 1, "b": 1, "c": 1, "d": 1, "name": "a"})).json()
    assert problem["detail"].endswith("And 1 more: see errors.")


async def test_a_path_or_method_that_is_not_there_says_what_is(strict) -> None:
    assert "/openapi.json" in (await strict.get("/stricd")).json()["detail"]
    assert (await strict.get("/strict")).json()["detail"] == "GET is not possible here; PUT is."
