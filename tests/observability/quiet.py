"""Systems with nothing wrong, as input of promtool: no alert at all may fire while one is idle, busy, or replaced
instance by instance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

SERVICES = ("assessment", "scoring", "stage-engine", "crm-connector", "recommender")
STATES = ("LIVE", "CONNECTING", "IMPORTING", "WAITING_FOR_PIPELINE", "REFUSED", "UNAVAILABLE")
WAITING = {
    "assessment": ("quarantined_events", "held_submissions"),
    "scoring": ("quarantined_events", "parked_submissions"),
    "stage-engine": ("quarantined_events", "parked_events", "quarantined_opportunities", "proposals", "open_breakers"),
    "crm-connector": ("quarantined_events", "parked_writes", "unfinished_writes"),
    "recommender": ("quarantined_events", "parked_submissions"),
}
MINUTES = 150
ASKED_AT = (5, 20, 41, 43, 45, 47, 52, 60, 75, 90, 120, 150)


@dataclass(frozen=True)
class Instance:
    """One instance of every service, from its first minute to its last."""

    name: str
    first: int = 0
    last: int = MINUTES
    leads: bool = False


@dataclass(frozen=True)
class Situation:
    """A system that is well. A busy one has traffic."""

    name: str
    instances: Sequence[Instance]
    busy: bool


PAIR = (Instance("a", leads=True), Instance("b"))
REPLACED = (
    Instance("a", last=42, leads=True),
    Instance("b", last=44),
    Instance("c", first=41, leads=True),
    Instance("d", first=43),
)
SCALED = (*PAIR, Instance("c", first=40, last=90), Instance("d", first=40, last=60))
RESTARTED = (Instance("a", last=40, leads=True), Instance("a", first=42, leads=True))
SITUATIONS = (
    Situation("idle", PAIR, busy=False),
    Situation("busy", PAIR, busy=True),
    Situation("idle and replaced", REPLACED, busy=False),
    Situation("busy and replaced", REPLACED, busy=True),
    Situation("busy and scaled up and down", SCALED, busy=True),
    Situation("busy and restarted in place", RESTARTED, busy=True),
)


def promtool_file(rules: Sequence[str], groups: Sequence[str]) -> dict[str, Any]:
    """A file for `promtool test rules`: every situation, with no alert that fires."""
    return {
        "rule_files": list(rules),
        "evaluation_interval": "1m",
        "group_eval_order": list(groups),
        "tests": [_test(situation) for situation in SITUATIONS],
    }


def _test(situation: Situation) -> dict[str, Any]:
    values: dict[str, list[str]] = {}
    for instance in situation.instances:
        for series, value in _all_series(instance, busy=situation.busy):
            samples = values.setdefault(series, ["_"] * (MINUTES + 1))
            for minute in range(instance.first, instance.last + 1):
                samples[minute] = f"{value.at(minute, instance.first):g}"
            if instance.last < MINUTES:
                # Not ready while it drains; then its target is gone.
                if series.startswith("service_ready"):
                    samples[instance.last] = "0"
                samples[instance.last + 1] = "stale"
    return {
        "name": situation.name,
        "interval": "1m",
        "input_series": [{"series": series, "values": " ".join(samples)} for series, samples in values.items()],
        "promql_expr_test": [
            {"expr": 'ALERTS{alertstate="firing"}', "eval_time": f"{minute}m", "exp_samples": []} for minute in ASKED_AT
        ],
    }


@dataclass(frozen=True)
class Value:
    """What a series shows: `start`, then so much more each minute."""

    start: float = 0
    growth: float = 0
    of_clock: bool = False

    def at(self, minute: int, first: int) -> float:
        return minute * 60 + self.start if self.of_clock else self.start + self.growth * (minute - first)


def _all_series(instance: Instance, *, busy: bool) -> Iterator[tuple[str, Value]]:
    for service in SERVICES:
        own = f'job="stagecraft", service="{service}", instance="{instance.name}:8000"'
        for metric, value in _of_service(service, instance, busy=busy):
            name, _, labels = metric.partition(" ")
            yield f"{name}{{{own}{', ' + labels if labels else ''}}}", value


def _of_service(service: str, instance: Instance, *, busy: bool) -> Iterator[tuple[str, Value]]:
    def grows(per_minute: float) -> Value:
        return Value(growth=per_minute if busy else 0)

    yield from (("up", Value(1)), ("service_ready", Value(1)))
    yield from (("service_clock_seconds", Value(0.4, of_clock=True)), ("service_info", Value(1)))
    yield "process_start_time_seconds", Value(60 * instance.first)
    yield from (("issuer_keys_age_seconds", Value(290)), ("housekeeping_age_seconds", Value(growth=60)))
    yield from (("database_connections_in_use", Value(3)), ("database_connections_limit", Value(12)))
    yield from (("outbox_oldest_age_seconds", Value()), ("dead_letters_waiting", Value()))
    yield from (("relay_failures_total", Value(2)), ('consumer_retries_total topic="t"', Value(1)))
    yield 'consumer_lag_events topic="t", partition="0"', Value(40 if busy else 0)
    yield from (('events_consumed_total topic="t"', grows(300)), ('events_published_total topic="t"', grows(300)))
    yield 'http_requests_total operation="o", status="200", code=""', grows(600)
    yield 'http_requests_total operation="o", status="422", code="validation_failed"', grows(30)
    yield 'http_requests_total operation="o", status="503", code="unavailable"', Value(3)
    for le in ("0.5", "+Inf"):
        yield f'event_loop_delay_seconds_bucket le="{le}"', Value(growth=60)
    for le in ("60.0", "+Inf"):
        yield f'consumer_event_age_seconds_bucket topic="t", le="{le}"', grows(300)
    for what in WAITING.get(service, ()):
        yield f'waiting_items what="{what}"', Value()
        yield f'waiting_oldest_age_seconds what="{what}"', Value()
    if service == "stage-engine":
        yield "stage_open_opportunities", Value(50 if busy else 0)
        yield from (
            ('stage_replays_total outcome="same"', grows(6)),
            ('stage_replays_total outcome="different"', Value()),
            ('stage_replays_total outcome="failed"', Value()),
        )
        yield 'stage_decisions_total input="submission", outcome="accepted"', grows(20)
        yield 'stage_decisions_total input="submission", outcome="no_op"', grows(40)
        yield 'stage_transitions_total kind="advance", cause="rule"', grows(20)
        yield 'stage_decision_latency_seconds_bucket le="2.5"', grows(60)
        yield "stage_decision_latency_seconds_count", grows(60)
    if service == "crm-connector":
        for state in STATES:
            yield f'crm_connection_state state="{state}"', Value(1 if instance.leads and state == "LIVE" else 0)
        yield from (("crm_cursor_age_seconds", Value(200)), ("crm_position_lost_total", Value()))
        yield from (("crm_api_calls_used", Value(900)), ("crm_api_calls_allowed", Value(15000)))
        yield from (('crm_writes_total outcome="CONFIRMED"', grows(60)), ("crm_conflicts_total", grows(1)))
        yield from (('crm_freshness_seconds_bucket le="60.0"', grows(20)), ("crm_freshness_seconds_count", grows(20)))
