"""Finding, configuring and running a real Prometheus, and reading from it."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
import yaml
from sandbox.observe import prometheus as observed
from sandbox.observe.prometheus import (
    Prometheus,
    PrometheusUnavailable,
    Target,
    configuration,
    find_prometheus,
    rule_files,
    targets_of,
)
from sandbox.observe.query import PrometheusAway, PrometheusClient, QueryFailed
from sandbox.stack.errors import ProcessStartFailed
from sandbox.stack.ports import free_ports
from sandbox.stack.services import SERVICES, variable_of

from tests.sandbox.prometheus_here import installed_prometheus, metrics_endpoint

METRICS = b"""# TYPE opportunities_total counter
opportunities_total{stage="won"} 3
opportunities_total{stage="lost"} 4
# TYPE inside gauge
inside{service="scoring"} 1
"""
RULES = """groups:
  - name: opportunities
    rules:
      - record: opportunities:sum
        expr: sum(opportunities_total)
      - alert: TooManyOpportunities
        expr: opportunities_total > 3
        labels: {severity: ticket}
        annotations: {summary: "{{ $labels.stage }} has {{ $value }}"}
"""
# A process that is killed while its Prometheus runs.
DIES = """
import asyncio, os, signal, sys
from pathlib import Path
from sandbox.observe.prometheus import Prometheus

async def run():
    prometheus = Prometheus(Path(sys.argv[1]), [])
    await prometheus.start()
    print(prometheus.url, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(run())
"""


@pytest.fixture(scope="module")
def program() -> Path:
    return installed_prometheus()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """host:port of something that has metrics."""
    with metrics_endpoint(METRICS) as address:
        yield address


@pytest.fixture(scope="module")
async def running(program: Path, endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Prometheus]:
    directory = tmp_path_factory.mktemp("prometheus")
    rules = directory / "rules.yaml"
    rules.write_text(RULES)
    targets = [Target("scoring", endpoint)]
    async with Prometheus(directory, targets, rules=[rules], scrape_seconds=2, evaluation_seconds=0.5) as prometheus:
        await prometheus.until_up()
        yield prometheus


class TestProgram:
    def test_the_named_one_is_taken(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        named = tmp_path / "my-prometheus"
        named.touch(0o755)
        monkeypatch.setenv("PROMETHEUS", str(named))
        assert find_prometheus() == named

    def test_a_named_one_that_is_not_there_is_refused(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PROMETHEUS", str(tmp_path / "absent"))
        with pytest.raises(PrometheusUnavailable, match=r"PROMETHEUS=.*absent is not a program that can be run"):
            find_prometheus()

    def test_one_on_path_is_found(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (tmp_path / "prometheus").touch(0o755)
        monkeypatch.delenv("PROMETHEUS", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert find_prometheus() == tmp_path / "prometheus"

    def test_without_one_the_message_says_how_to_get_it(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.delenv("PROMETHEUS", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(observed, "USUAL_PLACES", ())
        with pytest.raises(PrometheusUnavailable, match=r"not installed.*apt-get install prometheus.*PROMETHEUS="):
            find_prometheus()


class TestConfiguration:
    def test_targets_carry_job_and_service(self, tmp_path: Path) -> None:
        targets = [Target("scoring", "127.0.0.1:1"), Target("assessment", "127.0.0.1:2")]
        text = configuration(targets, [tmp_path / "a.yaml"], scrape_seconds=1, evaluation_seconds=0.25)
        read = yaml.safe_load(text)
        (job,) = read["scrape_configs"]
        assert job["job_name"] == "stagecraft"
        assert job["static_configs"] == [
            {"targets": ["127.0.0.1:1"], "labels": {"service": "scoring"}},
            {"targets": ["127.0.0.1:2"], "labels": {"service": "assessment"}},
        ]
        assert read["rule_files"] == [str(tmp_path / "a.yaml")]
        assert read["global"] == {
            "scrape_interval": "1000ms",
            "scrape_timeout": "1000ms",
            "evaluation_interval": "250ms",
        }

    def test_the_timeout_never_passes_the_interval(self) -> None:
        read = yaml.safe_load(configuration([], [], scrape_seconds=60, evaluation_seconds=60))
        assert read["global"]["scrape_timeout"] == "10000ms"

    def test_targets_come_from_the_stack(self) -> None:
        environment = {variable_of(name, "URL"): f"http://127.0.0.1:{place}" for place, name in enumerate(SERVICES)}
        assert targets_of(environment)[2] == Target("stage-engine", "127.0.0.1:2")

    def test_a_stack_without_services_is_refused(self) -> None:
        with pytest.raises(PrometheusUnavailable, match=r"no address of assessment, scoring, .*make up"):
            targets_of({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"})

    def test_only_rules_are_taken_from_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / "tests").mkdir()
        for name in ("b.yaml", "a.yaml", "notes.md", "tests/c.yaml"):
            (tmp_path / name).touch()
        assert rule_files(tmp_path) == [tmp_path / "a.yaml", tmp_path / "b.yaml"]


@pytest.mark.slow
class TestRunning:
    async def test_instant_query(self, running: Prometheus) -> None:
        found = await running.client.instant("opportunities_total")
        assert {sample.labels["stage"]: sample.value for sample in found} == {"won": 3, "lost": 4}
        assert {(sample.labels["job"], sample.labels["service"]) for sample in found} == {("stagecraft", "scoring")}

    async def test_a_scalar_has_no_labels(self, running: Prometheus) -> None:
        (sample,) = await running.client.instant("scalar(vector(7))")
        assert (sample.labels, sample.value) == ({}, 7)

    async def test_a_metric_s_own_label_wins(self, running: Prometheus) -> None:
        (sample,) = await running.client.instant("inside")
        assert sample.labels["service"] == "scoring"
        assert "exported_service" not in sample.labels

    async def test_nothing_found_is_no_error(self, running: Prometheus) -> None:
        assert await running.client.instant("absent_metric") == ()

    async def test_range_query(self, running: Prometheus) -> None:
        end = datetime.now(UTC)
        (series,) = await running.client.range_("vector(1)", end - timedelta(seconds=10), end, 5)
        assert [value for _, value in series.points] == [1, 1, 1]

    async def test_a_wrong_query_is_told_in_words(self, running: Prometheus) -> None:
        with pytest.raises(QueryFailed, match=r"bad_data: .*parse error"):
            await running.client.instant("sum(")

    async def test_rules_and_alerts(self, running: Prometheus) -> None:
        async with asyncio.timeout(60):
            while not (alerts := await running.client.alerts()):  # noqa: ASYNC110 - Prometheus evaluates on its own
                await asyncio.sleep(0.1)
        rules = {rule.name: rule for rule in await running.client.rules()}
        assert rules["opportunities:sum"].kind == "recording"
        assert rules["opportunities:sum"].health == "ok"
        assert rules["TooManyOpportunities"].labels == {"severity": "ticket"}
        (alert,) = alerts
        assert (alert.name, alert.state, alert.annotations) == (
            "TooManyOpportunities",
            "firing",
            {"summary": "lost has 4"},
        )

    async def test_series_and_label_values(self, running: Prometheus) -> None:
        assert {labels["stage"] for labels in await running.client.series("opportunities_total")} == {"won", "lost"}
        assert await running.client.label_values("stage", "opportunities_total") == ("lost", "won")

    async def test_it_listens_on_loopback_only(self, running: Prometheus) -> None:
        port = int(running.url.rpartition(":")[2])
        listening = {c.laddr.ip for c in psutil.net_connections("tcp") if c.status == "LISTEN" and c.laddr.port == port}
        assert listening == {"127.0.0.1"}


@pytest.mark.slow
class TestFaults:
    async def test_a_target_that_is_down_is_named(self, program: Path, tmp_path: Path) -> None:
        (port,) = free_ports(1)
        targets = [Target("recommender", f"127.0.0.1:{port}")]
        async with Prometheus(tmp_path, targets, scrape_seconds=0.5) as prometheus:
            with pytest.raises(PrometheusUnavailable, match=rf"recommender at 127\.0\.0\.1:{port}: "):
                await prometheus.until_up(seconds=0.5)

    async def test_wrong_rules_are_shown_from_its_log(self, program: Path, tmp_path: Path) -> None:
        rules = tmp_path / "rules.yaml"
        rules.write_text("groups: [{name: a, rules: [{record: b, expr: 'sum('}]}]")
        prometheus = Prometheus(tmp_path, [], rules=[rules])
        with pytest.raises(ProcessStartFailed, match=r"(?s)prometheus ended with exit code 1.*could not parse"):
            await prometheus.start()

    async def test_one_left_behind_is_ended_first(self, program: Path, tmp_path: Path) -> None:
        left = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", DIES, str(tmp_path)), stdout=asyncio.subprocess.PIPE
        )
        printed, _ = await left.communicate()
        assert left.returncode == -signal.SIGKILL
        url = printed.decode().strip()
        async with PrometheusClient(url) as orphan:
            assert await orphan.ready()
            async with Prometheus(tmp_path, []) as second:
                assert await second.client.ready()
                assert not await orphan.ready()

    async def test_after_the_end_nothing_answers(self, program: Path, tmp_path: Path) -> None:
        async with Prometheus(tmp_path, []) as prometheus:
            pass
        async with PrometheusClient(prometheus.url) as client:
            assert not await client.ready()
            with pytest.raises(PrometheusAway, match="no Prometheus answers at"):
                await client.instant("up")

    async def test_another_server_is_no_prometheus(self, endpoint: str) -> None:
        async with PrometheusClient(f"http://{endpoint}") as client:
            with pytest.raises(PrometheusAway, match="answers with status 200 and not as a Prometheus does"):
                await client.instant("up")
