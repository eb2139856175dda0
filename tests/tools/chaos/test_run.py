"""The short version of `make chaos`: everything is killed once under load, and holds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sandbox.stack.services import SERVICES

from tools.chaos.plan import BROKER, DATABASE, PROCESSES, Act, full, hostile, recovery, schedule, short

SEED = int(os.environ.get("SEED") or 1)


def test_the_same_seed_breaks_the_same_things_and_every_process_is_killed():
    steps = schedule(full(SEED))
    assert steps == schedule(full(SEED)) != schedule(full(SEED + 1))
    assert {step.target for step in steps if step.act is Act.KILL} == set(PROCESSES)
    assert {step.act for step in steps} == set(Act)


def test_every_service_is_killed_about_when_the_broker_is_and_when_the_database_is():
    kills = [step for step in schedule(recovery(SEED)) if step.act is Act.KILL]
    for needed in (BROKER, DATABASE):
        at = next(step.at_s for step in kills if step.target == needed)
        assert {step.target for step in kills if at - 2 <= step.at_s <= at + 10} >= set(SERVICES)


def test_nothing_is_broken_where_the_hostile_tenant_is_measured_alone():
    assert hostile(SEED).hostile_alone
    assert not {step.target for step in schedule(hostile(SEED)) if step.act is Act.KILL}


@pytest.mark.e2e
@pytest.mark.alone
def test_nothing_is_lost_and_nothing_happens_twice(tmp_path_factory):
    """The command itself, which takes mounts of its own."""
    run_dir = Path(os.environ.get("STAGECRAFT_TEST_RUN_DIR") or tmp_path_factory.mktemp("e2e")) / "short"
    run_dir.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tools.chaos", "--short", "--seed", str(SEED), "--run-dir", str(run_dir)]
    ended = subprocess.run(command, check=False).returncode
    figures = json.loads((run_dir / "chaos.json").read_text())
    assert figures["faults"] == []
    assert ended == 0
    assert sum(figures["kills"].values()) == len(PROCESSES)
    assert figures["submissions"] == short(SEED).submissions + short(SEED).calm_submissions
    assert figures["full_disk"].get("left_out") or figures["full_disk"]["writes_refused"]
