"""Write docs/licences.md: every package of the lock file that is installed here, with the licence it declares; with
--check, say whether the document is in step."""

import argparse
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs/licences.md"
HEAD = """# Licences

What the lock file installs on Linux besides our own packages, and the licence each declares. "Runs" are packages the
services need, "develops" are those that only tests, tools and the sandbox need. Made by `make licences`.

| package | licence | |
|---|---|---|
"""
_CLASSIFIER = "License :: "


def locked() -> dict[str, dict[str, Any]]:
    """The lock file's packages by name."""
    return {package["name"]: package for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}


def foreign(packages: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Those that are not ours."""
    return {name: p for name, p in packages.items() if not {"editable", "virtual"} & p["source"].keys()}


def unhashed(packages: dict[str, dict[str, Any]]) -> list[str]:
    """Names of foreign packages of which some file has no hash."""
    held = {n: [*p.get("wheels", []), *([p["sdist"]] if "sdist" in p else [])] for n, p in foreign(packages).items()}
    return [name for name, files in held.items() if not files or not all("hash" in file for file in files)]


def licence_of(name: str) -> str:
    """The licence a distribution declares: expression, classifiers, the first line of the old free text, or the file
    it ships."""
    declared = metadata.metadata(name)
    if declared["License-Expression"]:
        return declared["License-Expression"]
    classified = [c for c in declared.get_all("Classifier") or [] if c.startswith(_CLASSIFIER)]
    named = sorted({c.rpartition(" :: ")[2] for c in classified} - {"OSI Approved"})
    text = (declared["License"] or "").strip().splitlines()
    return ", ".join(named) or (text[0] if text else "") or _shipped(name)


def _shipped(name: str) -> str:
    """MIT when a licence file of the distribution has its first words, which no other licence has."""
    files = [f for f in metadata.files(name) or [] if ".dist-info" in str(f) and f.name.upper().startswith("LICEN")]
    words = "Permission is hereby granted, free of charge"
    return "MIT" if any(words in " ".join(file.read_text().split()) for file in files) else ""


def running(packages: dict[str, dict[str, Any]]) -> set[str]:
    """Everything the five services need, directly or not."""
    found: set[str] = set()
    services = [n for n, p in packages.items() if str(p["source"].get("editable", "")).startswith("services/")]
    waiting = [(name, ()) for name in services]
    while waiting:
        name, extras = waiting.pop()
        optional = packages[name].get("optional-dependencies", {})
        for needed in [*packages[name].get("dependencies", []), *(d for e in extras for d in optional.get(e, []))]:
            if needed["name"] not in found or needed.get("extra"):
                found.add(needed["name"])
                waiting.append((needed["name"], tuple(needed.get("extra", ()))))
    return found


def generate() -> str:
    """The document. SystemExit for a file without a hash, or a package of the services that declares no licence."""
    packages = locked()
    if bare := unhashed(packages):
        raise SystemExit(f"the lock file has no hash for {', '.join(bare)}")
    needed = running(packages)
    installed = {canonicalize_name(each.metadata["Name"]) for each in metadata.distributions()}
    rows = []
    for name in sorted(installed & foreign(packages).keys()):
        licence = licence_of(name)
        if not licence and name in needed:
            raise SystemExit(f"{name} declares no licence")
        declared = licence.replace("|", "/") or "none declared"
        rows.append(f"| {name} | {declared} | {'runs' if name in needed else 'develops'} |\n")
    return HEAD + "".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python tools/licences.py --check")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when out of step")
    text = generate()
    if parser.parse_args().check:
        if not TARGET.exists() or TARGET.read_text() != text:
            sys.stderr.write("docs/licences.md is out of step: run `make licences`\n")
            return 1
        return 0
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
