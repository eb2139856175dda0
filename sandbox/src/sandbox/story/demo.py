"""`python -m sandbox.story.demo`: plays the field example through the whole system on one machine and checks the
result."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import httpx
from kit.ids import utc_now
from rich.console import Console, RenderableType
from rich.text import Text

from sandbox.stack import Stack, StackError
from sandbox.stack.run_dir import Phase as StackPhase
from sandbox.story.api import Caller, Refused
from sandbox.story.arrivals import Arrivals
from sandbox.story.behaviour import plan_story
from sandbox.story.closing import print_report
from sandbox.story.generator import invent_world
from sandbox.story.journal import Journal
from sandbox.story.life import choose_opportunity, life_of
from sandbox.story.maven import DataSetNotFound, read_world
from sandbox.story.org_load import OrgConsole
from sandbox.story.partner import TOPIC, USER, Partner
from sandbox.story.play import Play, loopback_client, settle
from sandbox.story.processes import tell_processes
from sandbox.story.report import Report, Run, report_of
from sandbox.story.screen import WIDTH, Screen, progress_table
from sandbox.story.setup import SetupStuck, import_opportunities, publish_field_example
from sandbox.story.sides import Sides
from sandbox.story.stream import beside, following
from sandbox.story.witness import Witness
from sandbox.story.world import Rep, Story

TENANT = "acme"
ADMIN = "sales-ops"
POLL_SECONDS = 0.2
PLACED_SECONDS = 60.0
DEFAULT_SEED = 7
DEFAULT_OPPORTUNITIES = 2000


@dataclass(frozen=True)
class Plan:
    """What to play, and where. `stays` leaves everything running at the end until Ctrl-C."""

    story: Story
    title: str
    seed: int
    run_dir: Path
    stays: bool


def main(arguments: list[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    console = Console(width=min(WIDTH, Console().width) if sys.stdout.isatty() else WIDTH, highlight=False)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return perform(plan_of(given), console)
    except (StackError, DataSetNotFound, SetupStuck, Refused, httpx.HTTPError) as problem:
        console.print(Text(f"\nThe demo could not be played: {problem}", "red"))
        return 1
    except KeyboardInterrupt:
        console.print("\nstopped")
        return 130


def plan_of(given: argparse.Namespace) -> Plan:
    """The plan of a command line. Raises DataSetNotFound."""
    if given.data is not None:
        world = read_world(given.data, given.seed)
        title = f"the {len(world.opportunities):,} opportunities of {given.data}"
    else:
        world = invent_world(given.seed, given.opportunities, utc_now().date())
        title = f"{len(world.opportunities):,} invented opportunities, seed {given.seed}"
    stays = sys.stdout.isatty() and not given.exit
    return Plan(plan_story(world, given.seed), title, given.seed, given.run_dir, stays)


def perform(plan: Plan, console: Console) -> int:
    """Start everything, play, show the outcome; the exit code is 0 only if all sides agree."""
    began = time.perf_counter()
    _introduce(plan, console)
    lines: list[str] = []
    stack = Stack(plan.run_dir / "demo", report=lines.append)
    if stack.status().phase is StackPhase.READY:
        console.print(Text("    An earlier demo is still running; it is stopped first.", "dim"))
    stack.reset()
    try:
        with Screen(console) as screen:
            with screen.phase("Starting PostgreSQL, Kafka, Salesforce, 5 services") as phase:
                screen.show(lambda: Text(f"      {lines[-1] if lines else ''}", "dim"), lambda: "")
                stack.up(owner_pid=os.getpid())
                phase.note = f"Kafka: {stack.environment['KAFKA_BACKEND']}"
            report = asyncio.run(_play(plan, stack, screen, began))
        figures = plan.run_dir / "demo.json"
        figures.write_text(json.dumps(report.figures, indent=2) + "\n")
        print_report(console, report, _places(stack, plan, report, figures))
        _conclude(console, report)
        if plan.stays:
            _wait(console)
    finally:
        console.print(Text("  stopping everything", "dim"))
        stack.down()
    return 0 if report.passed else 1


async def _play(plan: Plan, stack: Stack, screen: Screen, began: float) -> Report:
    story = plan.story
    environment = stack.environment
    async with loopback_client() as http:
        console = OrgConsole(http, environment["ORG_URL"])
        sides = Sides(Journal(), Witness(), Partner(), Arrivals(console))

        def caller_for(subject: str, role: str) -> Caller:
            return Caller(http, stack.urls, stack.token(TENANT, role, subject))

        admin = caller_for(ADMIN, "admin")
        with screen.phase(f"Filling the Salesforce org with {len(story.world.opportunities):,} opportunities") as phase:
            ids = await console.fill(story.world)
            phase.note = f"{len(story.world.accounts):,} accounts, {len(story.world.reps)} reps"
        with screen.phase("Publishing assessments, points, pipeline and rules") as phase:
            published = await publish_field_example(admin)
            phase.note = f"{len(published.rules)} rules, {len(published.warnings)} warnings"
        async with (
            following(stack.kafka(), sides.witness.readers),
            following(stack.kafka(USER), {TOPIC: sides.partner.read}),
            beside(sides.arrivals.follow()),
        ):
            with screen.phase("Importing what Salesforce claims") as phase:
                await import_opportunities(admin)
                await _until_placed(sides.partner, len(story.world.opportunities))
                phase.note = f"{sides.partner.count:,} placed in a stage"
            before = sides.event_count

            def desk_of(rep: Rep) -> Caller:
                return caller_for(ids.users[rep.key], "rep")

            play = Play(story, ids, published, console, desk_of, sides.journal, plan.seed)
            playing = time.perf_counter()
            with screen.phase("Reps at work, online and offline") as phase:
                _show_work(screen, plan, sides)
                ticking = asyncio.create_task(_tick(screen))
                try:
                    await play.perform()
                finally:
                    ticking.cancel()
                phase.note = f"{len(sides.journal.accepted):,} assessments handed in"
            with screen.phase("Waiting for the last write, then comparing all sides") as phase:
                _show_work(screen, plan, sides)
                found, verdict = await settle(sides, admin, console)
                phase.note = "all equal" if verdict.passed else "not equal"
            played = time.perf_counter() - playing
            chosen = choose_opportunity(sides)
            record = await console.record(chosen) if chosen else {}
            life = life_of(chosen, story, published, sides, record) if chosen else None
        events = sides.event_count - before
        processes = await tell_processes(stack, http, screen)
    return report_of(
        Run(
            title=plan.title,
            story=story,
            published=published,
            opportunity_ids=ids.opportunities,
            sides=sides,
            engine=found.engine,
            verdict=verdict,
            life=life,
            processes=processes,
            events=events,
            playing_s=played,
            duration_s=time.perf_counter() - began,
        )
    )


async def _until_placed(partner: Partner, count: int) -> None:
    """Wait until the engine has put every imported opportunity into its first stage."""
    deadline = time.perf_counter() + PLACED_SECONDS
    while len(partner.changes) < count:
        if time.perf_counter() > deadline:
            raise SetupStuck(f"only {len(partner.changes):,} of {count:,} opportunities were placed in a stage")
        await asyncio.sleep(POLL_SECONDS)


def _show_work(screen: Screen, plan: Plan, sides: Sides) -> None:
    journal, witness = sides.journal, sides.witness
    imported = len(plan.story.world.opportunities)
    began = time.perf_counter()
    counted = witness.event_count

    def detail() -> RenderableType:
        total = max(plan.story.submission_count - journal.abandoned, len(journal.accepted))
        decided = len(witness.decisions)
        rows = [
            ("assessments handed in", len(journal.accepted), total),
            ("scored", len(witness.scores), total),
            ("decided", decided, total),
            ("written to Salesforce", len(sides.arrivals.seen), total),
        ]
        return progress_table(rows, line())

    def line() -> str:
        pace = (witness.event_count - counted) / max(time.perf_counter() - began, 0.1)
        return (
            f"{len(journal.accepted):,} handed in, {len(sides.arrivals.seen):,} in Salesforce, "
            f"{sides.partner.count - imported:,} stage changes at the partner, {pace:,.0f} events/s"
        )

    screen.show(detail, line)


async def _tick(screen: Screen) -> None:
    while True:
        await asyncio.sleep(POLL_SECONDS)
        screen.tick()


def _introduce(plan: Plan, console: Console) -> None:
    console.print(Text.assemble(("\nStagecraft", "bold"), f" moves opportunities on evidence. Playing {plan.title}.\n"))
    for note in plan.story.world.notes:
        console.print(Text(f"    {note}", "dim"))
    if Stack(plan.run_dir).status().phase is StackPhase.READY:
        console.print(Text("    `make up` is running too; the demo has a system of its own beside it.", "dim"))


def _places(stack: Stack, plan: Plan, report: Report, figures: Path) -> dict[str, str]:
    """Where to look further: at addresses only while something answers there."""
    kept = {"these figures": str(figures), "logs": str(stack.run.logs)}
    if not plan.stays:
        return kept
    org = stack.environment["ORG_URL"]
    places = {service: f"{url}/docs" for service, url in stack.urls.items()} | {"Salesforce org": f"{org}/"}
    if report.life is not None:
        places["the opportunity above"] = f"{org}/opportunity/{report.life.opportunity_id}"
    return places | kept


def _conclude(console: Console, report: Report) -> None:
    if report.passed:
        words = Text(f"  Everything agrees, after {report.duration_s:.0f} s.", "bold green")
    else:
        words = Text(f"  Something does not agree; see above. {report.duration_s:.0f} s.", "bold red")
    console.print(words)


def _wait(console: Console) -> None:
    console.print("  All of it is running. Ctrl-C stops it.\n")
    try:
        while True:
            signal.pause()
    except KeyboardInterrupt:
        console.print()


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    environ = os.environ
    data = environ.get("DATA")
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.story.demo",
        description="Play the field example through the whole system on this machine and check that nothing was lost.",
        epilog="The environment variables DATA, SEED, OPPORTUNITIES and DEMO_EXIT=1 set the same options.",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(data) if data else None,
        help="folder of the Maven CRM set, instead of inventing",
    )
    parser.add_argument("--seed", type=int, default=int(environ.get("SEED") or DEFAULT_SEED))
    parser.add_argument("--opportunities", type=int, default=int(environ.get("OPPORTUNITIES") or DEFAULT_OPPORTUNITIES))
    parser.add_argument("--run-dir", type=Path, default=Path(".run"), help="the demo lives in its folder demo")
    parser.add_argument(
        "--exit", action="store_true", default=environ.get("DEMO_EXIT") == "1", help="stop everything at the end"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
