"""`python -m tools.dashboards`: write the Grafana dashboards, or check that the committed ones are in step."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.dashboards.boards import BOARDS
from tools.dashboards.build import to_json

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "deploy" / "grafana"
EXAMPLES = """examples:
  python -m tools.dashboards            write deploy/grafana/*.json
  python -m tools.dashboards --check    change nothing; exit 1 when a file is out of step
"""


def main(arguments: list[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    wanted = {f"{board.name}.json": to_json(board) for board in BOARDS}
    present = {file.name: file.read_text() for file in TARGET.glob("*.json")}
    if given.check:
        wrong = sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))
        for name in wrong:
            sys.stderr.write(f"deploy/grafana/{name} is out of step: run `python -m tools.dashboards`\n")
        return 1 if wrong else 0
    TARGET.mkdir(parents=True, exist_ok=True)
    for name, text in wanted.items():
        (TARGET / name).write_text(text)
    for name in present.keys() - wanted.keys():
        (TARGET / name).unlink()
    sys.stdout.write(f"{len(wanted)} dashboards in deploy/grafana\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.dashboards",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when out of step")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
