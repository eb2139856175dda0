"""What `make status` says of the services."""

import http.server
import json
import threading

import pytest
from sandbox.stack import health
from sandbox.stack.health import health_of


@pytest.fixture
def service(monkeypatch):
    """Answers /statusz with whatever the test puts into `said`, though the machine be slow."""
    monkeypatch.setattr(health, "TIMEOUT_SECONDS", 60)
    said = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(said).encode())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield said, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_it_tells_lag_outbox_dead_letters_and_the_last_error(service):
    said, url = service
    said |= {"ready": True, "reasons": [], "lag": 3, "outbox_events": 12, "outbox_oldest_age_seconds": 1.25}
    said |= {"dead_letters": 2, "last_error": "bad_payload: not\nan event"}
    header, line = health_of({"scoring": url}).lines
    assert header.split()[:3] == ["service", "ready", "lag"]
    assert line.split() == ["scoring", "yes", "3", "12", "1.2", "s", "2", "bad_payload:", "not", "an", "event"]


def test_the_reason_for_not_being_ready_comes_first(service):
    said, url = service
    said |= {"ready": False, "reasons": ["consumer stopped: 100 invalid events"], "lag": 0, "outbox_events": 0}
    said |= {"outbox_oldest_age_seconds": 0, "dead_letters": 0, "last_error": "older"}
    assert health_of({"scoring": url}).lines[1].endswith("consumer stopped: 100 invalid events")


def test_a_service_that_is_away_is_named():
    found = health_of({"scoring": "http://127.0.0.1:9"})
    line = found.lines[1]
    assert found.unready == ["scoring"]
    assert line.startswith("scoring  no") and "does not answer" in line
