"""`python -m tools.chaos`: breaks a whole system on purpose and compares what is left; see `make chaos`."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
import time
from pathlib import Path

from tools.chaos.disk import OWN_MOUNTS, NotPermitted, own_mounts
from tools.chaos.plan import full, short
from tools.chaos.run import play

RUN_DIR = Path(".run")
INTERRUPTED = 130


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or secrets.randbelow(10_000)))
    parser.add_argument("--short", action="store_true", help="the short version that tests run, about a minute")
    parser.add_argument("--run-dir", type=Path, default=RUN_DIR, help="where chaos.json and the stack go; default .run")
    given = parser.parse_args()
    _go_among_own_mounts()
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:6.1f}  {line}", flush=True)

    say(f"seed {given.seed}; the same again: SEED={given.seed} make chaos")
    try:
        outcome = play((short if given.short else full)(given.seed), given.run_dir / "chaos", say)
    except KeyboardInterrupt:
        say("interrupted: everything is stopped, nothing is judged")
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
