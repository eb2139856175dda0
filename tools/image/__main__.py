"""Build and start the image of a service where there is no container engine.

The steps are those of deploy/Dockerfile, read from the file itself and run one by one in a plain directory: the
context is what .dockerignore lets through, this machine's /usr takes the place of the base image, and the service
starts as the image's user with nothing it could write. Needs Linux, as root or with user namespaces.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tools.image.box import BoxError
from tools.image.build import ROOT, Image, build
from tools.image.context import build_context
from tools.image.dockerfile import DockerfileError

_EXAMPLES = """examples:
  python -m tools.image context                     what a builder would be sent, and how large it is
  python -m tools.image build scoring               into .run/image/scoring
  python -m tools.image run scoring -e PORT=8001    serves at http://127.0.0.1:8001
  python -m tools.image run scoring -e MIGRATION_DATABASE_URL=postgresql://owner@127.0.0.1/scoring migrate"""


def main() -> int:
    """The exit code; `run` replaces this process by the service."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.image",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_EXAMPLES,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("context", help="list the build context")
    for name, words in (("build", "build the image of a service"), ("run", "start what was built")):
        command = commands.add_parser(name, help=words)
        command.add_argument("service", help="such as stage-engine")
        command.add_argument("--into", type=Path, help="directory of the image; .run/image/<service>")
    run = commands.choices["run"]
    run.add_argument("-e", dest="environment", action="append", default=[], metavar="NAME=VALUE", help="a setting")
    run.add_argument("arguments", nargs="*", help="instead of `serve`")
    given = parser.parse_args()
    try:
        if given.command == "context":
            return _context()
        into = (given.into or ROOT / ".run" / "image" / given.service).resolve()
        if given.command == "build":
            return _build(given.service, into)
        return _run(into, given.environment, given.arguments)
    except (BoxError, DockerfileError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except FileNotFoundError as missing:
        sys.stderr.write(f"{missing.filename} is missing: run `python -m tools.image build {given.service}` first\n")
        return 1


def _context() -> int:
    context = build_context(ROOT)
    for file in context.files:
        sys.stdout.write(f"{file}\n")
    sys.stdout.write(f"{len(context.files)} files, {context.size_bytes / 1024:.0f} KiB\n")
    return 0


def _build(service: str, into: Path) -> int:
    image = build(into, {"SERVICE": service})
    size = sum(file.lstat().st_size for file in image.tree.rglob("*") if not file.is_dir())
    sys.stdout.write(f"{image.tree}: {size / 1024**2:.0f} MiB above the base image, user {image.user[0]}\n")
    return 0


def _run(into: Path, settings: list[str], arguments: list[str]) -> int:
    # The image listens at every address of its container; a plain directory has this machine's.
    environment = {"HOST": "127.0.0.1"} | dict(setting.split("=", 1) for setting in settings)
    line = Image.load(into).command_line(arguments, environment=environment)
    os.execvp(line[0], line)


if __name__ == "__main__":
    raise SystemExit(main())
