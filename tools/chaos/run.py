"""One run: start, work while everything breaks, repair, work in peace, judge."""

from __future__ import annotations

import asyncio
import logging
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kit.ids import utc_now
from sandbox.stack import Stack
from sandbox.stack.services import SERVICES
from sandbox.story.api import Caller
from sandbox.story.generator import invent_world
from sandbox.story.org_load import OrgConsole
from sandbox.story.play import loopback_client
from sandbox.story.setup import import_opportunities, publish_field_example

from tools.chaos.breaking import Breaker
from tools.chaos.databases import Databases
from tools.chaos.disk import SmallDisk
from tools.chaos.evidence import Findings, Outside
from tools.chaos.memory import PARTS, grown, weigh
from tools.chaos.plan import DATABASE, Plan
from tools.chaos.poison import Poison
from tools.chaos.rolling import DRAIN_SECONDS, Rolling
from tools.chaos.work import Work

TENANT = "acme"
POLL_SECONDS = 1.0
PROGRESS_SECONDS = 10.0
# After this long without any movement, what is missing will not come.
QUIET_SECONDS = 90.0
Say = Callable[[str], None]


@dataclass
class Outcome:
    """What a run showed. `figures` is the content of chaos.json; it passed when `faults` is empty."""

    figures: dict[str, Any]
    faults: list[str] = field(default_factory=list)


def play(plan: Plan, run_dir: Path, say: Say) -> Outcome:
    """Start a stack of its own in `run_dir`, play the plan, and stop it."""
    # A broker that is away is expected here.
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
    environment = stack.environment
    kafka = stack.kafka()
    databases = Databases(environment["POSTGRES_ADMIN_URL"])
    poison = Poison(plan.seed, kafka, databases)
    breaker = Breaker(plan, stack, databases, poison, disk, say)
    world = invent_world(plan.seed, plan.opportunities, utc_now().date())
    faults: list[str] = []
    async with loopback_client() as http:
        console = OrgConsole(http, environment["ORG_URL"])
        outside = Outside(kafka, databases, console)
        admin = Caller(http, stack.urls, stack.token(TENANT, "admin", "sales-ops"))
        ids = await console.fill(world)
        published = await publish_field_example(admin)
        await import_opportunities(admin)
        work = Work(
            plan.seed,
            world,
            ids,
            published.definitions,
            console,
            lambda rep: Caller(http, stack.urls, stack.token(TENANT, "rep", ids.users[rep.key])),
        )
        await _settle(outside, say)
        await poison.plant_bugs()
        victims = dict(zip(poison.victims.values(), world.opportunities, strict=False))
        began = time.monotonic()
        load = f"{plan.submissions} submissions for {plan.opportunities} opportunities in {plan.day_seconds:.0f} s"
        say(f"seed {plan.seed}: {load}")
        progress = asyncio.create_task(_tell(work, began, say))
        async with asyncio.TaskGroup() as group:
            group.create_task(breaker.perform())
            group.create_task(work.perform("day", plan.submissions - len(poison.victims), plan.day_seconds))
            for submission_id, opportunity in victims.items():
                group.create_task(work.hand_in(opportunity, submission_id))
        progress.cancel()
        say("everything is up again; waiting until nothing is on its way")
        stuck = await _settle(
            outside, say, frozenset(ids.opportunities[opportunity.key] for opportunity in victims.values())
        )
        faults += [f"stuck after the chaos: {count} in {place}" for place, count in stuck.items()]
        faults += await poison.fix_and_replay(admin)
        weights = await _calm(plan, stack, work)
        stuck = await _settle(outside, say)
        faults += [f"stuck: {count} in {place}" for place, count in stuck.items()]
        rolling = Rolling(stack, breaker, work, http, TENANT)
        if plan.thorough:
            say("restarting each service in turn under load")
            repeated = await outside.repeated_deliveries()
            await rolling.perform()
            stuck = await _settle(outside, say)
            repeated = await outside.repeated_deliveries() - repeated
            faults += rolling.faults + [f"stuck: {count} in {place}" for place, count in stuck.items()]
            if repeated:
                faults.append(f"{repeated} events were sent twice while services restarted in good order")
        # A short calm says nothing about memory.
        faults += grown(weights) if plan.thorough else []
        if not (breaker.writes_refused or disk.left_out):
            faults.append("the database never found its disk full")
        faults += await poison.missing_dead_letters()
        found = await outside.judge(work.journal)
        outbox_left = await databases.outbox_left()
    faults += found.words
    figures = _figures(plan, work, breaker, rolling, found, outbox_left, faults, time.monotonic() - began)
    figures["full_disk"] = {"left_out": disk.left_out} if disk.left_out else {"writes_refused": breaker.writes_refused}
    figures["memory_mib"] = {name: [round(weight / 2**20, 1) for weight in seen] for name, seen in weights.items()}
    return Outcome(figures, faults)


async def _settle(outside: Outside, say: Say, aside: frozenset[str] = frozenset()) -> dict[str, int]:
    """Wait until nothing is on its way; what still is after a long quiet."""
    seen: dict[str, int] = {}
    changed = said = time.monotonic()
    while True:
        left = await outside.unsettled(aside)
        now = time.monotonic()
        if left != seen:
            seen, changed = left, now
        if not left or now - changed > QUIET_SECONDS:
            return left
        if now - said > PROGRESS_SECONDS:
            said = now
            say(f"  on its way: {left}")
        await asyncio.sleep(POLL_SECONDS)


async def _calm(plan: Plan, stack: Stack, work: Work) -> dict[str, list[int]]:
    """Work in peace, in equal parts; what each service weighs after each. The org keeps its records in memory, so it
    may grow."""
    ours = {status.name: status.pid or 0 for status in stack.status().processes if status.name in SERVICES}
    weights: dict[str, list[int]] = {name: [] for name in ours}
    for part in range(PARTS):
        await work.perform(f"calm {part}", plan.calm_submissions // PARTS, plan.calm_seconds / PARTS)
        for name, weight in weigh(ours).items():
            weights[name].append(weight)
    return weights


async def _tell(work: Work, began: float, say: Say) -> None:
    while True:
        await asyncio.sleep(PROGRESS_SECONDS)
        accepted, unable = len(work.journal.accepted), sum(work.unable.values())
        say(f"  {time.monotonic() - began:4.0f} s: {accepted} accepted of {work.sent} sent, {unable} answers missed")


def _figures(
    plan: Plan,
    work: Work,
    breaker: Breaker,
    rolling: Rolling,
    found: Findings,
    outbox_left: dict[str, int],
    faults: list[str],
    seconds: float,
) -> dict[str, Any]:
    recoveries = [seconds for each in breaker.recoveries.values() for seconds in each]
    return {
        "seed": plan.seed,
        "submissions": len(work.journal.accepted),
        "opportunities": plan.opportunities,
        "edits": work.journal.edits,
        "kills": dict(sorted(breaker.kills.items())),
        "lost": found.verdict.lost + found.lost,
        "doubled": found.verdict.doubled + found.doubled,
        "out_of_order": found.verdict.out_of_order,
        "outbox_left": sum(outbox_left.values()),
        "duplicates_seen": found.duplicates_seen,
        "recovery_s": {
            "p50": round(statistics.median(recoveries), 2) if recoveries else 0,
            "max": round(max(recoveries, default=0), 2),
            "max_of": {name: round(max(each), 2) for name, each in sorted(breaker.recoveries.items())},
        },
        "missed_answers": dict(work.unable),
        "rolling_restart": {"requests": rolling.requests, "lost": len(rolling.faults)},
        "salesforce_equal": found.verdict.salesforce_equal,
        "partner_exactly_once": found.verdict.partner_exactly_once,
        "duration_s": round(seconds, 1),
        "faults": faults[:50],
        "passed": not faults,
    }
