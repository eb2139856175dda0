"""The largest inputs that are admitted never hold up the event loop."""

import asyncio
import gc
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from assessment.schemas.answers import MAX_CHARACTERS as MAX_ANSWERS
from assessment.schemas.authoring import MAX_CHARACTERS, MAX_CHOICES, MAX_CHOICES_TOGETHER, MAX_QUESTIONS
from forms.check import MAX_TEXT_LENGTH
from kit.ids import uuid7
from testing.pace import Pace

pytestmark = pytest.mark.stack

MOST_SECONDS = 0.1
# Only the least of several counts: a machine at work slows single runs.
ATTEMPTS = 3


@contextmanager
def slices(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The processor time of every turn of the event loop."""
    taken: list[float] = []
    run = asyncio.Handle._run

    def measured(handle: asyncio.Handle) -> None:
        began = time.thread_time()
        run(handle)
        taken.append(time.thread_time() - began)

    with monkeypatch.context() as patched:
        patched.setattr(asyncio.Handle, "_run", measured)
        yield taken


async def stall(
    monkeypatch: pytest.MonkeyPatch, world: Any, method: str, path: str, *bodies: Any, **headers: str
) -> float:
    """The longest turn while the request is answered, at best, in seconds of a machine that does nothing else."""
    longest: list[float] = []
    for body in bodies:
        # The test's own work is no part of it.
        content = json.dumps(body).encode() if body is not None else None
        given = world.headers("admin") | {"content-type": "application/json"} | headers
        target = path.format(id=uuid7())
        gc.collect()
        pace = Pace()
        with slices(monkeypatch) as taken:
            answer = await world.service.client.request(method, f"/v1{target}", content=content, headers=given)
        assert answer.status_code in {200, 201}, answer.text[:500]
        longest.append(pace.of(max(taken)))
    return min(longest)


def choices(count: int) -> list[dict[str, Any]]:
    return [{"key": f"c{number}", "text": f"{number}-{number + 1} weeks of implementation"} for number in range(count)]


def largest_definition() -> list[dict[str, Any]]:
    """As many questions, choices and characters as there may be, with conditions that give the lint the most to do."""
    asked = [
        {"key": f"m{number}", "text": "?", "type": "multiple_choice", "choices": choices(MAX_CHOICES)}
        for number in range(MAX_CHOICES_TOGETHER // MAX_CHOICES)
    ]
    listed = ",".join(f"'c{number}'" for number in range(3))
    conditions = [f"{{m{n % 10}}} anyof [{listed}] and {{m{(n + 1) % 10}}} notempty" for n in range(30)]
    asked += [{"key": f"t{n}", "text": "?", "type": "text", "visible_if": each} for n, each in enumerate(conditions)]
    asked += [{"key": f"r{n}", "text": "?", "type": "text"} for n in range(MAX_QUESTIONS - len(asked))]
    room = MAX_CHARACTERS - 120_000
    for question in asked:
        question["help_text"] = "h" * (room // MAX_QUESTIONS)
    return asked


def questions_of_many_texts() -> list[dict[str, Any]]:
    """Texts of the greatest length, that conditions look through as often as they may."""
    words = ",".join(["'a'"] * 30)
    asked = [{"key": f"t{number}", "text": "?", "type": "text"} for number in range(10)]
    tests = [{"visible_if": f"{{t{number}}} allof [{words}]", "key": f"q{number}"} for number in range(4)]
    return [*asked, *({"text": "?", "type": "text", **test} for test in tests)]


def largest_answers() -> dict[str, str]:
    return {f"t{number}": "a" * (MAX_TEXT_LENGTH - 1) + "b" for number in range(MAX_ANSWERS // MAX_TEXT_LENGTH)}


async def test_writing_the_largest_definition(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = [{"key": f"large{n}", "title": "T", "questions": largest_definition()} for n in range(ATTEMPTS)]
    assert await stall(monkeypatch, world, "POST", "/assessments", *bodies) < MOST_SECONDS
    nothing = [None] * ATTEMPTS
    assert await stall(monkeypatch, world, "GET", "/assessments/large0", *nothing) < MOST_SECONDS
    assert await stall(monkeypatch, world, "POST", "/assessments/large0/publish", *nothing) < MOST_SECONDS


async def test_answering_the_costliest_form_at_length(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.publish_form("prospecting", questions_of_many_texts())
    bodies = [world.body(answers=largest_answers()) for _ in range(ATTEMPTS)]
    assert await stall(monkeypatch, world, "PUT", "/submissions/{id}", *bodies) < MOST_SECONDS


async def test_a_batch_of_many_long_answers(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.publish_form("prospecting", questions_of_many_texts())
    answers = largest_answers()
    bodies = [
        {"items": [world.body(answers=answers, submission_id=str(uuid7())) for _ in range(10)]} for _ in range(ATTEMPTS)
    ]
    assert await stall(monkeypatch, world, "POST", "/submission-batches", *bodies) < MOST_SECONDS
