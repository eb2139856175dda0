"""The committed rules: accepted and proven by promtool, complete, and asking only for what exists."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml
from sandbox.observe.prometheus import PrometheusUnavailable, find_prometheus

from tests.observability.boards import RULES, RUNBOOKS, loaded
from tests.observability.catalogue import WIDE, known_series, own_metrics, samples_of
from tests.observability.promql import parse
from tests.observability.quiet import promtool_file
from tools.slos import TARGET, WINDOWS, rules

FILES = sorted(RULES.glob("*.yaml"))
TESTS = sorted((RULES / "tests").glob("*.yaml"))
PROOFS = [test for file in TESTS for test in loaded(file)["tests"]]
GROUPS = [group for file in FILES for group in loaded(file)["groups"]]
RAW = frozenset(name for metric in own_metrics() for name in samples_of(metric))
# Prometheus' own, and what the library counts of the process.
RAW_OF_TARGETS = frozenset({"up", "process_start_time_seconds"})


@dataclass(frozen=True)
class Alert:
    """One alerting rule. Several may share a name, with other labels."""

    name: str
    expr: str
    pending: str
    labels: dict[str, str]
    annotations: dict[str, str]

    def __str__(self) -> str:
        return "-".join([self.name, *self.labels.values()])


@dataclass
class Proof:
    """Which of an alert's checks by promtool there are: that it fires, that it does not, that it ends in the same test
    in which it fired."""

    fires: bool = False
    stays_quiet: bool = False
    ends: bool = False
    summaries: list[str] = field(default_factory=list)


ALERTS = [
    Alert(rule["alert"], rule["expr"], str(rule.get("for", "")), rule.get("labels", {}), rule.get("annotations", {}))
    for group in GROUPS
    for rule in group["rules"]
    if "alert" in rule
]
RECORDED = sorted({rule["record"] for group in GROUPS for rule in group["rules"] if "record" in rule})
EXPRESSIONS = [
    (rule.get("alert") or rule["record"], rule["expr"]) for group in GROUPS for rule in group["rules"] if "expr" in rule
]
every_alert = pytest.mark.parametrize("alert", [pytest.param(alert, id=str(alert)) for alert in ALERTS])


@pytest.fixture(scope="session")
def promtool():
    """The program beside Prometheus; without it the test is skipped, or fails where REQUIRE_PROMETHEUS=1 is set."""
    try:
        beside = find_prometheus().with_name("promtool")
        program = str(beside) if beside.exists() else shutil.which("promtool")
    except PrometheusUnavailable:
        program = shutil.which("promtool")
    if program is None:
        reason = "promtool is not installed; the package of Prometheus has it"
        if os.environ.get("REQUIRE_PROMETHEUS") == "1":
            pytest.fail(f"REQUIRE_PROMETHEUS=1, and {reason}")
        pytest.skip(reason)
    return program


def run(*command: object) -> None:
    ended = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def seconds(duration: str) -> int:
    """Seconds of a duration such as 1h30m."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    parts = re.findall(r"(\d+)([smhd])", duration)
    assert "".join(map("".join, parts)) == duration, duration
    return sum(int(number) * units[unit] for number, unit in parts)


def proof_of(alert: Alert) -> Proof:
    proof = Proof()
    for test in PROOFS:
        checks = [check for check in test.get("alert_rule_test", ()) if check["alertname"] == alert.name]
        fired = False
        for check in sorted(checks, key=lambda check: seconds(check["eval_time"])):
            expected = [each for each in check["exp_alerts"] if is_of(each, alert)]
            fired |= bool(expected)
            proof.fires |= bool(expected)
            proof.stays_quiet |= not expected
            proof.ends |= fired and not expected
            proof.summaries += [each["exp_annotations"]["summary"] for each in expected]
    return proof


def is_of(expected: dict[str, Any], alert: Alert) -> bool:
    """Whether an expected alert comes from this rule of its name."""
    labels = expected["exp_labels"].items()
    closer = [other for other in ALERTS if other.name == alert.name and other.labels.items() > alert.labels.items()]
    return alert.labels.items() <= labels and not any(other.labels.items() <= labels for other in closer)


def test_promtool_accepts_the_rules(promtool):
    run(promtool, "check", "rules", *FILES)


@pytest.mark.slow
@pytest.mark.parametrize("file", [pytest.param(file, id=file.stem) for file in TESTS])
def test_promtool_proves_the_rules(promtool, file):
    run(promtool, "test", "rules", file)


@pytest.mark.slow
def test_no_alert_fires_while_nothing_is_wrong(promtool, tmp_path):
    first = ["stagecraft-recording", "stagecraft-slo", "stagecraft-slo-long"]
    names = [group["name"] for group in GROUPS]
    document = promtool_file([str(file) for file in FILES], [*first, *(name for name in names if name not in first)])
    file = tmp_path / "quiet.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False, width=10_000))
    run(promtool, "test", "rules", file)


def test_the_objectives_are_in_step_with_their_generator():
    assert rules() == TARGET.read_text(), "run tools/slos.py"


@every_alert
def test_an_alert_waits_is_classified_and_says_what_to_read(alert):
    assert seconds(alert.pending) > 0
    assert alert.labels["severity"] in ("page", "ticket")
    assert set(alert.annotations) == {"summary", "description", "runbook_url"}
    assert alert.annotations["runbook_url"] == f"docs/runbooks/{alert.name}.md"
    assert (RUNBOOKS / f"{alert.name}.md").is_file()


@every_alert
def test_a_summary_is_one_sentence_with_service_and_value(alert):
    summary, description = alert.annotations["summary"], alert.annotations["description"]
    assert summary.endswith(".") and description.endswith(".")
    assert ". " not in summary
    assert "$labels.service" in summary or re.search(r"stage-engine|crm-connector|all services", summary)
    # Without a value: what is either there or not.
    if alert.name not in ("ServiceDown", "TelemetryAbsent", "ServiceNotReady", "CrmDisconnected"):
        assert "$value" in summary


@every_alert
def test_an_alert_is_proven_to_fire_to_stay_quiet_and_to_end(alert):
    proof = proof_of(alert)
    if "window" in alert.labels:
        # These are proven together, by the windows that fire at each burn rate.
        assert proof.fires
        text = (RULES / "tests" / "slo.yaml").read_text()
        assert {window.long for window in WINDOWS} == set(re.findall(r'window="(\w+)"\}', text))
        return
    assert proof == Proof(True, True, True, proof.summaries), proof
    assert all("{{" not in summary and "no value" not in summary for summary in proof.summaries)


@pytest.mark.parametrize("record", RECORDED)
def test_a_recorded_series_is_proven(record):
    asked = [check["expr"] for test in PROOFS for check in test.get("promql_expr_test", ()) if check["exp_samples"]]
    assert any(re.search(rf"(?<![\w:]){re.escape(record)}(?![\w:])", expr) for expr in asked)


def test_every_runbook_belongs_to_an_alert():
    assert {file.stem for file in RUNBOOKS.glob("*.md")} - {"README"} == {alert.name for alert in ALERTS}


@pytest.mark.parametrize(("name", "expr"), EXPRESSIONS)
def test_a_rule_asks_only_for_series_and_labels_that_exist(name, expr):
    known, parsed = known_series(), parse(expr)
    for selector in parsed.selectors:
        assert selector.metric in known, f"{name}: {selector.metric} does not exist"
        labels = {matcher.label for matcher in selector.matchers}
        assert labels <= known[selector.metric], f"{name}: {selector} has no label {labels - known[selector.metric]}"
        if selector.metric in RAW | RAW_OF_TARGETS:
            assert 'job="stagecraft"' in map(str_of, selector.matchers), f"{name}: {selector} asks other jobs too"
    every = frozenset().union(*(known[selector.metric] for selector in parsed.selectors)) if parsed.selectors else set()
    assert parsed.grouped_by <= every, f"{name}: nothing has the labels {parsed.grouped_by - every}"


def str_of(matcher):
    return f'{matcher.label}{matcher.sign}"{matcher.value.strip(chr(34))}"'


@pytest.mark.parametrize(("name", "expr"), EXPRESSIONS)
def test_what_every_instance_reports_of_one_database_is_not_added_up(name, expr):
    added = re.findall(r"\bsum\b[^()]*(?:\([\w, ]*\)\s*)?\(\s*(?:\w+\()?(\w+)\{", expr)
    assert not WIDE & set(added), f"{name} adds up {WIDE & set(added)}"


def test_labels_of_rules_name_states_and_kinds_that_the_code_knows():
    from crm_connector.domain.intents import Verdict
    from crm_connector.telemetry import STATES
    from stage_engine.domain.decision import Cause, Outcome

    known = {
        "state": set(STATES),
        "cause": {cause.value for cause in Cause},
        ("crm_writes_total", "outcome"): {verdict.value for verdict in Verdict},
        ("stage_decisions_total", "outcome"): {outcome.value for outcome in Outcome},
        ("stage_replays_total", "outcome"): {"same", "different", "failed"},
    }
    asked = 0
    for name, expr in EXPRESSIONS:
        for selector in parse(expr).selectors:
            for matcher in selector.matchers:
                values = known.get((selector.metric, matcher.label)) or known.get(matcher.label)
                if values:
                    asked += 1
                    given = set(matcher.value.strip('"').split("|"))
                    assert given <= values, f"{name}: {selector} knows no {given - values}"
    assert asked > 10


def test_what_waits_is_named_as_the_services_name_it():
    root = RULES.parents[1]
    files = [*root.glob("services/*/src/**/*.py"), *root.glob("libs/kit/src/kit/*/*.py")]
    sources = "\n".join(file.read_text() for file in files)
    for name, expr in EXPRESSIONS:
        for what in re.findall(r'what=~?"([\w|]+)"', expr):
            for each in what.split("|"):
                assert f'"{each}"' in sources, f"{name}: no service sets aside {each}"
