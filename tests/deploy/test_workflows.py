"""The workflows are pinned, ask for the least rights, and name only what exists."""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.image.dockerfile import read

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github/workflows").glob("*.yaml"))
WORKFLOWS: dict[str, dict[str, Any]] = {file.stem: yaml.safe_load(file.read_text()) for file in FILES}
SERVICES = ("assessment", "scoring", "stage-engine", "crm-connector", "recommender")

# Every right a job has beyond reading the repository.
WRITES = {
    "release/images": {"packages", "id-token", "attestations"},
    "release/charts": {"packages", "id-token", "attestations"},
    "release/publish": {"contents"},
}
_PINNED = re.compile(r"\s*-? ?uses: (?P<action>[\w./-]+)@(?P<commit>[0-9a-f]{40}) # v\d+\.\d+\.\d+")
_OWN = re.compile(r"\s*uses: \$/(?P<path>[\w./-]+)")


@dataclass(frozen=True)
class Job:
    name: str
    body: dict[str, Any]

    @property
    def steps(self) -> list[dict[str, Any]]:
        return self.body.get("steps", [])


def jobs() -> list[Job]:
    return [Job(f"{name}/{job}", body) for name, flow in WORKFLOWS.items() for job, body in flow["jobs"].items()]


def scripts() -> list[tuple[str, str]]:
    """(where it is, the text) of each `run`."""
    return [(f"{job.name}: {s['name']}", s["run"]) for job in jobs() for s in job.steps if "run" in s]


def test_zizmor_finds_nothing() -> None:
    zizmor = Path(sys.executable).with_name("zizmor")
    done = subprocess.run(
        [zizmor, "--offline", "--persona=pedantic", ROOT / ".github"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_every_action_is_pinned_by_its_commit_and_says_its_version() -> None:
    commits: dict[str, set[str]] = {}
    for file in FILES:
        for line in file.read_text().splitlines():
            if "uses:" not in line:
                continue
            if own := _OWN.fullmatch(line):
                assert (ROOT / own["path"]).exists()
                continue
            pinned = _PINNED.fullmatch(line)
            assert pinned, line
            commits.setdefault(pinned["action"], set()).add(pinned["commit"])
    assert {"actions/checkout", "docker/build-push-action", "actions/attest"} <= set(commits)
    assert not {action for action, known in commits.items() if len(known) > 1}, "one version of each"


@pytest.mark.parametrize("job", jobs(), ids=lambda job: job.name)
def test_a_job_has_the_least_rights(job: Job) -> None:
    given = job.body["permissions"]
    assert {right for right, level in given.items() if level == "write"} == WRITES.get(job.name, set())
    assert "timeout-minutes" in job.body or "uses" in job.body
    for step in job.steps:
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
        if step.get("uses", "").startswith("astral-sh/setup-uv@"):
            assert step["with"]["enable-cache"] is False


def test_no_right_is_given_to_a_whole_workflow() -> None:
    assert set(WORKFLOWS) == {"ci", "release"}
    assert all(flow["permissions"] == {} for flow in WORKFLOWS.values())


class TestScripts:
    @pytest.mark.parametrize(("where", "script"), scripts(), ids=[where for where, _ in scripts()])
    def test_it_is_valid_and_takes_nothing_from_the_event(self, where: str, script: str) -> None:
        assert "${{" not in script, f"{where}: a value would become part of the program"
        done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def test_targets_files_and_modules_exist(self) -> None:
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        text = "\n".join(script for _, script in scripts())
        made = re.findall(r"\bmake ([a-z-]+)", text)
        assert made
        assert set(made) <= targets
        for path in re.findall(r"(?:bash|file:) (\S+)", text):
            assert (ROOT / path).exists(), path
        for module in re.findall(r"python -m ([\w.]+)", text):
            assert list(ROOT.glob(f"{module.replace('.', '/')}*")), module

    def test_options_of_our_own_programs_exist(self) -> None:
        text = "\n".join(script for _, script in scripts())
        called = re.findall(r"python -m tools\.release ((?:--[\w-]+(?: \"?[$\w]+\"?)? ?)+)", text)
        assert called
        done = subprocess.run(
            [sys.executable, "-m", "tools.release", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        for options in called:
            for option in re.findall(r"--[\w-]+", options):
                assert f"{option} " in done.stdout.replace("\n", " ") + " "

    def test_the_ports_it_asks_are_those_of_compose(self) -> None:
        text = "\n".join(script for where, script in scripts() if where.startswith("ci/compose"))
        containers = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
        published = {port.split(":")[1] for c in containers.values() for port in c.get("ports", [])}
        asked = set(re.findall(r"127\.0\.0\.1:(\d+)", text)) | set(re.findall(r"\b8\d{3}\b", text))
        assert {containers[service]["ports"][0].split(":")[1] for service in SERVICES} <= asked <= published
        assert set(re.findall(r"compose run --rm -T (\w+)", text)) <= set(containers)


class TestRelease:
    def test_it_builds_the_five_services_from_the_dockerfile(self) -> None:
        job = WORKFLOWS["release"]["jobs"]["images"]
        assert tuple(job["strategy"]["matrix"]["service"]) == SERVICES
        build = next(step["with"] for step in job["steps"] if step.get("uses", "").startswith("docker/build-push"))
        assert (ROOT / build["file"]).exists()
        declared = {i.text.partition("=")[0] for s in read(ROOT / build["file"]) for i in s.instructions
                    if i.keyword == "ARG"}  # fmt: skip
        assert {line.partition("=")[0] for line in build["build-args"].splitlines()} == declared
        assert (build["push"], build["provenance"], build["sbom"]) == (True, "mode=max", True)
        # A digest comes from the build itself, not from a tag that may have been moved since.
        assert "steps.build.outputs.digest" in str(job["steps"])

    def test_nothing_is_published_before_every_gate_has_passed(self) -> None:
        release = WORKFLOWS["release"]["jobs"]
        assert release["checks"]["uses"] == "$/.github/workflows/ci.yaml"
        needs = {name: set(job.get("needs", [])) for name, job in release.items()}
        for name, job in release.items():
            reached, waiting = set(), [name]
            while waiting:
                for needed in needs[waiting.pop()] - reached:
                    reached.add(needed)
                    waiting.append(needed)
            if "write" in job["permissions"].values():
                assert "checks" in reached, f"{name} does not wait for the gates"

    def test_ci_runs_every_gate(self) -> None:
        gates = WORKFLOWS["ci"]["jobs"]["gates"]["steps"]
        assert gates[-1]["run"] == "bash .ci/run"
        assert gates[0]["with"]["fetch-depth"] == 0

    def test_one_version_of_uv_everywhere(self) -> None:
        versions = {s["with"]["version"] for job in jobs() for s in job.steps if "setup-uv@" in s.get("uses", "")}
        (image,) = {i.flag("from") for i in read(ROOT / "deploy/Dockerfile")[0].instructions if i.flag("from")}
        assert versions == {image.rpartition(":")[2]}
