"""`python -m sandbox.observe`, behind `make observe`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from sandbox.observe.command import observe
from sandbox.stack.errors import StackError

EXAMPLES = """examples:
  python -m sandbox.observe                       beside `make up`, which is started if it does not run
  python -m sandbox.observe --run-dir .run/demo   beside what `make demo` left running
  PROMETHEUS=/opt/prometheus/prometheus python -m sandbox.observe

All of it listens on 127.0.0.1 only. The services are restarted once at the start and once at the end, because they
read at their start where to send traces. What Prometheus stored stays in <run-dir>/prometheus. Without Prometheus the
page still shows traces.
"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.observe",
        description="Shows the committed dashboards, the alerts and the traces of the running system in a local page.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--run-dir", type=Path, default=Path(".run"), help="where the stack keeps its files; default .run"
    )
    given = parser.parse_args(arguments)
    try:
        asyncio.run(observe(given.run_dir, lambda line: print(line, flush=True)))
    except StackError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
