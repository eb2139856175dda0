"""People at work while everything breaks: devices that repeat themselves until answered, and edits in the org."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from random import Random
from typing import Any, TypeVar

import httpx
from kit.ids import utc_now, uuid7
from sandbox.story.answers import draw_answers
from sandbox.story.api import Caller, Refused
from sandbox.story.journal import HandIn, Journal
from sandbox.story.org_load import OrgConsole, OrgIds
from sandbox.story.reps import BATCH_ITEMS, FIRST_VISIT, Desk, put, submission
from sandbox.story.setup import Definition
from sandbox.story.world import ASSESSMENT_OF, CLOSED_LOST, CRM_STAGE, OPEN_STAGES, Opportunity, Rep, World, rank

PAUSE_SECONDS = 0.3
READY = 0.6
# Devices whose clock is wrong, and by how much at most.
WRONG_CLOCK = 0.04
MOST_DAYS_OFF = 400
BATCHES_A_DAY = 3
SUBMISSIONS_PER_EDIT = 40
TOO_MANY = 429
T = TypeVar("T")


class Work:
    """A team with its opportunities. `journal` holds what was accepted; `unable` counts calls that had to be
    repeated; `seconds` is how long each answered call took."""

    def __init__(
        self,
        seed: int,
        world: World,
        ids: OrgIds,
        definitions: Mapping[str, Definition],
        console: OrgConsole,
        caller_for: Callable[[Rep], Caller],
    ) -> None:
        self.journal = Journal()
        self.unable: Counter[str] = Counter()
        self.sent = 0
        # How long each call took that was answered.
        self.seconds: list[float] = []
        self._seed = seed
        self.opportunities = world.opportunities
        self._ids = ids
        self._console = console
        self._reps = {rep.key: rep for rep in world.reps}
        self._desks = {rep.key: Desk(caller_for(rep), ids, definitions, self.journal) for rep in world.reps}

    async def perform(self, part: str, submissions: int, seconds: float) -> None:
        """Hand in that many, spread over the opportunities and the time; returns when all are answered."""
        chance = Random(f"people:{self._seed}:{part}")
        offline: dict[str, list[tuple[Opportunity, int]]] = {}
        async with asyncio.TaskGroup() as group:
            for number, opportunity in enumerate(self.opportunities):
                count = (submissions + number) // len(self.opportunities)
                if self._reps[opportunity.rep_key].offline:
                    offline.setdefault(opportunity.rep_key, []).append((opportunity, count))
                else:
                    group.create_task(self._online(part, opportunity, count, seconds))
            for rep_key, work in offline.items():
                group.create_task(self._offline(part, rep_key, work, seconds))
            for _ in range(submissions // SUBMISSIONS_PER_EDIT):
                opportunity = chance.choice(self.opportunities)
                stage = chance.choice((*OPEN_STAGES, CLOSED_LOST))
                group.create_task(self._edit(opportunity, stage, chance.uniform(0, seconds)))

    async def hand_in(self, opportunity: Opportunity, submission_id: str) -> None:
        """One submission about the opportunity's first stage, under this id."""
        body = self.draw(opportunity, Random(f"single:{self._seed}:{opportunity.key}"), 0)
        await self._put(opportunity, submission_id, body)

    async def _online(self, part: str, opportunity: Opportunity, count: int, seconds: float) -> None:
        chance = Random(f"online:{self._seed}:{part}:{opportunity.key}")
        clock = asyncio.get_running_loop().time
        began = clock()
        for number, at in enumerate(sorted(chance.uniform(0, seconds) for _ in range(count))):
            await asyncio.sleep(max(0, began + at - clock()))
            await self._put(opportunity, str(uuid7()), self.draw(opportunity, chance, number))

    async def _put(self, opportunity: Opportunity, submission_id: str, body: Mapping[str, Any]) -> None:
        self.sent += 1
        await self.until_answered(lambda: put(self._desks[opportunity.rep_key], opportunity, submission_id, body))

    async def _offline(self, part: str, rep_key: str, work: Sequence[tuple[Opportunity, int]], seconds: float) -> None:
        """Collect a share of the day's answers, send them, then send them again as if the reply had been missed."""
        chance = Random(f"offline:{self._seed}:{part}:{rep_key}")
        items = [
            (opportunity, self._offline_item(opportunity, chance, number, count))
            for opportunity, count in work
            for number in range(count)
        ]
        size = min(BATCH_ITEMS, -(-len(items) // BATCHES_A_DAY) or 1)
        batches = [items[start : start + size] for start in range(0, len(items), size)]
        clock = asyncio.get_running_loop().time
        began = clock()
        for batch, at in zip(batches, sorted(chance.uniform(0, seconds) for _ in batches), strict=True):
            await asyncio.sleep(max(0, began + at - clock()))
            self.sent += len(batch)
            for _ in range(2):
                await self._send_batch(rep_key, batch)

    async def _send_batch(self, rep_key: str, batch: Sequence[tuple[Opportunity, dict[str, Any]]]) -> None:
        body = {"items": [item for _, item in batch]}
        caller = self._desks[rep_key].caller
        answer = await self.until_answered(lambda: caller.post("assessment", "/v1/submission-batches", body))
        for (opportunity, item), result in zip(batch, answer["items"], strict=True):
            if result["status"] not in ("accepted", "duplicate"):
                self.journal.mistaken.append(f"offline item of {opportunity.key} was {result['status']}: {result}")
                continue
            key = item["submission_id"]
            done = HandIn(key, opportunity.key, item["opportunity_id"], item["assessment_key"], False, 0.0, "")
            self.journal.accept(done)

    def _offline_item(self, opportunity: Opportunity, chance: Random, number: int, count: int) -> dict[str, Any]:
        body = self.draw(opportunity, chance, number)
        captured = utc_now() - timedelta(hours=chance.uniform(5, 6) - 4 * number / count)
        body |= {"submission_id": str(uuid7()), "captured_at": captured.isoformat(), "channel": "offline"}
        if opportunity.is_open:
            body |= {"visit": {"stage_key": opportunity.claimed, "visit_no": FIRST_VISIT}}
        return body

    def draw(self, opportunity: Opportunity, chance: Random, number: int) -> dict[str, Any]:
        """Answers about the stage that the opportunity may have reached by now, sometimes from a device with a wrong
        clock."""
        reached = max(rank(opportunity.claimed), 0) + number // 3
        stage = OPEN_STAGES[min(reached, len(OPEN_STAGES) - 1)] if chance.random() < 0.7 else chance.choice(OPEN_STAGES)
        key = ASSESSMENT_OF[stage]
        body = submission(
            self._desks[opportunity.rep_key], opportunity, key, draw_answers(key, chance.random() < READY, chance)
        )
        if chance.random() < WRONG_CLOCK:
            wrong = utc_now() + timedelta(days=chance.uniform(-MOST_DAYS_OFF, MOST_DAYS_OFF))
            body |= {"captured_at": wrong.isoformat(), "sent_at": wrong.isoformat()}
        return body

    async def _edit(self, opportunity: Opportunity, stage: str, after_seconds: float) -> None:
        await asyncio.sleep(after_seconds)
        record, user = self._ids.opportunities[opportunity.key], self._ids.users[opportunity.rep_key]
        await self.until_answered(lambda: self._console.edit(record, CRM_STAGE[stage], user))
        self.journal.edits += 1

    async def until_answered(self, send: Callable[[], Awaitable[T]]) -> T:
        """What a device or a person does when no reply comes: the same again, a little later."""
        while True:
            began = time.perf_counter()
            try:
                answer = await send()
                self.seconds.append(time.perf_counter() - began)
                return answer
            except httpx.TransportError as problem:
                self.unable[type(problem).__name__] += 1
            except Refused as refusal:
                if refusal.status < 500 and refusal.status != TOO_MANY:
                    raise
                self.unable[f"{refusal.status} {refusal.code}"] += 1
            await asyncio.sleep(PAUSE_SECONDS)
