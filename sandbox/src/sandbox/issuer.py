"""The local issuer: tokens for one machine, without any set-up (`make token`).

It signs with a key generated at first use. Services verify its tokens like those of any other issuer. In production
they refuse the URL of its key file.
"""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

ISSUER = "https://issuer.stagecraft.local"
AUDIENCE = "stagecraft"


class LocalIssuer:
    """An issuer that keeps its private key and its public key set in a directory."""

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

    def token(
        self, tenant_id: str, subject: str, roles: Sequence[str], lifetime_seconds: int = 12 * 3600, **more: object
    ) -> str:
        """An access token for a person or system of a tenant, with more claims, such as the one that PERSON_CLAIM
        names."""
        now = int(time.time())
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": subject,
            "tenant_id": tenant_id,
            "roles": list(roles),
            "iat": now,
            "exp": now + lifetime_seconds,
            **more,
        }
        return jwt.encode({"alg": "RS256", "kid": self._key.kid}, claims, self._key)
