"""The observed system, once a session: started, worked with and broken before the first test asks for it."""

import os
from pathlib import Path

import pytest
from sandbox.observe.prometheus import PrometheusUnavailable, find_prometheus

from tests.observability.faults import break_everything
from tests.observability.live import observed
from tests.observability.traffic import work

FIGURES = "observed"


def pytest_collection_modifyitems(items):
    for item in items:
        if "observed_system" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.dashboards)
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def prometheus_program():
    """The program; without it the test is skipped, or fails where REQUIRE_PROMETHEUS=1 is set."""
    try:
        return find_prometheus()
    except PrometheusUnavailable as problem:
        if os.environ.get("REQUIRE_PROMETHEUS") == "1":
            pytest.fail(f"REQUIRE_PROMETHEUS=1, and {problem}")
        pytest.skip(str(problem))


@pytest.fixture(scope="session")
async def observed_system(prometheus_program, tmp_path_factory):
    """A system that worked for a while, was broken in every way of `faults.py` and recovered; Prometheus saw it all."""
    run_dir = Path(os.environ.get("STAGECRAFT_TEST_RUN_DIR") or tmp_path_factory.mktemp("observed")) / "observed"
    run_dir.mkdir(parents=True, exist_ok=True)
    async with observed(run_dir) as system:
        try:
            await break_everything(await work(system))
        except BaseException as problem:
            problem.add_note("\n".join(["so far:", *system.notes]))
            raise
        yield system


def pytest_terminal_summary(terminalreporter):
    figures = [
        value
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if name == FIGURES and report.when == "call"
    ]
    if figures:
        terminalreporter.write_sep("-", "observed by a real Prometheus")
        for line in sorted(figures):
            terminalreporter.write_line(line)
