"""Every panel, rule and alert, asked of a real Prometheus that watched a real system work and break."""

import math
from datetime import UTC, datetime

import pytest

from tests.observability.boards import boards, every_target, panels, rules
from tests.observability.catalogue import own_metrics, samples_of
from tests.observability.conftest import FIGURES
from tests.observability.faults import PROVOKED
from tests.observability.promql import parse, relaxed, substituted

STEP_SECONDS = 5
# Series that no run may show, and why.
NEVER = {
    "stage_engine_faults_total": "the rules engine does not fail, and nothing outside can make it",
    "crm_loop_failures_total": "the loops of the connector do not fail, and nothing outside can make them",
    'stage_replays_total{outcome="different"}': "a decision that replays differently is a bug",
}


def never(selector):
    """Why there cannot be such a series; empty when there must be one."""
    for name, reason in NEVER.items():
        wanted = parse(name).selectors[0]
        if selector.metric == wanted.metric and set(wanted.matchers) <= set(selector.matchers):
            return reason
    return ""


def has_numbers(values):
    return any(not math.isnan(value) for value in values)


async def missing_selectors(system, expressions, *, relax=()):
    """Selectors of the expressions that find no series in the whole run, by where they are used."""
    wanted = {}
    for place, expr in expressions:
        for selector in parse(expr).selectors:
            if not never(selector):
                wanted.setdefault(str(selector.without(*relax)), []).append(place)
    found = {}
    for selector in wanted:
        found[selector] = await system.client.instant(f"count(last_over_time({selector}[1h]))")
    return [f"{selector}: {', '.join(places)}" for selector, places in wanted.items() if not found[selector]]


@pytest.fixture
def elapsed(observed_system):
    return math.ceil((datetime.now(UTC) - observed_system.began).total_seconds())


@pytest.fixture
def sent(elapsed):
    """A query as Grafana sends it for all services and instances and the whole run."""

    def substitute(expr):
        return substituted(expr, rate_interval="30s", period=f"{elapsed}s", service=".+", instance=".+")

    return substitute


async def test_every_panel_shows_something(observed_system, sent, record_property):
    empty, asked, shown = [], 0, 0
    for name, board in boards().items():
        for panel in panels(board):
            shown += 1
            for target in panel["targets"]:
                asked += 1
                expr = sent(target["expr"])
                if target["instant"]:
                    values = [sample.value for sample in await observed_system.client.instant(expr)]
                else:
                    series = await observed_system.client.range_(
                        expr, observed_system.began, datetime.now(UTC), STEP_SECONDS
                    )
                    values = [value for each in series for _, value in each.points]
                if not has_numbers(values):
                    empty.append(f"{name} / {panel['title']} / {target['refId']}: {expr}")
    assert not empty, "\n".join(empty)
    record_property(FIGURES, f"{len(boards())} dashboards: {shown} panels with {asked} queries, none empty")


async def test_every_series_that_a_panel_names_exists_in_some_service(observed_system, sent):
    """A fallback such as `or 0 * …` must not hide a name that is wrong."""
    expressions = [(str(target), sent(target.expr)) for target in every_target()]
    assert await missing_selectors(observed_system, expressions, relax=("service", "instance")) == []


async def test_every_recording_rule_records(observed_system, record_property):
    recorded = [rule for rule in rules() if rule.record]
    empty = []
    for rule in recorded:
        matchers = ", ".join(f'{label}="{value}"' for label, value in rule.labels.items())
        values = [sample.value for sample in await observed_system.client.instant(f"{rule.record}{{{matchers}}}")]
        if not has_numbers(values):
            empty.append(str(rule))
    assert not empty, "\n".join(empty)
    record_property(FIGURES, f"{len(recorded)} recording rules, none empty")


async def test_every_rule_is_evaluated_without_an_error(observed_system):
    evaluated = await observed_system.client.rules()
    assert len(evaluated) == len(rules())
    assert [(rule.name, rule.last_error) for rule in evaluated if rule.health != "ok"] == []


async def test_every_series_that_a_rule_names_exists(observed_system):
    expressions = [(str(rule), rule.expr) for rule in rules()]
    assert await missing_selectors(observed_system, expressions) == []


async def test_every_alert_would_fire_with_other_thresholds(observed_system, record_property):
    """What is compared must be there, and its labels must match: a healthy system only has other numbers."""
    alerts = [rule for rule in rules() if rule.alert]
    testable = [rule for rule in alerts if not any(map(never, parse(rule.expr).selectors))]
    conditions = [(rule, condition) for rule in testable for condition in relaxed(rule.expr)]
    silent = [
        f"{rule}: {condition}" for rule, condition in conditions if not await observed_system.client.instant(condition)
    ]
    assert not silent, "\n".join(silent)
    left_out = sorted({rule.alert for rule in alerts if rule not in testable})
    record_property(
        FIGURES,
        f"{len(testable)} alerting rules: {len(conditions)} conditions hold with other thresholds; "
        f"left out, as nothing can cause them: {', '.join(left_out)}",
    )


async def test_every_provoked_alert_was_raised(observed_system, record_property):
    """The rules of this run are the committed ones with the same thresholds; only `for` is a second, so that a cause
    need not last for minutes (see `hastened`)."""
    raised = {
        sample.labels["alertname"]
        for sample in await observed_system.client.instant("max by (alertname) (max_over_time(ALERTS[1h]))")
    }
    assert {rule.alert for rule in rules() if rule.alert} >= PROVOKED
    assert sorted(PROVOKED - raised) == [], observed_system.notes
    record_property(FIGURES, f"{len(PROVOKED)} alerts provoked and raised; also raised: {sorted(raised - PROVOKED)}")


async def test_every_metric_of_the_code_is_exposed_and_counted(observed_system, record_property):
    pages = [(await observed_system.http.get(f"{url}/metrics")).text for url in observed_system.stack.urls.values()]
    names = set(await observed_system.client.label_values("__name__"))
    hidden, silent = [], []
    for metric in own_metrics():
        samples = samples_of(metric)
        described = [line for page in pages for line in page.splitlines() if line.startswith("# TYPE ")]
        if not any(line.split()[2] in samples or f"{line.split()[2]}_bucket" in samples for line in described):
            hidden.append(sorted(samples))
        if not names & samples.keys() and not samples.keys() & NEVER.keys():
            silent.append(sorted(samples))
    assert (hidden, silent) == ([], [])
    record_property(FIGURES, f"{len(own_metrics())} metrics of the code, all exposed")
