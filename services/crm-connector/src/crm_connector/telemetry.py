"""Metrics of the CRM connector, with what a rise of each means."""

from kit.observability import telemetry as kit_telemetry
from prometheus_client import Counter, Gauge, Histogram

from crm_connector.domain.intents import Verdict
from crm_connector.settings import Settings

_FRESHNESS_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)

# What the leading instance shows among the waiting work.
WAITING = ("unfinished_writes", "parked_writes")
STATES = (
    "CONNECTING", "WAITING_FOR_PIPELINE", "IMPORTING", "LIVE", "RECORDING", "SWEEPING", "REFUSED", "UNAVAILABLE",
    "FAILED",
)  # fmt: skip

CONNECTION_STATE = Gauge("crm_connection_state", "1 for the state of the connection to the CRM; only the leading instance says so", ["state"])  # fmt: skip  # noqa: E501
CURSOR_AGE = Gauge("crm_cursor_age_seconds", "Time since the CRM's stream of changes last said where it is; a rise means that edits of people are missed")  # fmt: skip  # noqa: E501
FRESHNESS = Histogram("crm_freshness_seconds", "Time from the receipt of a submission to the CRM's confirmation of its stage; a rise means that people see old stages", buckets=_FRESHNESS_BUCKETS)  # fmt: skip  # noqa: E501
WRITES = Counter("crm_writes_total", "Attempts to write by the CRM's verdict; a rise of REFUSED means that writes are parked", ["outcome"])  # fmt: skip  # noqa: E501
CALL_SECONDS = Histogram("crm_call_seconds", "Time of one write call to the CRM; a rise means that the CRM is slow")
SYNC_AGE = Gauge(
    "crm_sync_age_seconds", "Age of the oldest unfinished write intent; a rise means that the CRM is behind"
)
CHANGES = Counter("crm_changes_total", "Changes received from the CRM; a fall to 0 while people work means that the stream is silent")  # fmt: skip  # noqa: E501
CONFLICTS = Counter("crm_conflicts_total", "Writes that met another stage than they expected; a rise means that people or flows edit the stage too")  # fmt: skip  # noqa: E501
API_CALLS_USED = Gauge("crm_api_calls_used", "Calls of the running 24 hours that the CRM has counted; at the limit it refuses all")  # fmt: skip  # noqa: E501
API_CALLS_ALLOWED = Gauge("crm_api_calls_allowed", "Calls that the CRM allows in 24 hours")
POSITION_LOST = Counter(
    "crm_position_lost_total", "Times that the stream could not be resumed and records were read again"
)
LOOP_FAILURES = Counter("crm_loop_failures_total", "Times that the sender, the receiver, the reader of people or the carrier of actions failed by a fault of its own and went on after a pause; a rise means a defect: see the log", ["loop"])  # fmt: skip  # noqa: E501
WRITES_HELD = Gauge("crm_writes_held", "What of the CRM refuses writes, so that they are held back: 1 for an object, or for all of it; /v1/connection says why")  # fmt: skip  # noqa: E501


for _loop in ("receiver", "sender", "people", "carrier"):
    LOOP_FAILURES.labels(_loop)
for _verdict in Verdict:
    WRITES.labels(_verdict.value)


def show_state(state: str) -> None:
    """Make this the state of the connection."""
    for each in STATES:
        CONNECTION_STATE.labels(each).set(each == state)


def show_nothing() -> None:
    """Forget what only the leading instance shows, because another one leads."""
    show_state("")
    for gauge in (CURSOR_AGE, SYNC_AGE, WRITES_HELD, API_CALLS_USED, API_CALLS_ALLOWED):
        gauge.set(0)
    for what in WAITING:
        for gauge in (kit_telemetry.WAITING_ITEMS, kit_telemetry.WAITING_AGE):
            gauge.remove_by_labels({"service": Settings.service, "what": what})
