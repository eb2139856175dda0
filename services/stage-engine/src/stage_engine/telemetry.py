"""Metrics of the stage engine. The help says what a rise means."""

from prometheus_client import Counter, Gauge, Histogram

_LATENCY_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

DECISIONS = Counter("stage_decisions_total", "Decisions by input and outcome; a rise of rejected means that evidence falls short", ["input", "outcome"])  # fmt: skip  # noqa: E501
DECISION_LATENCY = Histogram("stage_decision_latency_seconds", "Time from the receipt of a submission to its committed decision; a rise means that reps wait for stages", buckets=_LATENCY_BUCKETS)  # fmt: skip  # noqa: E501
TIMER_LATENESS = Histogram("stage_timer_lateness_seconds", "Time from when a timer was due to its committed decision; a rise means that more is due at once than TIMERS_PER_SECOND lets fire, or that nothing ran for a while", buckets=(*_LATENCY_BUCKETS, 3600, 86400))  # fmt: skip  # noqa: E501
TIMERS_BEHIND = Gauge("stage_timers_behind_seconds", "How long the timer that is most overdue has been due; a rise means that timers do not fire: read the log")  # fmt: skip  # noqa: E501
TRANSITIONS = Counter("stage_transitions_total", "Moves by kind and cause; a jump means that a rule or an import went wild", ["kind", "cause"])  # fmt: skip  # noqa: E501
ENGINE_FAULTS = Counter("stage_engine_faults_total", "Decisions refused because the rules engine failed or its two evaluators disagree; a rise means that opportunities stay where they are", ["code"])  # fmt: skip  # noqa: E501
BREAKERS_OPENED = Counter("stage_breakers_opened_total", "Breakers that opened because rules moved unusually many opportunities of a pipeline; a rise means that a rule, its points or an import went wild, and that its rules only propose until a person closes it")  # fmt: skip  # noqa: E501
QUARANTINED = Counter("stage_quarantined_total", "Observations of an opportunity in a stage without a mapping; a rise means that the CRM's stages changed")  # fmt: skip  # noqa: E501
EVENTS_PARKED = Counter("stage_events_parked_total", "Scores and activities that wait for their opportunity; a rise means that the CRM's changes come late", ["reason"])  # fmt: skip  # noqa: E501
REPLAYS = Counter("stage_replays_total", "Stored decisions decided again: same, different, or failed; a different one means that the log or the code is wrong, a failed one that it could not be decided again: read the log", ["outcome"])  # fmt: skip  # noqa: E501
OPEN = Gauge(
    "stage_open_opportunities", "Open opportunities of all tenants, estimated from a sample where there are many"
)
OPEN_AHEAD = Gauge("stage_open_opportunities_ahead", "Open opportunities claimed further than they earned: the optimism gap; a rise means that stages are set by hope")  # fmt: skip  # noqa: E501
ACTIONS_OPEN = Gauge("stage_actions_open", "Actions that are not settled; a rise means that no program carries them out, or that the CRM is away")  # fmt: skip  # noqa: E501
ACTIONS_OLDEST = Gauge("stage_actions_oldest_seconds", "How long the oldest open action has waited; a rise means that its kind has no program that carries it out")  # fmt: skip  # noqa: E501
ACTIONS_SETTLED = Counter("stage_actions_settled_total", "Actions by what became of them; a rise of refused means that the CRM or a program does not take them, of expired that none carries them out", ["state"])  # fmt: skip  # noqa: E501
OBLIGATIONS = Counter("stage_obligations_total", "Obligations as they were made and as they ended; a rise of missed means that people do not do what they owe, or that activities do not arrive", ["state"])  # fmt: skip  # noqa: E501

# A series that first appears at 1 looks to Prometheus as if nothing had happened.
for _outcome in ("same", "different", "failed"):
    REPLAYS.labels(_outcome)
for _state in ("done", "refused", "expired"):
    ACTIONS_SETTLED.labels(_state)
for _state in ("open", "met", "late", "missed", "cancelled"):
    OBLIGATIONS.labels(_state)
