"""The local issuer: tokens for one machine, without any set-up. `python -m kit.issuer --help`.

It signs with a key generated at first use. Services verify its tokens by the same code as everybody's; in
production they refuse its key file by its URL.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from kit.auth import SCOPES_OF

ISSUER = "https://issuer.stagecraft.local"
AUDIENCE = "stagecraft"


class LocalIssuer:
    """An issuer whose private key and public key set lie in a directory."""

    def __init__(self, directory: Path, issuer: str = ISSUER, audience: str = AUDIENCE) -> None:
        self._issuer = issuer
        self._audience = audience
        private = directory / "private.jwk.json"
        self.jwks_path = directory / "jwks.json"
        if not private.exists():
            directory.mkdir(parents=True, exist_ok=True)
            key = RSAKey.generate_key(2048, auto_kid=True)
            descriptor = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump(key.as_dict(private=True), file)
        self._key = RSAKey.import_key(json.loads(private.read_text()))
        if not self.jwks_path.exists():
            self.jwks_path.write_text(json.dumps(KeySet([self._key]).as_dict(private=False)))

    @property
    def jwks_url(self) -> str:
        """What to set OIDC_JWKS_URL to."""
        return self.jwks_path.resolve().as_uri()

    def token(self, tenant_id: str, subject: str, roles: Sequence[str], lifetime_seconds: int = 12 * 3600) -> str:
        """An access token for a person or system of a tenant."""
        now = int(time.time())
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": subject,
            "tenant_id": tenant_id,
            "roles": list(roles),
            "iat": now,
            "exp": now + lifetime_seconds,
        }
        return jwt.encode({"alg": "RS256", "kid": self._key.kid}, claims, self._key)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m kit.issuer",
        description="Print a bearer token of the local issuer.",
        epilog="example: python -m kit.issuer --directory .run/issuer --role admin --tenant acme",
    )
    parser.add_argument("--directory", type=Path, required=True, help="where the issuer's keys lie")
    parser.add_argument("--role", choices=sorted(SCOPES_OF), default="admin")
    parser.add_argument("--tenant", default="acme")
    parser.add_argument("--subject", default="", help="who the token stands for; default: the role's name")
    parser.add_argument("--lifetime-seconds", type=int, default=12 * 3600)
    given = parser.parse_args()
    issuer = LocalIssuer(given.directory)
    token = issuer.token(given.tenant, given.subject or given.role, [given.role], given.lifetime_seconds)
    sys.stdout.write(token + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
