"""Write docs/openapi/<service>.json from the services themselves; with --check, say whether they are in step and
whether an operation that the base revision had was removed or narrowed."""

import argparse
import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs/openapi"
SERVICES = ("assessment", "scoring", "stage_engine", "crm_connector", "recommender")


def generate(package: str) -> str:
    """The OpenAPI document of a service as it is committed."""
    # Settings of the environment must not show in a document. A service ignores those it does not have.
    settings = importlib.import_module(f"{package}.settings").Settings(environment="test", crm_adapter="recording")
    document = importlib.import_module(f"{package}.main").create(settings).openapi()
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def breaking_changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What a client of the old document would miss in the new one: operations, answers, and new duties."""
    found = []
    for path, operations in old.get("paths", {}).items():
        for method, before in operations.items():
            after = new.get("paths", {}).get(path, {}).get(method)
            name = f"{method.upper()} {path}"
            if after is None:
                found.append(f"{name} was removed")
                continue
            if before.get("operationId") != after.get("operationId"):
                found.append(f"{name} was renamed from {before.get('operationId')} to {after.get('operationId')}")
            gone = {s for s in before["responses"] if s.startswith("2")} - set(after["responses"])
            found += [f"{name} no longer answers {status}" for status in sorted(gone)]
            found += [f"{name} now requires {p}" for p in sorted(_required(after) - _required(before))]
    schemas = new.get("components", {}).get("schemas", {})
    for name, before in old.get("components", {}).get("schemas", {}).items():
        gone = set(before.get("properties", {})) - set(schemas.get(name, before).get("properties", {}))
        found += [f"schema {name} lost {field}" for field in sorted(gone)]
    return found


def _required(operation: dict[str, Any]) -> set[str]:
    return {f"{p['in']} {p['name']}" for p in operation.get("parameters", []) if p.get("required")}


def _at(revision: str, path: str) -> dict[str, Any] | None:
    shown = subprocess.run(["git", "show", f"{revision}:{path}"], cwd=ROOT, capture_output=True, check=False)
    return json.loads(shown.stdout) if shown.returncode == 0 else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python tools/openapi.py --check")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when out of step or breaking")
    parser.add_argument("--base", default="", help="revision to compare with, such as the last release tag")
    given = parser.parse_args()
    complaints = []
    TARGET.mkdir(parents=True, exist_ok=True)
    for package in SERVICES:
        text, file = generate(package), TARGET / f"{package.replace('_', '-')}.json"
        if not given.check:
            file.write_text(text)
        elif not file.exists() or file.read_text() != text:
            complaints.append(f"{file.relative_to(ROOT)} is out of step: run `make openapi`")
        if given.base and (old := _at(given.base, str(file.relative_to(ROOT)))):
            complaints += [f"{file.stem}: {change}" for change in breaking_changes(old, json.loads(text))]
    sys.stderr.writelines(f"{line}\n" for line in complaints)
    return 1 if complaints else 0


if __name__ == "__main__":
    raise SystemExit(main())
