"""A tenant that does the worst that is legal, without pause: it may slow itself down, and no other tenant.

    python -m tools.chaos.hostile RUN_DIR    until SIGTERM; prints its calls by outcome

It runs in a process of its own: what it costs to make its requests must not pass for slowness of the system."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from kit.ids import utc_now, uuid7
from sandbox.stack import Stack
from sandbox.story.api import Caller, Refused
from sandbox.story.play import loopback_client

TENANT = "hostile"
QUESTIONS = 60
LONGEST_TEXT = 10_000
BATCH = 100
RULES = 40
PAUSE_SECONDS = 0.05
LONG_ANSWERS, SHORT_ANSWERS = (
    json.dumps({f"q{question}": "😀" * size for question in range(QUESTIONS)}) for size in (LONGEST_TEXT // 40, 10)
)
SHOUT = b"[" + b"1," * 500_000 + b"1]"
SLOW_LABEL = "3 months of implementation services included!"


class Hostile:
    """Its calls by outcome are in `answers`."""

    def __init__(self, stack: Stack, http: httpx.AsyncClient) -> None:
        self.answers: Counter[str] = Counter()
        self._http = http
        self._urls = stack.urls
        self._rep_token = stack.token(TENANT, "rep", "mallory")
        self._admin = Caller(http, stack.urls, stack.token(TENANT, "admin", "mallory"))
        self._numbers = count()

    async def prepare(self) -> None:
        """Publish the largest assessment that is accepted, so that its submissions are large too."""
        questions = [
            {"key": f"q{number}", "text": "Why?", "type": "text", "required": False} for number in range(QUESTIONS)
        ]
        questions.append(
            {
                "key": "label",
                "text": "Which?",
                "type": "single_choice",
                "required": False,
                "choices": [{"key": f"c{number}", "text": f"{number} {SLOW_LABEL}"} for number in range(40)],
            }
        )
        await self._admin.post("assessment", "/v1/assessments", {"key": "worst", "title": "W", "questions": questions})
        await self._admin.post("assessment", "/v1/assessments/worst/publish")

    async def perform(self) -> None:
        """Go on until cancelled; each kind of call follows itself without waiting for the others."""
        kinds = (self._submit, self._submit_batch, self._lint, self._read, self._shout)
        async with asyncio.TaskGroup() as group:
            for kind in kinds:
                group.create_task(self._again_and_again(kind))

    async def _again_and_again(self, call: Callable[[], Awaitable[Any]]) -> None:
        while True:
            try:
                await call()
                self.answers["answered"] += 1
            except Refused as refusal:
                self.answers[f"{refusal.status} {refusal.code}"] += 1
            except httpx.HTTPError as problem:
                self.answers[type(problem).__name__] += 1
            await asyncio.sleep(PAUSE_SECONDS)

    def _submission(self, more: str, answers: str) -> str:
        """Made of ready parts: this process must not take the processor from those that it attacks."""
        number = next(self._numbers)
        return (
            f'{{{more}"opportunity_id": "006H{number:011d}", "assessment_key": "worst", "assessment_version": 1,'
            f' "captured_at": "{utc_now().isoformat()}", "answers": {answers}}}'
        )

    async def _submit(self) -> None:
        await self._send("PUT", f"/v1/submissions/{uuid7()}", self._submission("", LONG_ANSWERS))

    async def _submit_batch(self) -> None:
        items = (self._submission(f'"submission_id": "{uuid7()}", ', SHORT_ANSWERS) for _ in range(BATCH))
        await self._send("POST", "/v1/submission-batches", f'{{"items": [{",".join(items)}]}}')

    async def _send(self, method: str, path: str, body: str) -> None:
        headers = {"Authorization": f"Bearer {self._rep_token}", "content-type": "application/json"}
        response = await self._http.request(
            method, self._urls["assessment"] + path, content=body.encode(), headers=headers
        )
        if not response.is_success:
            raise Refused(response)

    async def _lint(self) -> None:
        body = await self._admin.get("stage-engine", "/v1/pipeline-templates/field_example")
        body = {name: value for name, value in body.items() if name != "key"}
        rule = body["rules"][0]
        body["rules"] = [{**rule, "rule_id": f"r{number}"} for number in range(RULES)]
        await self._admin.send("POST", "stage-engine", "/v1/pipelines/worst/lint", body)

    async def _read(self) -> None:
        await self._admin.get("assessment", "/v1/assessments/worst")
        await self._admin.get("stage-engine", "/v1/opportunities", limit=200)

    async def _shout(self) -> None:
        """A large body without a token."""
        url = f"{self._urls['assessment']}/v1/submission-batches"
        await self._http.post(url, content=SHOUT, headers={"content-type": "application/json"})


async def main(run_dir: Path) -> None:
    """Be hostile to the stack in `run_dir` until SIGTERM."""
    async with loopback_client() as http:
        hostile = Hostile(Stack(run_dir), http)
        work = asyncio.create_task(hostile.perform())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
        with suppress(asyncio.CancelledError):
            await work
    print(json.dumps(hostile.answers))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
