"""The audit of a made-up lock file, with advisories served in OSV's format, and without any."""

import json
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = shutil.which("uv") or ROOT / ".cache/tools/bin/uv"
PROJECT = """[project]
name = "made-up"
version = "0"
requires-python = ">=3.11"
dependencies = ["jinja2=={version}"]
"""
LOCK = """version = 1
revision = 3
requires-python = ">=3.11"

[[package]]
name = "jinja2"
version = "{version}"
source = {{ registry = "http://127.0.0.1:9/simple" }}
wheels = [{{ url = "http://127.0.0.1:9/jinja2-{version}-py3-none-any.whl", hash = "sha256:{zeros}" }}]

[[package]]
name = "made-up"
version = "0"
source = {{ virtual = "." }}
dependencies = [{{ name = "jinja2" }}]

[package.metadata]
requires-dist = [{{ name = "jinja2", specifier = "=={version}" }}]
"""
ADVISORY = {
    "id": "PYSEC-2019-217",
    "modified": "2024-01-01T00:00:00Z",
    "published": "2019-04-07T00:00:00Z",
    "summary": "a template leaves its sandbox",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "jinja2"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.10.1"}]}],
            "versions": ["2.10"],
        }
    ],
}


class Osv(BaseHTTPRequestHandler):
    """Knows one vulnerable version."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))["queries"]
        known = {"vulns": [{"id": ADVISORY["id"], "modified": ADVISORY["modified"]}]}
        self._answer(
            {"results": [known if (q["package"]["name"], q["version"]) == ("jinja2", "2.10") else {} for q in asked]}
        )

    def do_GET(self):
        self._answer(ADVISORY)

    def _answer(self, document):
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def osv():
    with ThreadingHTTPServer(("127.0.0.1", 0), Osv) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def audit(tmp_path, monkeypatch):
    """Audits a project locked to one version of jinja2."""
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def run(version, service, lock=LOCK):
        (tmp_path / "pyproject.toml").write_text(PROJECT.format(version=version))
        (tmp_path / "uv.lock").write_text(lock.format(version=version, zeros="0" * 64))
        command = [sys.executable, ROOT / "tools/audit.py", "--uv", UV, "--project", tmp_path, "--service", service]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


def test_a_version_known_to_be_bad_fails_and_is_named(audit, osv):
    answer = audit("2.10", osv)
    assert answer.returncode == 1
    assert all(told in answer.stdout for told in ("jinja2 2.10", "PYSEC-2019-217", "2.10.1", f"advisories of {osv}"))


def test_a_version_without_advisory_passes(audit, osv):
    answer = audit("3.1.6", osv)
    assert (answer.returncode, "no known vulnerabilities" in answer.stdout) == (0, True), answer.stdout


def test_without_advisories_it_says_that_nothing_was_checked(audit):
    answer = audit("2.10", "http://127.0.0.1:9/")
    assert (answer.returncode, answer.stdout.split(":")[0]) == (0, "NOT CHECKED")


def test_a_broken_lock_file_is_no_lack_of_advisories(audit, osv):
    answer = audit("2.10", osv, lock="nonsense")
    assert answer.returncode == 2
    assert "uv.lock" in answer.stdout
