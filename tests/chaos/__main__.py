"""`python -m tests.chaos`: breaks a whole system on purpose and proves that it holds; see `make chaos`."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
import time
from pathlib import Path

from tests.chaos.plan import full, short
from tests.chaos.run import play

RUN_DIR = Path(".run")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or secrets.randbelow(10_000)))
    parser.add_argument("--short", action="store_true", help="the version of the tests, about a minute")
    given = parser.parse_args()
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:6.1f}  {line}", flush=True)  # noqa: T201 - what the command is for

    say(f"seed {given.seed}; the same again: SEED={given.seed} make chaos")
    outcome = play((short if given.short else full)(given.seed), RUN_DIR / "chaos", say)
    file = RUN_DIR / "chaos.json"
    file.write_text(json.dumps(outcome.figures, indent=2) + "\n")
    say(json.dumps(outcome.figures, indent=2))
    for fault in outcome.faults[:50]:
        say(f"FAULT  {fault}")
    say(f"seed {given.seed}: " + ("everything held" if not outcome.faults else f"{len(outcome.faults)} faults"))
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
