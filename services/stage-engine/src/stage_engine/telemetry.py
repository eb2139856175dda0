"""Metrics of the stage engine."""

from prometheus_client import Counter

DECISIONS = Counter("stage_decisions_total", "Decisions by input and outcome", ["input", "outcome"])
TRANSITIONS = Counter("stage_transitions_total", "Moves; a jump: a rule or an import went wild", ["kind", "cause"])
ENGINE_FAULTS = Counter("stage_engine_faults_total", "Decisions refused: engine not believed; page at once", ["code"])
QUARANTINED = Counter("stage_quarantined_total", "Sights of a deal in a stage that somebody has to map")
EVENTS_PARKED = Counter("stage_events_parked_total", "Events that wait for what another topic brings", ["reason"])
