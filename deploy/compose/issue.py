"""Prints a bearer token of the local issuer, whose private key only this and `prepare.py` can read.

example: docker compose run --rm -T token --role rep --tenant acme --subject ann
"""

import argparse
import os
import sys
from pathlib import Path

from kit.http.auth import SCOPES_OF
from sandbox.issuer import LocalIssuer

ISSUER = Path(os.environ.get("ISSUER_DIRECTORY", "/issuer"))


def main() -> None:
    """The token alone, so that a command can take it."""
    parser = argparse.ArgumentParser(
        prog="docker compose run --rm -T token",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--role", default="admin", choices=sorted(SCOPES_OF))
    parser.add_argument("--tenant", default="acme")
    parser.add_argument("--subject", default="", help="whom it names; the role's name without it")
    given = parser.parse_args()
    if not (ISSUER / "private.jwk.json").exists():
        raise SystemExit("there are no keys yet: run `docker compose up --detach` first")
    sys.stdout.write(LocalIssuer(ISSUER).token(given.tenant, given.subject or given.role, [given.role]) + "\n")


if __name__ == "__main__":
    main()
