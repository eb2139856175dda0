"""Plays a story against running services: all people at once, then a wait until nothing is on its way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Any

import httpx

from sandbox.story.api import Caller
from sandbox.story.journal import Journal
from sandbox.story.mistakes import claim_without_evidence, edit_in_org, hand_in_badly
from sandbox.story.org_load import OrgConsole, OrgIds
from sandbox.story.reps import Desk, hand_in_offline, opportunities_of, submission_count, work_online
from sandbox.story.setup import Published
from sandbox.story.sides import Sides
from sandbox.story.verify import EngineOpportunity, Evidence, Verdict, judge
from sandbox.story.world import Opportunity, Rep, Story

# How many submissions a second online reps hand in together, and the longest day they take for it.
PACE = 24.0
LONGEST_DAY_SECONDS = 60.0
# Devices come back to the network between these shares of the day.
LATE = (0.3, 0.9)
POLL_SECONDS = 1.0
# After this long without any movement, what is missing will not come.
QUIET_SECONDS = 30.0


class Play:
    """One performance of a story."""

    def __init__(
        self,
        story: Story,
        ids: OrgIds,
        published: Published,
        console: OrgConsole,
        caller_for: Callable[[Rep], Caller],
        journal: Journal,
        seed: int,
    ) -> None:
        self._story = story
        self._console = console
        self._seed = seed
        self._opportunities = {opportunity.key: opportunity for opportunity in story.world.opportunities}
        self._desks = {rep.key: Desk(caller_for(rep), ids, published.definitions, journal) for rep in story.world.reps}

    async def perform(self) -> None:
        """Let all people work; returns when they have handed in everything."""
        online = [rep for rep in self._story.world.reps if not rep.offline]
        day = min(LONGEST_DAY_SECONDS, sum(submission_count(self._work_of(rep)) for rep in online) / PACE)
        async with asyncio.TaskGroup() as group:
            for rep in self._story.world.reps:
                chance = Random(f"pace:{self._seed}:{rep.key}")
                if rep.offline:
                    group.create_task(self._come_back_late(rep, chance.uniform(*LATE) * day))
                else:
                    group.create_task(work_online(self._desks[rep.key], self._work_of(rep), day, chance))
            group.create_task(self._meddle(day))

    def _work_of(self, rep: Rep) -> list[Opportunity]:
        return opportunities_of(rep, self._story.world.opportunities)

    async def _come_back_late(self, rep: Rep, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await hand_in_offline(self._desks[rep.key], self._work_of(rep))

    async def _meddle(self, day_seconds: float) -> None:
        """Mistakes and edits, mixed, one after the other over the day."""
        doings: list[Callable[[], Awaitable[None]]] = []
        for bad in self._story.bad_submissions:
            opportunity = self._opportunities[bad.opportunity_key]
            doings.append(
                lambda opportunity=opportunity, bad=bad: hand_in_badly(self._desk_of(opportunity), opportunity, bad)
            )
        for move in self._story.moves:
            opportunity = self._opportunities[move.opportunity_key]
            doings.append(
                lambda opportunity=opportunity, move=move: claim_without_evidence(
                    self._desk_of(opportunity), opportunity, move
                )
            )
        for edit in self._story.edits:
            opportunity = self._opportunities[edit.opportunity_key]
            doings.append(
                lambda opportunity=opportunity, edit=edit: edit_in_org(
                    self._console, self._desk_of(opportunity), opportunity, edit
                )
            )
        Random(f"meddling:{self._seed}").shuffle(doings)
        for doing in doings:
            await doing()
            await asyncio.sleep(day_seconds / len(doings))

    def _desk_of(self, opportunity: Opportunity) -> Desk:
        return self._desks[opportunity.rep_key]


async def settle(sides: Sides, admin: Caller, console: OrgConsole) -> tuple[Evidence, Verdict]:
    """Wait until everything has arrived everywhere, then judge it. After a long quiet time, judge what is there."""
    seen, quiet_since = -1, time.perf_counter()
    while True:
        count = sides.event_count + len(sides.arrivals.seen)
        if count != seen:
            seen, quiet_since = count, time.perf_counter()
        given_up = time.perf_counter() - quiet_since > QUIET_SECONDS
        if given_up or sides.journal.accepted.keys() <= sides.arrivals.seen.keys():
            found = await _evidence(sides, admin, console)
            verdict = judge(found)
            if verdict.passed or given_up:
                return found, verdict
        await asyncio.sleep(POLL_SECONDS)


async def engine_view(admin: Caller) -> dict[str, EngineOpportunity]:
    """Every opportunity as the stage engine's API lists it, by opportunity id."""
    found: dict[str, EngineOpportunity] = {}
    async for page in admin.pages("stage-engine", "/v1/opportunities"):
        found |= {row["opportunity_id"]: _engine_opportunity(row) for row in page if not row["deleted"]}
    return found


def _engine_opportunity(row: Mapping[str, Any]) -> EngineOpportunity:
    return EngineOpportunity(row["claimed_stage"], row["earned_stage"], row["revision"], float(row["amount"] or 0))


async def _evidence(sides: Sides, admin: Caller, console: OrgConsole) -> Evidence:
    return Evidence(
        accepted=frozenset(sides.journal.accepted),
        scores={key: len(found) for key, found in sides.witness.scores.items()},
        decisions={key: len(found) for key, found in sides.witness.decisions.items()},
        engine=await engine_view(admin),
        org=await console.opportunities(),
        partner=sides.partner,
    )


def loopback_client() -> httpx.AsyncClient:
    """A client that ignores the proxies of the environment."""
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
    return httpx.AsyncClient(timeout=httpx.Timeout(30.0, connect=5.0), limits=limits, trust_env=False)
