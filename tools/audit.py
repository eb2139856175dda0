"""Ask OSV about every package of a lock file, through `uv audit`: exit 1 when one has a known vulnerability. Where the
advisories cannot be reached, nothing is checked; the output says so, and that is no failure."""

import argparse
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SERVICE = "https://api.osv.dev/"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python tools/audit.py --uv uv")
    parser.add_argument("--uv", default="uv", help="the uv to run")
    parser.add_argument("--project", type=Path, default=ROOT, help="the folder of the lock file")
    parser.add_argument("--service", default=SERVICE, help="what answers as OSV does")
    given = parser.parse_args()
    command = [given.uv, "audit", "--frozen", "--preview-features", "audit-command"]
    command += ["--project", str(given.project), "--service-url", given.service]
    environment = {"UV_PYTHON_DOWNLOADS": "never", **os.environ}
    asked = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    # uv names the address that it could not reach; any other failure is one of ours.
    if asked.returncode == 2 and f"{given.service}v1/" in asked.stderr:
        sys.stdout.write(f"NOT CHECKED: {given.service} cannot be reached from here\n")
        return 0
    sys.stdout.write(asked.stdout + asked.stderr)
    sys.stdout.write(f"advisories of {given.service} as of {datetime.now(UTC):%Y-%m-%d}\n")
    return asked.returncode


if __name__ == "__main__":
    raise SystemExit(main())
