"""What stands before a database that does not encrypt itself."""

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.security.attacks.certificates import SelfSigned

# How a client of PostgreSQL asks to go on encrypted, and the answer that agrees: "SSL Session Encryption" in the
# protocol's message flow.
SSL_REQUEST = struct.pack("!ii", 8, 80877103)
AGREED = b"S"
CHUNK = 65536


@asynccontextmanager
async def encrypting_proxy(host: str, port: int, certificate: SelfSigned) -> AsyncIterator[int]:
    """The port on loopback where the server can be reached encrypted, and in no other way."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate.with_key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if await reader.readexactly(len(SSL_REQUEST)) != SSL_REQUEST:
                return
            writer.write(AGREED)
            await writer.start_tls(tls)
            from_server, to_server = await asyncio.open_connection(host, port)
            await asyncio.gather(_pass_on(reader, to_server), _pass_on(from_server, writer))
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
