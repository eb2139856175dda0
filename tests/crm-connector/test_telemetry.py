"""What the leading instance shows, and what it no longer shows when another one leads."""

from crm_connector.domain.intents import Verdict
from crm_connector.telemetry import API_CALLS_USED, CURSOR_AGE, WAITING, show_nothing, show_state
from kit.database.waiting import show_waiting
from prometheus_client import REGISTRY

SERVICE = "crm-connector"


def test_writes_are_counted_from_0_on_for_every_verdict() -> None:
    for verdict in Verdict:
        assert REGISTRY.get_sample_value("crm_writes_total", {"outcome": verdict.value}) is not None


def test_an_instance_that_no_longer_leads_shows_nothing() -> None:
    show_state("LIVE")
    CURSOR_AGE.set(5)
    API_CALLS_USED.set(7)
    for what in WAITING:
        show_waiting(SERVICE, what, 3, 60)
    show_nothing()
    assert REGISTRY.get_sample_value("crm_connection_state", {"state": "LIVE"}) == 0
    for name in ("crm_cursor_age_seconds", "crm_api_calls_used", "crm_sync_age_seconds"):
        assert REGISTRY.get_sample_value(name) == 0
    for what in WAITING:
        assert REGISTRY.get_sample_value("waiting_items", {"service": SERVICE, "what": what}) is None
        assert REGISTRY.get_sample_value("waiting_oldest_age_seconds", {"service": SERVICE, "what": what}) is None
