"""Salesforce: is the connection up, is there budget, and what does the CRM not take?"""

from tools.dashboards.panels import Board, Colour, Kind, Limits, Panel, Query, Row, Unit
from tools.dashboards.promql import EVERYTHING, fraction

LIVE = Panel(
    title="Connection",
    unit=Unit.COUNT,
    means="Whether the connector reads changes and writes stages. While it does not, both sides drift apart.",
    do="See beside this which state it is in: REFUSED needs an administrator of the org, UNAVAILABLE needs patience.",
    runbook="CrmDisconnected",
    queries=(Query(EVERYTHING.wide("crm_connection_state", where='state="LIVE"'), "connection"),),
    kind=Kind.NUMBER,
    width=4,
    limits=Limits(1, 1, falling=True),
    words={0: ("not live", Colour.RED), 1: ("live", Colour.GREEN)},
)
STATES = Panel(
    title="Connection by state",
    unit=Unit.COUNT,
    means="The state that holds is 1. Many changes mean an unstable network or a session that the org ends.",
    do="REFUSED: check the External Client App and the integration user. SWEEPING: the org delivers no events today.",
    runbook="CrmDisconnected",
    queries=(Query(EVERYTHING.wide("crm_connection_state", "state"), "{{state}}"),),
    width=10,
)
CURSOR_AGE = Panel(
    title="Age of the cursor",
    unit=Unit.SECONDS,
    means="Time since the CRM last sent a change or said that there is none. A climb means that edits made in "
    "Salesforce are not seen.",
    do="Check the connection; after a long break the connector sweeps all records by itself.",
    runbook="CrmCursorOld",
    queries=(Query(EVERYTHING.leading("crm_cursor_age_seconds"), "cursor"),),
    width=10,
    limits=Limits(600, 900),
)

BUDGET = Panel(
    title="Calls used",
    unit=Unit.SHARE,
    means="The share of the org's calls in 24 hours that is used, by everything that talks to the org. At 1 the org "
    "refuses all.",
    do="Find what else calls the org; writes wait in the meantime and are not lost.",
    runbook="CrmBudgetLow",
    queries=(
        Query(
            fraction(EVERYTHING.leading("crm_api_calls_used"), EVERYTHING.leading("crm_api_calls_allowed")),
            "used",
        ),
    ),
    kind=Kind.NUMBER,
    width=4,
    limits=Limits(0.8, 0.95),
)
CALLS = Panel(
    title="Calls in the running 24 hours",
    unit=Unit.COUNT,
    means="Calls that the org has counted, and those that it allows. A steep climb means retries or another client.",
    do="Compare with the writes per second: if they do not grow, another client uses the budget.",
    runbook="CrmBudgetLow",
    queries=(
        Query(EVERYTHING.leading("crm_api_calls_used"), "used"),
        Query(EVERYTHING.leading("crm_api_calls_allowed"), "allowed"),
    ),
    width=10,
)
CALL_TIME = Panel(
    title="Time of a write call",
    unit=Unit.SECONDS,
    means="How long the CRM takes for one call with its batch of writes. A rise means a slow org: triggers, flows or "
    "locks.",
    do="Ask the org's administrator about automation on opportunities.",
    runbook="CrmBehind",
    queries=tuple(Query(EVERYTHING.quantile(q, "crm_call_seconds"), f"p{q * 100:g}") for q in (0.5, 0.95, 0.99)),
    width=10,
    limits=Limits(5, 20),
)

OUTCOMES = Panel(
    title="Write attempts by outcome",
    unit=Unit.EVENTS,
    means="What became of each attempt to write. CONFIRMED is normal; REFUSED parks the write; CONFLICT means that a "
    "person changed the stage first; AGAIN and UNKNOWN are repeated.",
    do="Read the reason of the writes that do not succeed at `GET /v1/write-intents`.",
    runbook="CrmSyncBurn",
    queries=(Query(EVERYTHING.rate("crm_writes_total", "outcome"), "{{outcome}}"),),
    stacked=True,
)
SYNC_AGE = Panel(
    title="Oldest unfinished write",
    unit=Unit.SECONDS,
    means="How long the oldest decided stage waits to be in Salesforce. A climb means that the CRM is behind.",
    do="Check connection and budget; if both are well, the org is slow.",
    runbook="CrmBehind",
    queries=(Query(EVERYTHING.leading("crm_sync_age_seconds"), "oldest write"),),
    limits=Limits(900, 1800),
)
FRESHNESS = Panel(
    title="From receipt to confirmation",
    unit=Unit.SECONDS,
    means="How old a stage is when the CRM confirms it. A rise means that reps see an old stage in Salesforce.",
    do="If decisions are fast, the delay is here: compare with the time of a write call.",
    runbook="FreshnessBurn",
    queries=tuple(Query(EVERYTHING.quantile(q, "crm_freshness_seconds"), f"p{q * 100:g}") for q in (0.5, 0.95, 0.99)),
    limits=Limits(60, 300),
)

PARKED = Panel(
    title="Writes parked and unfinished",
    unit=Unit.COUNT,
    means="Parked writes wait for a person, because repeating cannot help; unfinished ones are on their way.",
    do="Read the org's reason at `GET /v1/write-intents`, correct it in the org, then retry the write.",
    runbook="CrmWritesParked",
    queries=(Query(EVERYTHING.wide("waiting_items", "what", 'service="crm-connector"'), "{{what}}"),),
)
PARKED_AGE = Panel(
    title="Oldest write parked and unfinished",
    unit=Unit.SECONDS,
    means="How long the CRM has shown a wrong stage for the oldest of them.",
    do="Act on the oldest first: each one is an opportunity whose stage differs between both sides.",
    runbook="CrmWritesParked",
    queries=(Query(EVERYTHING.wide("waiting_oldest_age_seconds", "what", 'service="crm-connector"'), "{{what}}"),),
)
HELD = Panel(
    title="Writes held back",
    unit=Unit.COUNT,
    means="What of the CRM refuses writes, all of it or an object, so that they wait instead of failing one by one.",
    do="Read `holds` and `missing` at `GET /v1/connection`: they name object, field and the org's reason.",
    runbook="CrmBehind",
    queries=(Query(EVERYTHING.wide("crm_writes_held"), "held"),),
)
LOOP_FAILURES = Panel(
    title="Failures of the connector's own loops",
    unit=Unit.COUNT,
    means="Times that the sender or the receiver failed by a fault of its own and went on after a pause.",
    do="Search the log for `the sender failed` and `the receiver failed`: it is a defect.",
    runbook="CrmDisconnected",
    queries=(Query(EVERYTHING.increase("crm_loop_failures_total", "loop"), "{{loop}}"),),
)
CONFLICTS = Panel(
    title="Conflicts",
    unit=Unit.EVENTS,
    means="Writes that met a stage which a person had set meanwhile. The person's stage stays. A rise means that reps "
    "work in Salesforce past the assessments.",
    do="Find the opportunities on the Business dashboard's overrides and speak with sales operations.",
    runbook="CrmConflicts",
    queries=(Query(EVERYTHING.rate("crm_conflicts_total"), "conflicts"),),
)

CHANGES = Panel(
    title="Changes read from the CRM",
    unit=Unit.EVENTS,
    means="Changes of opportunities that the CRM sent, our own writes included. A peak is a bulk edit in the org.",
    do="On a peak, watch the stage changes on the Business dashboard.",
    runbook="TransitionsAbnormal",
    queries=(Query(EVERYTHING.rate("crm_changes_total"), "changes"),),
    width=12,
)
POSITION_LOST = Panel(
    title="Times the stream could not be resumed",
    unit=Unit.COUNT,
    means="How often the connector was away for longer than the CRM keeps changes and had to read all records again.",
    do="Once after a long break is expected. More often: find out why the connector is away for so long.",
    runbook="CrmPositionLost",
    queries=(Query(EVERYTHING.increase("crm_position_lost_total"), "lost"),),
    kind=Kind.NUMBER,
    width=12,
    limits=Limits(1, 3),
)

SALESFORCE = Board(
    name="salesforce",
    title="Stagecraft: Salesforce",
    description="Is the connection up, is there budget, and what does the CRM not take?",
    rows=(
        Row("Connection", (LIVE, STATES, CURSOR_AGE)),
        Row("Budget and speed of the org", (BUDGET, CALLS, CALL_TIME)),
        Row("From decided to confirmed", (OUTCOMES, SYNC_AGE, FRESHNESS)),
        Row("What needs a person", (PARKED, PARKED_AGE, CONFLICTS)),
        Row("What the connector cannot do", (HELD, LOOP_FAILURES)),
        Row("What people change there", (CHANGES, POSITION_LOST)),
    ),
)
