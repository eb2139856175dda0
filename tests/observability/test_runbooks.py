"""Runbooks are complete, and their commands work: those for one machine on a real system, those for a cluster as far
as they can be checked without one."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.observability.boards import ROOT, RUNBOOKS, alert_names
from tests.observability.runbook_commands import (
    GOLDEN,
    SECTIONS,
    cluster_commands,
    components,
    every_block,
    is_rendered,
    sections,
    variables,
)

FILES = sorted(file for file in RUNBOOKS.glob("*.md") if file.stem != "README")
README = (RUNBOOKS / "README.md").read_text()
COMMAND_SECONDS = 60
# Nothing listens there, so a command that was understood says that it was refused.
NOWHERE = "http://127.0.0.1:9"
by_file = pytest.mark.parametrize("file", [pytest.param(file, id=file.stem) for file in FILES])


@by_file
def test_a_runbook_has_the_four_sections_and_commands_in_all_but_one(file):
    assert file.read_text().startswith(f"# {file.stem}\n")
    assert tuple(sections(file)) == SECTIONS
    seen, users, act, over = re.split(r"^## .+$", file.read_text(), flags=re.MULTILINE)[1:]
    assert "```sh\n" in seen and "```sh" in act and "```sh\n" in over
    assert len(users.strip()) > 30
    assert f'alertname="{file.stem}"' in over


@by_file
def test_links_of_a_runbook_lead_somewhere(file):
    for target in re.findall(r"\]\(([^)]+)\)", file.read_text()):
        name, _, heading = target.partition("#")
        assert (RUNBOOKS / name).is_file(), target
        if heading:
            headings = re.findall(r"^#+ (.+)$", (RUNBOOKS / name).read_text(), re.MULTILINE)
            assert heading in [re.sub(r"[^\w-]", "", each.lower().replace(" ", "-")) for each in headings]


def test_the_index_names_every_alert_with_its_severities():
    from tests.observability.boards import rules

    rows = dict(re.findall(r"^\| \[(\w+)\]\(\1\.md\) \| ([\w, ]+) \|", README, re.MULTILINE))
    assert set(rows) == alert_names()
    for name, severities in rows.items():
        assert set(severities.split(", ")) == {rule.labels["severity"] for rule in rules() if rule.alert == name}


def test_blocks_are_of_known_kinds():
    assert {block.language for block in every_block()} == {"sh", "sh kubectl"}


def test_commands_use_only_variables_that_the_readme_explains():
    explained = set(re.findall(r"`(\w+)`", README.split("### On one machine")[0])) | {"RUN_DIR", "NODE"}
    for block in every_block():
        set_here = set(re.findall(r"\b([A-Z_]+)=\$?[\"(]", block.text)) | set(
            re.findall(r"\bfor ([A-Z_]+) in", block.text)
        )
        used = set(re.findall(r"\$\{?([A-Z_]+)", block.text))
        assert used <= explained | set_here, f"{block}: {used - explained - set_here}"


async def test_every_command_for_one_machine_works(observed_system, record_property):
    """In the order of the pages. A command works when it ends with 0 and prints something."""
    missing = [program for program in ("bash", "curl", "jq", "promtool") if shutil.which(program) is None]
    if missing:
        reason = f"{', '.join(missing)} must be installed to run the commands of the runbooks"
        if os.environ.get("REQUIRE_PROMETHEUS") == "1":
            pytest.fail(f"REQUIRE_PROMETHEUS=1, and {reason}")
        pytest.skip(reason)
    given = variables(observed_system.environment, observed_system.stack.run.root, sys.executable)
    failures, ran = [], 0
    for block in every_block():
        if block.language == "sh":
            ended = await asyncio.to_thread(run, block.text, given)
            ran += 1
            if ended.returncode or not ended.stdout.strip():
                failures.append(f"{block}: exit code {ended.returncode}\n{block.text}\n{ended.stdout}{ended.stderr}")
    record_property("observed", f"{ran} blocks of commands of {len(FILES)} runbooks ran")
    assert not failures, "\n\n".join(failures)


def run(commands, environment):
    # The proxies of the environment do not lead to this machine.
    given = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        env={**given, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_SECONDS,
    )


@pytest.fixture(scope="module")
def programs():
    from tools.chart.binaries import ToolMissing, binary

    try:
        return {name: str(binary(name)) for name in ("kubectl", "helm")}
    except ToolMissing as missing:
        pytest.skip(str(missing))


@pytest.mark.slow
def test_commands_for_a_cluster_are_understood_by_kubectl_and_helm(programs, tmp_path):
    """Each is sent to a server that does not exist. A wrong verb, flag or argument is found before that."""
    commands = cluster_commands("scoring")
    assert {command.program for command in commands} == {"kubectl", "helm"}

    def attempt(command):
        server = "--server" if command.program == "kubectl" else "--kube-apiserver"
        words = [programs[command.program], server, NOWHERE, *command.words[1:]]
        given = {**os.environ, "HOME": str(tmp_path), "KUBECONFIG": str(tmp_path / "none")}
        return subprocess.run(
            words, env=given, cwd=ROOT, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS
        )

    with ThreadPoolExecutor(4) as pool:
        for command, ended in zip(commands, pool.map(attempt, commands), strict=True):
            said = ended.stdout + ended.stderr
            assert ended.returncode != 0 and "refused" in said, f"{command.block}: {command}\n{said}"


@pytest.mark.skipif(not any(GOLDEN.glob("*.yaml")), reason="the charts have no committed rendering")
@pytest.mark.parametrize("service", ["assessment", "scoring", "stage-engine", "crm-connector", "recommender"])
def test_commands_for_a_cluster_name_what_the_charts_render(service):
    named = 0
    for command in cluster_commands(service):
        # An API is scaled by its processor time, and has no ScaledObject.
        for kind, name in command.names():
            if (kind, name) != ("ScaledObject", "stagecraft-assessment"):
                named += 1
                assert is_rendered(kind, name), f"{command.block}: the charts render no {kind} {name}"
        for component in re.findall(r"app\.kubernetes\.io/component=([\w-]+)", str(command)):
            assert component in components()
    assert named > 10
