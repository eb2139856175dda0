"""Runs the org: `python -m sandbox.salesforce --port P --pubsub-port Q --data-dir D --credentials-dir C`."""

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import grpc
import uvicorn
import uvloop
from pubsub_api import pubsub_api_pb2_grpc as stubs

from sandbox.salesforce.app import OrgProcess, open_org
from sandbox.salesforce.gate import AbortableProtocol
from sandbox.salesforce.pubsub import KEEPALIVE_SECONDS

HOST = "127.0.0.1"
GRACE_SECONDS = 2


class Server(uvicorn.Server):
    """uvicorn that leaves signals to `run`, which has more than HTTP to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("sandbox.salesforce", description="A simulated Salesforce org")
    parser.add_argument("--port", type=int, required=True, help="REST, OAuth and pages")
    parser.add_argument("--pubsub-port", type=int, required=True, help="Pub/Sub API, plaintext gRPC")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--credentials-dir", type=Path, required=True)
    parser.add_argument("--keepalive-seconds", type=float, default=KEEPALIVE_SECONDS)
    return parser.parse_args(given)


async def run(process: OrgProcess, port: int, pubsub_port: int) -> None:
    """Serves until SIGTERM or SIGINT, or until the journal fails: then it ends without a reply."""
    config = uvicorn.Config(
        process.app,
        host=HOST,
        port=port,
        http=AbortableProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = Server(config)
    rpc = grpc.aio.server()
    stubs.add_PubSubServicer_to_server(process.pubsub, rpc)
    rpc.add_insecure_port(f"{HOST}:{pubsub_port}")

    def stop() -> None:
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    journal = asyncio.create_task(process.journal.run())
    journal.add_done_callback(lambda _: stop())
    await rpc.start()
    await server.serve()
    await rpc.stop(GRACE_SECONDS)
    process.journal.close()
    await journal


def main(given: Sequence[str]) -> None:
    options = arguments(given)
    process = open_org(
        options.data_dir,
        options.credentials_dir,
        instance_url=f"http://{HOST}:{options.port}",
        keepalive_seconds=options.keepalive_seconds,
    )
    uvloop.run(run(process, options.port, options.pubsub_port))


if __name__ == "__main__":
    main(sys.argv[1:])
