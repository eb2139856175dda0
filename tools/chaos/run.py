"""One run: start, work while everything is broken, repair, work in peace, judge."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from httpx import AsyncClient
from kit.ids import utc_now
from sandbox.stack import Stack
from sandbox.stack.services import SERVICES
from sandbox.story.api import Caller
from sandbox.story.generator import invent_world
from sandbox.story.org_load import OrgConsole
from sandbox.story.play import loopback_client
from sandbox.story.setup import import_opportunities, publish_field_example
from sandbox.story.world import Rep

from tools.chaos.beside import Attack, slowed
from tools.chaos.breaking import Breaker
from tools.chaos.clocks import fired_in, publish_clocks
from tools.chaos.databases import Databases
from tools.chaos.disk import SmallDisk
from tools.chaos.evidence import Findings, Outside
from tools.chaos.hostile import Hostile
from tools.chaos.memory import PARTS, grown, weigh
from tools.chaos.plan import DATABASE, Plan
from tools.chaos.poison import Poison
from tools.chaos.rolling import DRAIN_SECONDS, Rolling
from tools.chaos.settling import PROGRESS_SECONDS, settled
from tools.chaos.work import Work

TENANT = "acme"
# A process that was killed works again within this time after broker and database are there.
RECOVERY_SECONDS = 30.0
Say = Callable[[str], None]


@dataclass
class Outcome:
    """What a run showed. `figures` is the content of chaos.json; it passed when `faults` is empty."""

    figures: dict[str, Any]
    faults: list[str] = field(default_factory=list)


def play(plan: Plan, run_dir: Path, say: Say) -> Outcome:
    """Start a stack of its own in `run_dir`, play the plan, and stop it."""
    # The broker is stopped on purpose, so its clients need not report it.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    stack = Stack(run_dir, report=say)
    stack.reset()
    # The supervisor, and with it every service, inherits it.
    os.environ["DRAIN_SECONDS"] = str(DRAIN_SECONDS if plan.thorough else 0)
    disk = SmallDisk(stack.run.root / DATABASE)
    try:
        disk.mount()
        stack.up(owner_pid=os.getpid())
        return asyncio.run(perform(plan, stack, disk, say))
    finally:
        stack.down()


async def perform(plan: Plan, stack: Stack, disk: SmallDisk, say: Say) -> Outcome:
    """Play the plan on a running, empty stack, whose database is on that disk."""
    async with loopback_client() as http:
        run = await _prepare(plan, stack, disk, http, say)
        if plan.hostile_alone:
            await run.meet_hostile()
            return Outcome({"seed": plan.seed, "hostile_tenant": run.beside_hostile}, run.faults)
        await run.poison.plant_bugs()
        began = time.monotonic()
        await run.break_everything(began)
        weights = await run.calm()
        if plan.thorough:
            await run.meet_hostile()
            await run.restart_each()
            # A short calm says nothing of memory.
            run.faults += grown(weights)
        return await run.judge(weights, began)


async def _prepare(plan: Plan, stack: Stack, disk: SmallDisk, http: AsyncClient, say: Say) -> Run:
    """Fill the org, publish the field example and import the opportunities."""
    environment, kafka = stack.environment, stack.kafka()
    databases = Databases(environment["POSTGRES_ADMIN_URL"])
    poison = Poison(plan.seed, kafka, databases)
    breaker = Breaker(plan, stack, databases, poison, disk, say)
    world = invent_world(plan.seed, plan.opportunities, utc_now().date())
    console = OrgConsole(http, environment["ORG_URL"])
    outside = Outside(kafka, databases, console)
    admin = Caller(http, stack.urls, stack.token(TENANT, "admin", "sales-ops"))
    ids = await console.fill(world)
    await publish_clocks(admin)
    published = await publish_field_example(admin)
    await import_opportunities(admin)

    def caller(rep: Rep) -> Caller:
        return Caller(http, stack.urls, stack.token(TENANT, "rep", ids.users[rep.key]))

    work = Work(plan.seed, world, ids, published.definitions, console, caller)
    rolling = Rolling(stack, breaker, work, http, TENANT)
    await Hostile(stack, http).prepare()
    run = Run(
        plan,
        stack,
        disk,
        say,
        databases,
        poison,
        breaker,
        outside,
        admin,
        work,
        rolling,
        ids.opportunities,
        Attack(stack.run.root),
    )
    await run.settle()
    return run


@dataclass
class Run:
    """A prepared system and the parts that work with it, break it and look at it."""

    plan: Plan
    stack: Stack
    disk: SmallDisk
    say: Say
    databases: Databases
    poison: Poison
    breaker: Breaker
    outside: Outside
    admin: Caller
    work: Work
    rolling: Rolling
    opportunity_ids: Mapping[str, str]
    attack: Attack
    faults: list[str] = field(default_factory=list)
    beside_hostile: dict[str, Any] = field(default_factory=dict)

    async def settle(self, aside: frozenset[str] = frozenset(), when: str = "") -> None:
        """Wait until nothing is on its way. What still is after a long quiet is a fault."""
        stuck = await settled(self.outside, self.say, aside)
        if when:
            self.faults += [f"stuck {when}: {count} in {place}" for place, count in stuck.items()]

    async def break_everything(self, began: float) -> None:
        """Work while everything is broken, then fix the planted bugs and replay what they put aside."""
        plan, work = self.plan, self.work
        victims = dict(zip(self.poison.victims.values(), work.opportunities, strict=False))
        self.say(
            f"seed {plan.seed}: {plan.submissions} submissions for {plan.opportunities} opportunities"
            f" in {plan.day_seconds:.0f} s"
        )
        progress = asyncio.create_task(_report_progress(work, began, self.say))
        async with self.attack.under_way(), asyncio.TaskGroup() as group:
            group.create_task(self.breaker.perform())
            group.create_task(work.perform("day", plan.submissions - len(self.poison.victims), plan.day_seconds))
            for submission_id, opportunity in victims.items():
                group.create_task(work.hand_in(opportunity, submission_id))
        progress.cancel()
        self.say("everything is up again; waiting until nothing is on its way")
        aside = frozenset(self.opportunity_ids[opportunity.key] for opportunity in victims.values())
        await self.settle(aside, "after the faults")
        self.faults += await self.poison.fix_and_replay(self.admin)

    async def calm(self) -> dict[str, list[int]]:
        """Work in peace, in equal parts; what each service weighs after each. The org keeps its records in memory, so
        it may grow."""
        plan, processes = self.plan, self.stack.status().processes
        ours = {status.name: status.pid or 0 for status in processes if status.name in SERVICES}
        weights: dict[str, list[int]] = {name: [] for name in ours}
        for part in range(PARTS):
            await self.work.perform(f"calm {part}", plan.calm_submissions // PARTS, plan.calm_seconds / PARTS)
            for name, weight in weigh(ours).items():
                weights[name].append(weight)
        await self.settle(when="after the calm")
        return weights

    async def meet_hostile(self) -> None:
        """Measure what others notice of a tenant that does the worst that is legal."""
        self.say("working without and beside a hostile tenant")
        submissions, seconds = self.plan.calm_submissions // 4, self.plan.calm_seconds / 2
        pids = {status.name: status.pid or 0 for status in self.stack.status().processes}
        self.beside_hostile = await slowed(self.work, self.attack, submissions, seconds, pids)
        await self.settle(when="after the hostile tenant")

    async def restart_each(self) -> None:
        """Restart each service in turn under load: no request may fail and no event may be sent twice."""
        self.say("restarting each service in turn under load")
        before = await self.outside.repeated_deliveries()
        await self.rolling.perform()
        await self.settle(when="after the restarts")
        self.faults += self.rolling.faults
        if repeated := await self.outside.repeated_deliveries() - before:
            self.faults.append(f"{repeated} events were sent twice while services restarted in good order")

    async def judge(self, weights: Mapping[str, list[int]], began: float) -> Outcome:
        """Compare databases, topics, the org and the partner."""
        if self.plan.full_disk_seconds and not (self.breaker.writes_refused or self.disk.left_out):
            self.faults.append("the database never found its disk full")
        # A short run shares its machine with other tests.
        if (self.plan.thorough or self.plan.outages) and self.breaker.recoveries.longest > RECOVERY_SECONDS:
            self.faults.append(f"a process took more than {RECOVERY_SECONDS:.0f} s to work again")
        self.faults += await self.poison.missing_dead_letters()
        found = await self.outside.judge(self.work.journal)
        outbox_left = await self.databases.outbox_left()
        self.faults += found.words
        if not fired_in(found.clocks):
            self.faults.append(f"no timer fired, or nothing came of it: {found.clocks}")
        figures = self._figures(found, outbox_left, time.monotonic() - began)
        figures["memory_mib"] = {name: [round(weight / 2**20, 1) for weight in seen] for name, seen in weights.items()}
        return Outcome(figures, self.faults)

    def _figures(self, found: Findings, outbox_left: dict[str, int], seconds: float) -> dict[str, Any]:
        breaker, work = self.breaker, self.work
        left_out = self.disk.left_out
        return {
            "seed": self.plan.seed,
            "submissions": len(work.journal.accepted),
            "opportunities": self.plan.opportunities,
            "edits": work.journal.edits,
            "kills": dict(sorted(breaker.kills.items())),
            "lost": found.verdict.lost + found.lost,
            "doubled": found.verdict.doubled + found.doubled,
            "out_of_order": found.verdict.out_of_order,
            "outbox_left": sum(outbox_left.values()),
            "duplicates_seen": found.duplicates_seen,
            "recovery_s": breaker.recoveries.figures,
            "away_s": breaker.away.figures,
            "missed_replies": dict(work.unable),
            "rolling_restart": {"requests": self.rolling.requests, "lost": len(self.rolling.faults)},
            "hostile_tenant": self.beside_hostile or dict(self.attack.answers),
            "salesforce_equal": found.verdict.salesforce_equal,
            "partner_exactly_once": found.verdict.partner_exactly_once,
            "clocks": found.clocks,
            "full_disk": {"left_out": left_out} if left_out else {"writes_refused": breaker.writes_refused},
            "duration_s": round(seconds, 1),
            "faults": self.faults[:50],
            "passed": not self.faults,
        }


async def _report_progress(work: Work, began: float, say: Say) -> None:
    while True:
        await asyncio.sleep(PROGRESS_SECONDS)
        accepted, missed = len(work.journal.accepted), sum(work.unable.values())
        say(f"  {time.monotonic() - began:4.0f} s: {accepted} accepted of {work.sent} sent, {missed} replies missed")
