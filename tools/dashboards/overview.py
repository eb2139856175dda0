"""Overview: does every submission become a confirmed stage, how fast, what waits, and what is wrong now?"""

from tools.dashboards.alerts import alerts
from tools.dashboards.panels import Board, Choice, Kind, Limits, Panel, Query, Row, Unit
from tools.dashboards.promql import CHOSEN, EVERYTHING, share

SUBMITTED = 'topic="stagecraft.assessment.submitted.v1"'
SCORED = 'topic="stagecraft.scoring.scored.v1"'
BY_SUBMISSION = 'input="submission"'
CONFIRMED = 'outcome="CONFIRMED"'
NOT_CONFIRMED = 'outcome!="CONFIRMED"'
# Every step leaves one count for each submission, so that a step lower than the one before it shows where it stops.
STEPS = (
    ("1 submitted", "events_published_total", SUBMITTED),
    ("2 scored", "events_published_total", SCORED),
    ("3 decided", "stage_decisions_total", BY_SUBMISSION),
    ("4 written to the CRM", "crm_writes_total", ""),
    ("5 confirmed by the CRM", "crm_writes_total", CONFIRMED),
)
FAILED = 'status=~"5.."'

FUNNEL = Panel(
    title="Submissions by how far they got",
    unit=Unit.COUNT,
    means="Each bar counts one step in the period shown. All bars are about as long while every submission arrives; "
    "a bar that is much shorter than the one above it shows where submissions wait. Attempts to write count each time.",
    do="Open the dashboard of the service that does the first short step, and look at its lag and its dead letters.",
    runbook="ConsumerStuck",
    queries=tuple(Query(EVERYTHING.increase(metric, where=where), name) for name, metric, where in STEPS),
    kind=Kind.BARS,
    width=10,
    height=9,
)
PACE = Panel(
    title="Submissions per second at each step",
    unit=Unit.EVENTS,
    means="The lines lie on each other while the system keeps up. A line that falls while the one before it does not "
    "means that work piles up between the two.",
    do="Look at the lag of the service behind the gap; a peak of submissions drains by itself.",
    runbook="ConsumerBehind",
    queries=tuple(Query(EVERYTHING.rate(metric, where=where), name) for name, metric, where in STEPS),
    width=14,
    height=9,
)


def _quantiles(histogram: str) -> tuple[Query, ...]:
    return tuple(Query(EVERYTHING.quantile(q, histogram), f"p{q * 100:g}") for q in (0.5, 0.95, 0.99))


DECISION_LATENCY = Panel(
    title="From receipt to decision",
    unit=Unit.SECONDS,
    means="How long submissions wait for their decision. A rise means that scoring or the stage engine falls behind.",
    do="Compare lag and batch time of the two services; add instances up to the number of partitions.",
    runbook="DecisionLatencyBurn",
    queries=_quantiles("stage_decision_latency_seconds"),
    limits=Limits(2.5, 10),
)
FRESHNESS = Panel(
    title="From receipt to the CRM's confirmation",
    unit=Unit.SECONDS,
    means="How old a stage is when the CRM confirms it. A rise means that reps see yesterday's stage in Salesforce.",
    do="If decisions are fast, the CRM is slow or refuses: open the Salesforce dashboard.",
    runbook="FreshnessBurn",
    queries=_quantiles("crm_freshness_seconds"),
    limits=Limits(60, 300),
)
IN_TIME = Panel(
    title="In time",
    unit=Unit.SHARE,
    means="The share of submissions decided within 2.5 s, and of moved ones confirmed by the CRM within 60 s. A fall "
    "spends the error budget.",
    do="See on the SLO dashboard how fast the budget goes, then follow the slower of the two.",
    runbook="DecisionLatencyBurn",
    queries=(
        Query(EVERYTHING.within("2.5", "stage_decision_latency_seconds"), "decided within 2.5 s"),
        Query(EVERYTHING.within("60.0", "crm_freshness_seconds"), "confirmed within 60 s"),
    ),
    limits=Limits(0.99, 0.95, falling=True),
)

REQUESTS = Panel(
    title="HTTP requests",
    unit=Unit.REQUESTS,
    means="What reps, devices and sales operations ask for. A sudden rise is a client that repeats; a fall to zero "
    "means that requests do not reach the services.",
    do="On a fall, check the ingress and the probes; on a rise, find the operation on the service's own dashboard.",
    runbook="ServiceNotReady",
    queries=(Query(CHOSEN.rate("http_requests_total", "service"), "{{service}}"),),
)
HTTP_FAILURES = Panel(
    title="HTTP requests that failed (5xx)",
    unit=Unit.SHARE,
    means="The share of requests that a service could not answer. A rise means that users see errors.",
    do="Find the code and the operation on the service's own dashboard; `starting` means that a dependency is away.",
    runbook="HttpErrors",
    queries=(
        Query(
            share(CHOSEN.rate("http_requests_total", "service", FAILED), CHOSEN.rate("http_requests_total", "service")),
            "{{service}}",
        ),
    ),
    limits=Limits(0.01, 0.05),
)
HTTP_LATENCY = Panel(
    title="HTTP latency, p99",
    unit=Unit.SECONDS,
    means="The time that the slowest hundredth of requests takes. A rise means a busy event loop or database.",
    do="Compare with event loop delay and connections in use on the service's own dashboard.",
    runbook="EventLoopBlocked",
    queries=(Query(CHOSEN.quantile(0.99, "http_request_seconds", "service"), "{{service}}"),),
    limits=Limits(0.5, 2.5),
)

WAITING = Panel(
    title="Work set aside",
    unit=Unit.COUNT,
    means="Submissions, events, writes and opportunities that wait until something else arrives or a person acts. A "
    "level that stays means that a person is needed.",
    do="Take the kind that grows: its runbook says which API lists the items and how to release them.",
    runbook="WorkWaiting",
    queries=(Query(CHOSEN.wide("waiting_items", "service, what"), "{{service}}: {{what}}"),),
    stacked=True,
)
WAITING_AGE = Panel(
    title="Oldest work set aside",
    unit=Unit.SECONDS,
    means="The age of what waits longest. A line that climbs without a break is an item that nothing releases.",
    do="List the items of that kind through the service's API and act on the oldest.",
    runbook="WorkWaiting",
    queries=(Query(CHOSEN.wide("waiting_oldest_age_seconds", "service, what"), "{{service}}: {{what}}"),),
)
DEAD_LETTERS = Panel(
    title="Dead letters that wait",
    unit=Unit.COUNT,
    means="Events that a service could not handle and put aside. Each one is a submission or a change that is missing.",
    do="Read the code of each letter, correct the cause, then replay or dismiss it.",
    runbook="DeadLettersWaiting",
    queries=(Query(CHOSEN.wide("dead_letters_waiting", "service"), "{{service}}"),),
    limits=Limits(1, 10),
)
LAG = Panel(
    title="Consumer lag",
    unit=Unit.COUNT,
    means="Events that a service has not handled yet. A peak that drains is load; a line that only climbs is a halt.",
    do="If the consumer does not run, read why in `/statusz`; if it does, add instances.",
    runbook="ConsumerStuck",
    queries=(
        Query(
            f"sum by (service) ({CHOSEN.wide('consumer_lag_events', 'service, topic, partition')})",
            "{{service}}",
        ),
    ),
)
OUTBOX = Panel(
    title="Oldest unsent event",
    unit=Unit.SECONDS,
    means="How long a committed change waits to reach the broker. A rise means that the broker is away or refuses.",
    do="Check the broker and the rights of the service's user; nothing is lost, the outbox sends it later.",
    runbook="OutboxStuck",
    queries=(Query(CHOSEN.wide("outbox_oldest_age_seconds", "service"), "{{service}}"),),
    limits=Limits(30, 60),
)
SET_ASIDE_RATE = Panel(
    title="Refused by the CRM",
    unit=Unit.SHARE,
    means="The share of write attempts that the CRM did not confirm, by what became of them. REFUSED needs a person; "
    "AGAIN and UNKNOWN are repeated.",
    do="Open the Salesforce dashboard and read the reason of the parked writes.",
    runbook="CrmWritesParked",
    queries=(
        Query(
            f"{EVERYTHING.rate('crm_writes_total', 'outcome', NOT_CONFIRMED)} / ignoring (outcome) group_left () "
            f"{EVERYTHING.rate('crm_writes_total')}",
            "{{outcome}}",
        ),
    ),
)

FIRING = Panel(
    title="Alerts that fire",
    unit=Unit.COUNT,
    means="Alerts that need a person now. Zero is normal.",
    do="Take those of severity `page` first; the table beside this names them.",
    runbook="TelemetryAbsent",
    queries=(Query(f"count({alerts('firing')}) or vector(0)", "firing"),),
    kind=Kind.NUMBER,
    width=4,
    limits=Limits(1, 5),
)
ALERTS = Panel(
    title="Alerts, firing and pending",
    unit=Unit.COUNT,
    means="Which alerts fire, and which will if their cause lasts. An empty table is normal.",
    do="Open the runbook that has the alert's name.",
    runbook="TelemetryAbsent",
    queries=(Query(f"sum by (alertname, severity, alertstate, service) ({alerts()})"),),
    kind=Kind.TABLE,
    width=12,
)
READY = Panel(
    title="Instances that are ready",
    unit=Unit.COUNT,
    means="Instances that take requests and events. A fall means that an instance waits for a dependency or is gone.",
    do="Ask `/readyz` of the instance: it lists what it waits for.",
    runbook="ServiceNotReady",
    queries=(Query(CHOSEN.total("service_ready", "service"), "{{service}}"),),
    kind=Kind.NUMBER,
    limits=Limits(1, 1, falling=True),
)

OVERVIEW = Board(
    name="overview",
    title="Stagecraft: overview",
    description="Does every submission become a confirmed stage, and how fast? What waits, and what is wrong now?",
    choices=(Choice.SERVICE,),
    rows=(
        Row("Does every submission become a confirmed stage?", (FUNNEL, PACE)),
        Row("What is wrong now?", (FIRING, ALERTS, READY)),
        Row("How fast?", (DECISION_LATENCY, FRESHNESS, IN_TIME)),
        Row("What do users see?", (REQUESTS, HTTP_FAILURES, HTTP_LATENCY)),
        Row("What waits?", (WAITING, WAITING_AGE, DEAD_LETTERS, LAG, OUTBOX, SET_ASIDE_RATE)),
    ),
)
