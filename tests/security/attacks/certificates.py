"""Certificates of servers on this machine, signed by nobody but themselves."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


class SelfSigned(NamedTuple):
    """PEM files: the certificate alone, and its key with the certificate behind it."""

    certificate: Path
    with_key: Path


def self_signed(directory: Path, until: datetime | None = None) -> SelfSigned:
    """A certificate of 127.0.0.1, not of its name, for a day or until the moment given."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a server")])
    now = datetime.now(UTC)
    end = until or now + timedelta(days=1)
    begin = min(now, end - timedelta(days=1))
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), begin, end)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, SHA256())
        .public_bytes(Encoding.PEM)
    )
    made = SelfSigned(directory / "certificate.pem", directory / "key.pem")
    made.certificate.write_bytes(signed)
    made.with_key.touch(mode=0o600)
    made.with_key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + signed)
    return made
