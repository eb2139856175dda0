"""The installed Prometheus, and something for it to scrape."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sandbox.observe.prometheus import PrometheusUnavailable, find_prometheus


def installed_prometheus() -> Path:
    """The program, or a skip with the reason; a failure where it is required."""
    try:
        return find_prometheus()
    except PrometheusUnavailable as absent:
        if os.environ.get("REQUIRE_PROMETHEUS") == "1":
            pytest.fail(str(absent))
        pytest.skip(str(absent))


@contextmanager
def metrics_endpoint(metrics: bytes) -> Iterator[str]:
    """host:port of a server that has these metrics."""

    class Metrics(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(metrics)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
