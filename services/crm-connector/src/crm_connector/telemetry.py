"""This service's metrics, with what a rise of each means."""

from prometheus_client import Counter, Gauge, Histogram

WRITES = Counter("crm_writes_total", "Write intents by what became of an attempt", ["outcome"])
CALL_SECONDS = Histogram("crm_call_seconds", "Time of one write call to the CRM")
SYNC_AGE = Gauge("crm_sync_age_seconds", "Age of the oldest unfinished write intent; a rise means the CRM is behind")
CHANGES = Counter("crm_changes_total", "Changes received from the CRM")
API_CALLS_USED = Gauge("crm_api_calls_used", "Calls of the running 24 hours that the CRM has counted")
API_CALLS_ALLOWED = Gauge("crm_api_calls_allowed", "Calls the CRM allows in 24 hours")
POSITION_LOST = Counter("crm_position_lost_total", "Times the stream could not be resumed and records were swept")
