"""Plays a story against running services: everybody at once, then the wait until nothing is on its way any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random
from typing import Any

import httpx

from sandbox.story.api import Caller
from sandbox.story.journal import Journal
from sandbox.story.mistakes import claim_without_evidence, edit_in_org, hand_in_badly
from sandbox.story.org_load import OrgConsole, OrgIds
from sandbox.story.partner import Partner
from sandbox.story.reps import Desk, deals_of, hand_in_offline, work_online
from sandbox.story.setup import Published
from sandbox.story.verify import EngineDeal, Evidence, Verdict, judge
from sandbox.story.witness import Witness
from sandbox.story.world import Deal, Rep, Story

# Offline devices come back, and people start to meddle, after this share of the work.
LATE_AFTER = 0.4
MEDDLING_SECONDS = 0.3
POLL_SECONDS = 0.2
# Nothing moved for so long: what is missing by then will not come.
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
        seed: int,
    ) -> None:
        self.journal = Journal()
        self._story = story
        self._console = console
        self._seed = seed
        self._deals = {deal.key: deal for deal in story.world.deals}
        self._desks = {
            rep.key: Desk(caller_for(rep), ids, published.definitions, self.journal) for rep in story.world.reps
        }

    async def perform(self) -> None:
        """Let everybody work; returns when all have handed in what they had."""
        reps = self._story.world.reps
        async with asyncio.TaskGroup() as group:
            for rep in reps:
                if not rep.offline:
                    chance = Random(f"pace:{self._seed}:{rep.key}")
                    group.create_task(work_online(self._desks[rep.key], self._work_of(rep), chance))
            group.create_task(self._devices_come_back([rep for rep in reps if rep.offline]))
            group.create_task(self._meddle())

    def _work_of(self, rep: Rep) -> list[Deal]:
        return deals_of(rep, self._story.world.deals)

    async def _until_late(self) -> None:
        online = {rep.key for rep in self._story.world.reps if not rep.offline}
        count = sum(
            len(deal.reviews) + len(deal.attempts) for deal in self._story.world.deals if deal.rep_key in online
        )
        while len(self.journal.accepted) + self.journal.abandoned < LATE_AFTER * count:  # noqa: ASYNC110 - a counter
            await asyncio.sleep(POLL_SECONDS)

    async def _devices_come_back(self, reps: Sequence[Rep]) -> None:
        await self._until_late()
        for rep in reps:
            await hand_in_offline(self._desks[rep.key], self._work_of(rep))

    async def _meddle(self) -> None:
        """Mistakes and edits, one after the other and mixed."""
        doings: list[Callable[[], Awaitable[None]]] = []
        for bad in self._story.bad_submissions:
            deal = self._deals[bad.deal_key]
            doings.append(lambda deal=deal, bad=bad: hand_in_badly(self._desk_of(deal), deal, bad))
        for move in self._story.moves:
            deal = self._deals[move.deal_key]
            doings.append(lambda deal=deal, move=move: claim_without_evidence(self._desk_of(deal), deal, move))
        for edit in self._story.edits:
            deal = self._deals[edit.deal_key]
            doings.append(lambda deal=deal, edit=edit: edit_in_org(self._console, self._desk_of(deal), deal, edit))
        Random(f"meddling:{self._seed}").shuffle(doings)
        for doing in doings:
            await doing()
            await asyncio.sleep(MEDDLING_SECONDS)

    def _desk_of(self, deal: Deal) -> Desk:
        return self._desks[deal.rep_key]


async def settle(
    journal: Journal, witness: Witness, partner: Partner, evidence: Callable[[], Awaitable[Evidence]]
) -> tuple[Evidence, Verdict]:
    """Wait until everything has arrived everywhere, and judge it; after a long quiet, judge what there is."""
    seen, quiet_since = -1, time.perf_counter()
    while True:
        count = witness.event_count + partner.count
        if count != seen:
            seen, quiet_since = count, time.perf_counter()
        given_up = time.perf_counter() - quiet_since > QUIET_SECONDS
        if given_up or journal.accepted.keys() <= witness.confirmed.keys():
            found = await evidence()
            verdict = judge(found)
            if verdict.passed or given_up:
                return found, verdict
        await asyncio.sleep(POLL_SECONDS * 5)


async def engine_view(admin: Caller) -> dict[str, EngineDeal]:
    """Every deal as the stage engine's API lists it, by opportunity id."""
    found: dict[str, EngineDeal] = {}
    async for page in admin.pages("stage-engine", "/v1/opportunities"):
        found |= {row["opportunity_id"]: _engine_deal(row) for row in page if not row["deleted"]}
    return found


def _engine_deal(row: Mapping[str, Any]) -> EngineDeal:
    return EngineDeal(row["claimed_stage"], row["earned_stage"], row["revision"], float(row["amount"] or 0))


def evidence_of(
    journal: Journal, witness: Witness, partner: Partner, admin: Caller, console: OrgConsole
) -> Callable[[], Awaitable[Evidence]]:
    """How to take everybody's account at this moment."""

    async def take() -> Evidence:
        return Evidence(
            accepted=frozenset(journal.accepted),
            scores={key: len(found) for key, found in witness.scores.items()},
            decisions={key: len(found) for key, found in witness.decisions.items()},
            engine=await engine_view(admin),
            org=await console.deals(),
            partner=partner,
        )

    return take


def loopback_client() -> httpx.AsyncClient:
    """A client that no proxy of the environment comes between."""
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
    return httpx.AsyncClient(timeout=httpx.Timeout(30.0, connect=5.0), limits=limits, trust_env=False)
