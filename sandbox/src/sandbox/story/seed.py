"""`python -m sandbox.story.seed`: gives a running stack a small company to try things on.

The org gets people, accounts and opportunities, and the tenant the field example: assessments, points, pipeline and
rules. A second run changes nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

import httpx
from kit.ids import utc_now

from sandbox.stack import Stack, StackError
from sandbox.stack.run_dir import Phase
from sandbox.story.api import Caller, Refused
from sandbox.story.generator import invent_world
from sandbox.story.org_load import OrgConsole
from sandbox.story.play import loopback_client
from sandbox.story.setup import SetupStuck, import_opportunities, publish_field_example
from sandbox.story.world import PIPELINE, World

TENANT = "acme"
ADMIN = "sales-ops"
OPPORTUNITIES = 40
SEED = 7
EXAMPLES = """examples:
  make up && make seed
  python -m sandbox.story.seed --opportunities 200
"""


def main(arguments: list[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    stack = Stack(given.run_dir)
    if stack.status().phase is not Phase.READY:
        print("error: the stack does not run. Start it with `make up`.", file=sys.stderr)
        return 1
    world = invent_world(SEED, given.opportunities, utc_now().date())
    try:
        print("\n".join(asyncio.run(_seed(stack, world))))
    except (StackError, SetupStuck, Refused, httpx.HTTPError) as problem:
        print(f"error: the company could not be made: {problem}", file=sys.stderr)
        print("Run `make seed` again: it goes on where it stopped.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; `make seed` goes on where it stopped", file=sys.stderr)
        return 130
    return 0


async def _seed(stack: Stack, world: World) -> list[str]:
    """Make what is missing, and say what to try."""
    async with loopback_client() as http:
        console = OrgConsole(http, stack.environment["ORG_URL"])
        there = await console.owners()
        if not there:
            print(f"  the org gets {len(world.reps)} reps and {len(world.opportunities)} opportunities", flush=True)
            await console.fill(world)
            there = await console.owners()
        admin = Caller(http, stack.urls, stack.token(TENANT, "admin", ADMIN))
        print("  assessments, points, pipeline and rules are published", flush=True)
        await publish_field_example(admin)
        print("  the opportunities of the org are imported", flush=True)
        await import_opportunities(admin)
        due = set(await console.in_stage("Prospecting"))
        of_all = list(there.values())
        opportunity_id, owner = next((each for each in of_all if each[0] in due), of_all[0])
        manager = await console.manager_of(owner)
    return _what_to_try(stack, opportunity_id, owner, manager)


def _what_to_try(stack: Stack, opportunity_id: str, owner: str, manager: str) -> list[str]:
    assessment, engine, connector = (stack.urls[name] for name in ("assessment", "stage-engine", "crm-connector"))
    return [
        "",
        "The people of the company. The SUBJECT of a rep or a manager is the id of their user in Salesforce:",
        f"  REP=$(make -s token ROLE=rep SUBJECT={owner})",
        f"  MANAGER=$(make -s token ROLE=manager SUBJECT={manager})",
        f"  ADMIN=$(make -s token ROLE=admin SUBJECT={ADMIN})",
        "",
        "What the rep has to do, what is asked next about one opportunity, and what the rep's manager sees:",
        f'  curl -s -H "Authorization: Bearer $REP" {assessment}/v1/worklist',
        f'  curl -s -H "Authorization: Bearer $REP" {assessment}/v1/opportunities/{opportunity_id}/next-assessment',
        f'  curl -s -H "Authorization: Bearer $MANAGER" "{engine}/v1/funnel?pipeline={PIPELINE}"',
        "",
        "The main job: the rep answers the prospecting assessment. Within seconds it is received, scored and decided:",
        "the stage moves, and the org's page of the opportunity shows stage, score and answers.",
        *main_job(assessment, opportunity_id),
        f"  open {stack.environment['ORG_URL']}/opportunity/{opportunity_id} in a browser",
        "",
        "What sales operations changes, and what was written to Salesforce:",
        f'  curl -s -H "Authorization: Bearer $ADMIN" {engine}/v1/pipelines/{PIPELINE}',
        f'  curl -s -H "Authorization: Bearer $ADMIN" {connector}/v1/write-intents',
        "",
        "Documentation to try every call in a browser:",
        *(f"  {url}/docs" for url in stack.urls.values()),
        f"The org itself: {stack.environment['ORG_URL']}",
    ]


def main_job(assessment: str, opportunity_id: str) -> list[str]:
    """Commands for a shell that has REP: they hand in answers, wait, and ask what became of them."""
    of = f'"opportunity_id": "{opportunity_id}", "assessment_key": "prospecting", "assessment_version": 1'
    answers = '"answers": {"hours": "over_5", "compliance": "yes"}'
    body = f"""'{{{of}, {answers}, "captured_at": "'$(date -u +%FT%TZ)'"}}'"""
    return [
        """  ID=$(python3 -c 'import uuid; print(uuid.uuid4())')""",
        f'  curl -s -X PUT {assessment}/v1/submissions/$ID -H "Authorization: Bearer $REP" \\',
        f"    -H 'Content-Type: application/json' -d {body}",
        f'  sleep 5; curl -s {assessment}/v1/submissions/$ID -H "Authorization: Bearer $REP"',
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.story.seed",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run-dir", type=Path, default=Path(".run"), help="the stack to fill; default .run")
    parser.add_argument(
        "--opportunities", type=int, default=OPPORTUNITIES, help=f"how many to invent; default {OPPORTUNITIES}"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
