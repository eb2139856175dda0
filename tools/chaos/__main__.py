"""Breaks a whole system on purpose and proves that it holds.

Every process, broker and database included, is killed at random while people work. Afterwards databases, topics, the
partner's topic and the simulated org are compared. Writes chaos.json; exit code 1 when anything is lost or doubled.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import sys
import time
from pathlib import Path

from tools.chaos.disk import OWN_MOUNTS, NotPermitted, own_mounts
from tools.chaos.plan import PLANS, full
from tools.chaos.run import play

RUN_DIR = Path(".run")
EXAMPLES = """examples:
  make chaos                                       all of it, about 12 minutes, with a seed of its own
  SEED=7 make chaos                                the same faults in the same order again
  python -m tools.chaos --short --seed 7           each process is killed once, about a minute
  python -m tools.chaos --only hostile             how much a hostile tenant slows the others, about a minute and a half
  python -m tools.chaos --only recovery            every service is killed while its broker or database is, two minutes
  python -m tools.chaos --run-dir /tmp/chaos       beside a system that runs in .run
"""
INTERRUPTED = 130


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.chaos",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    seed = int(os.environ.get("SEED") or secrets.randbelow(10_000))
    parser.add_argument("--seed", type=int, default=seed, help="what is broken, and when; default SEED, or a new one")
    parser.add_argument("--short", dest="only", action="store_const", const="short", help="what the tests run")
    parser.add_argument("--only", choices=PLANS, help="a part of it, for work on that part")
    parser.add_argument("--run-dir", type=Path, default=RUN_DIR, help="where chaos.json and the stack go; default .run")
    given = parser.parse_args()
    _go_among_own_mounts()
    # Either signal stops all that was started; a shell starts what is in its background deaf to SIGINT.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:6.1f}  {line}", flush=True)

    say(f"seed {given.seed}; to repeat it: SEED={given.seed} make chaos")
    try:
        outcome = play(PLANS.get(given.only, full)(given.seed), given.run_dir / "chaos", say)
    except KeyboardInterrupt:
        say("interrupted: everything is stopped; there is no verdict")
        return INTERRUPTED
    file = given.run_dir / "chaos.json"
    file.write_text(json.dumps(outcome.figures, indent=2) + "\n")
    say(json.dumps(outcome.figures, indent=2))
    for fault in outcome.faults[:50]:
        say(f"FAULT  {fault}")
    say(f"seed {given.seed}: " + ("everything held" if not outcome.faults else f"{len(outcome.faults)} faults"))
    return 1 if outcome.faults else 0


def _go_among_own_mounts() -> None:
    """Start again in a namespace where a small disk can be mounted for the database. Where that is not permitted, go on
    without."""
    if OWN_MOUNTS in os.environ:
        return
    try:
        command = [*own_mounts(), sys.executable, "-m", "tools.chaos", *sys.argv[1:]]
    except NotPermitted:
        return
    os.execvp(command[0], command)


if __name__ == "__main__":
    sys.exit(main())
