"""Run a service or bring its database to the newest schema: `python -m kit serve scoring`.

Settings come from the environment. A service serves at once and becomes ready when its database and the broker answer.
"""

import argparse
import os
import signal
import sys

import uvicorn
from pydantic import ValidationError

from kit.schema.migrate import migrate_all

_EXAMPLES = """examples:
  python -m kit serve scoring --port 8001
  python -m kit migrate scoring        with MIGRATION_DATABASE_URL=postgresql://owner:password@host/scoring
  STAGECRAFT_SERVICE=scoring python -m kit serve"""


def main() -> int:
    """The exit code: 2 for wrong settings or arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m kit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_EXAMPLES,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    given = os.environ.get("STAGECRAFT_SERVICE")
    serve = commands.add_parser("serve", help="serve the API and handle events")
    which = "such as stage-engine; default: STAGECRAFT_SERVICE"
    serve.add_argument("service", nargs="?" if given else None, default=given, help=which)
    migrate = commands.add_parser("migrate", help="change the schema, then end")
    migrate.add_argument("services", nargs="*" if given else "+", default=[given], help=which)
    serve.add_argument("--host", default=os.environ.get("HOST", "127.0.0.1"), help="address to listen at; HOST")
    serve.add_argument("--port", type=int, default=os.environ.get("PORT", "8000"), help="port to listen at; PORT")
    arguments = parser.parse_args()
    if arguments.command == "migrate":
        return migrate_all([service.replace("-", "_") for service in arguments.services])
    return _serve(arguments.service.replace("-", "_"), arguments.host, arguments.port)


def _serve(package: str, host: str, port: int) -> int:
    # The server raises the signal that ended it once more, when everything is closed: that is a success.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        uvicorn.run(
            f"{package}.main:create",
            factory=True,
            host=host,
            port=port,
            loop="uvloop",
            http="httptools",
            access_log=False,
        )
    except ValidationError as wrong:
        for error in wrong.errors(include_input=False, include_url=False):
            variable = "_".join(str(part) for part in error["loc"]).upper()
            words = "must be set" if error["type"] == "missing" else error["msg"].removeprefix("Value error, ")
            if variable == "ENVIRONMENT" and error["type"] == "missing":
                words += " to local, test or production: production refuses what is unsafe there"
            sys.stderr.write(f"{variable + ': ' if variable else ''}{words}\n")
        return 2
    except ModuleNotFoundError as missing:
        if missing.name != package:
            raise
        sys.stderr.write(f"no service {package!r} is installed\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
