"""The commands of the charts' READMEs: they parse, and what they make is what the charts read."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.chart_files import BY_NAME, rendered
from tools.chart.binaries import binary
from tools.chart.places import INFRA, ROOT, SERVICES, STAGECRAFT

READMES = pytest.mark.parametrize("chart", [STAGECRAFT, INFRA], ids=lambda chart: chart.name)


def blocks(chart: Path) -> list[str]:
    """The shell blocks of a chart's README."""
    return re.findall(r"```sh\n(.*?)```", (chart / "README.md").read_text(), re.DOTALL)


@READMES
def test_every_block_is_shell(chart: Path) -> None:
    assert blocks(chart)
    for block in blocks(chart):
        parsed = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)
        assert parsed.returncode == 0, parsed.stderr


@READMES
def test_every_file_and_name_exists(chart: Path) -> None:
    text = (chart / "README.md").read_text()
    for path in re.findall(r"(?<![\w.])(?:deploy|libs|docs)/[\w./-]+\w", text):
        assert (ROOT / path).exists(), path
    for name in re.findall(r"`(values[\w-]*\.yaml)`", text):
        assert (chart / name).exists(), name


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """What the loop of the README makes, by the real kubectl, which sends nothing."""
    folder = tmp_path_factory.mktemp("bin")
    kubectl = folder / "kubectl"
    kubectl.write_text(f'#!/bin/sh\necho ---\nexec {binary("kubectl")} "$@" --dry-run=client --output yaml\n')
    kubectl.chmod(0o755)
    (loop,) = [block for block in blocks(STAGECRAFT) if "create secret" in block and "for service" in block]
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder)}
    done = subprocess.run(["bash", "-eu", "-c", loop], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return {one["metadata"]["name"]: one for one in yaml.safe_load_all(done.stdout) if one}


def test_the_secrets_are_those_that_the_charts_read(secrets) -> None:
    (cluster,) = rendered(BY_NAME["infra-dev"]).of_kind("Cluster")
    wanted = {
        role["passwordSecret"]["name"] for role in cluster["spec"]["managed"]["roles"] if "passwordSecret" in role
    }
    assert wanted | {f"{service}-database" for service in SERVICES} == secrets.keys()
    for name in wanted:
        assert secrets[name]["type"] == "kubernetes.io/basic-auth"
        assert secrets[name]["data"].keys() == {"username", "password"}
        assert secrets[name]["metadata"]["namespace"] == "stagecraft"
    for service in SERVICES:
        assert secrets[f"{service}-database"]["data"].keys() == {"DATABASE_URL", "MIGRATION_DATABASE_URL"}


def test_no_two_passwords_are_the_same(secrets) -> None:
    passwords = [one["data"]["password"] for one in secrets.values() if "password" in one["data"]]
    assert len(set(passwords)) == len(passwords) == 2 * len(SERVICES)
