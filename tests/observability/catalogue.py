"""Which metrics exist and which labels they have: read from the code's own objects and from the recording rules."""

from collections.abc import Mapping
from functools import cache

import prometheus_client
from prometheus_client import Histogram
from prometheus_client.metrics import MetricWrapperBase

from tests.observability.boards import rules
from tests.observability.promql import parse
from tools.metrics import MODULES, metrics_of, name_of

# What Prometheus adds to every series that it scrapes.
FROM_TARGET = frozenset({"job", "instance", "service"})
OF_PROMETHEUS = {
    "up": FROM_TARGET,
    "ALERTS": frozenset({"alertname", "alertstate", "severity", "service"}),
}
# Each instance reports these of the one database of its service, so only the highest counts.
WIDE = frozenset(
    {
        "outbox_oldest_age_seconds",
        "outbox_events",
        "waiting_items",
        "waiting_oldest_age_seconds",
        "dead_letters_waiting",
        "consumer_lag_events",
        "stage_open_opportunities",
        "stage_open_opportunities_ahead",
        "crm_connection_state",
        "crm_cursor_age_seconds",
        "crm_sync_age_seconds",
        "crm_api_calls_used",
        "crm_api_calls_allowed",
    }
)


def own_metrics() -> list[MetricWrapperBase]:
    """Every metric of the platform's code."""
    return [metric for module in MODULES for metric in metrics_of(module)]


def samples_of(metric: MetricWrapperBase) -> dict[str, frozenset[str]]:
    """The names under which Prometheus stores it, with their labels."""
    labels = FROM_TARGET | frozenset(metric._labelnames)
    name = name_of(metric)
    if isinstance(metric, Histogram):
        return {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}
    return {name: labels}


@cache
def known_series() -> Mapping[str, frozenset[str]]:
    """Every series name a query may use, with the labels it has."""
    known: dict[str, frozenset[str]] = dict(OF_PROMETHEUS)
    for metric in own_metrics():
        known |= samples_of(metric)
    for family in prometheus_client.PROCESS_COLLECTOR.collect():
        known |= {sample.name: FROM_TARGET for sample in family.samples}
    for rule in rules():
        if rule.record:
            # A recorded series has at most the labels by which its expression groups, or those of what it reads.
            read = {label for selector in parse(rule.expr).selectors for label in known.get(selector.metric, ())}
            known[rule.record] = known.get(rule.record, frozenset()) | frozenset(rule.labels) | read
    return known
