"""One dashboard for each service: the same rows for all, and one row of what is particular to it."""

from tools.dashboards.panels import Board, Choice, Colour, Kind, Limits, Panel, Query, Row, Unit
from tools.dashboards.particular import PARTICULAR
from tools.dashboards.promql import Scope, one_service, or_none, share
from tools.dashboards.runtime import consumer, outbox, process

SERVICES = tuple(PARTICULAR)
REFUSED = 'status=~"4.."'
FAILED = 'status=~"5.."'


def board_of(service: str) -> Board:
    of = one_service(service)
    return Board(
        name=service,
        title=f"Stagecraft: {service}",
        description=f"Is {service} well, does it keep up, and what does it refuse?",
        choices=(Choice.INSTANCE,),
        service=service,
        rows=(
            Row("State", _state(of)),
            Row(f"What is particular to {service}", PARTICULAR[service](of)),
            Row("API", _api(of)),
            Row("Consumer", consumer(of)),
            Row("Outbox", outbox(of)),
            Row("Process", process(of)),
        ),
    )


def _state(of: Scope) -> tuple[Panel, ...]:
    ready = Panel(
        title="Ready",
        unit=Unit.COUNT,
        means="Whether each instance takes work. One that is not ready waits for a dependency.",
        do="Ask `/readyz` of the instance: it lists what it waits for.",
        runbook="ServiceNotReady",
        queries=(Query(of.total("service_ready", "instance"), "{{instance}}"),),
        kind=Kind.NUMBER,
        width=6,
        height=6,
        limits=Limits(1, 1, falling=True),
        words={0: ("waits", Colour.RED), 1: ("ready", Colour.GREEN)},
    )
    reached = Panel(
        title="Reached by Prometheus",
        unit=Unit.COUNT,
        means="Whether the last scrape worked. An instance that is down shows nothing else on this page.",
        do="Look at the pod: its last log lines say why it ended.",
        runbook="ServiceDown",
        queries=(Query(of.total("up", "instance"), "{{instance}}"),),
        kind=Kind.NUMBER,
        width=6,
        height=6,
        limits=Limits(1, 1, falling=True),
        words={0: ("down", Colour.RED), 1: ("up", Colour.GREEN)},
    )
    versions = Panel(
        title="Versions",
        unit=Unit.COUNT,
        means="How many instances run which version. Two versions are normal while a release rolls out, no longer.",
        do="If the rollout is stuck, the new instances are not ready: ask them why.",
        runbook="ServiceNotReady",
        queries=(Query(of.total("service_info", "version"), "{{version}}"),),
        kind=Kind.TABLE,
        width=6,
        height=6,
    )
    running = Panel(
        title="Runs since",
        unit=Unit.SECONDS,
        means="Time since each instance started. A value that keeps falling back is an instance that crashes.",
        do="Read the end of the log of the run before, and its exit code: 137 means out of memory.",
        runbook="ServiceRestarting",
        queries=(
            Query(
                f"time() - max by (instance) ({of.series('process_start_time_seconds')})",
                "{{instance}}",
            ),
        ),
        width=6,
        height=6,
    )
    clock = Panel(
        title="Clock against Prometheus",
        unit=Unit.SECONDS,
        means="How far the clock of the instance is from that of Prometheus. A large distance makes tokens invalid and "
        "events old or new.",
        do="Check the time service of the node.",
        runbook="ClockWrong",
        queries=(
            Query(
                f"max by (instance) ({of.series('service_clock_seconds')} - "
                f"timestamp({of.series('service_clock_seconds')}))",
                "{{instance}}",
            ),
        ),
        limits=Limits(5, 30),
    )
    keys = Panel(
        title="Age of the issuer's keys",
        unit=Unit.SECONDS,
        means="Time since the keys that check tokens were last read. A climb means that the issuer is not reached; new "
        "keys are not known.",
        do="Ask the issuer's key address from the pod; check egress rules.",
        runbook="IssuerKeysOld",
        queries=(Query(of.highest("issuer_keys_age_seconds", "instance"), "{{instance}}"),),
        limits=Limits(900, 1800),
    )
    housekeeping = Panel(
        title="Since old rows were pruned",
        unit=Unit.SECONDS,
        means="Time since the housekeeping last ran. A climb means that tables grow without bound.",
        do="Read the service's log for the task's error.",
        runbook="HousekeepingStopped",
        queries=(Query(of.lowest("housekeeping_age_seconds", "service"), "housekeeping"),),
        limits=Limits(7200, 10800),
    )
    return (ready, reached, versions, running, clock, keys, housekeeping)


def _api(of: Scope) -> tuple[Panel, ...]:
    requests = of.rate("http_requests_total", "operation")
    rate = Panel(
        title="Requests by operation",
        unit=Unit.REQUESTS,
        means="What is asked for. A jump of one operation is a client that repeats.",
        do="Find the client by the trace or the audit entries; ask it to slow down.",
        runbook="HttpErrors",
        queries=(Query(requests, "{{operation}}"),),
    )
    failed = Panel(
        title="Failed requests (5xx) by operation",
        unit=Unit.SHARE,
        means="The share of requests that could not be answered. A rise means that users see errors.",
        do="One operation alone is a bug; all of them are a dependency that is away: ask `/readyz`.",
        runbook="HttpErrors",
        queries=(Query(share(of.rate("http_requests_total", "operation", FAILED), requests), "{{operation}}"),),
        limits=Limits(0.01, 0.05),
    )
    latency = Panel(
        title="Latency by operation, p99",
        unit=Unit.SECONDS,
        means="The time that the slowest hundredth of requests takes. A rise of all operations is a busy process or "
        "database; of one, a slow query.",
        do="Compare with event loop delay and connections in use below.",
        runbook="AvailabilityBurn",
        queries=(Query(of.quantile(0.99, "http_request_seconds", "operation"), "{{operation}}"),),
        limits=Limits(0.5, 2.5),
    )
    refusals = Panel(
        title="Refused requests (4xx) by code",
        unit=Unit.REQUESTS,
        means="What the service refuses, by the code of the problem. A jump of one code is a client with a bug or an "
        "old definition.",
        do="Look the code up in the API's description; it says what the client must do.",
        runbook="HttpErrors",
        queries=(
            Query(
                or_none(
                    of.rate("http_requests_total", "status, code", REFUSED), of.rate("http_requests_total"), "code"
                ),
                "{{status}} {{code}}",
            ),
        ),
        width=12,
    )
    failures = Panel(
        title="Failed requests (5xx) by code",
        unit=Unit.REQUESTS,
        means="What went wrong in the service. `starting` means that it waits for a dependency.",
        do="Search the log for the trace id of a failed request.",
        runbook="HttpErrors",
        queries=(
            Query(
                or_none(of.rate("http_requests_total", "status, code", FAILED), of.rate("http_requests_total"), "code"),
                "{{status}} {{code}}",
            ),
        ),
        width=12,
    )
    return (rate, failed, latency, refusals, failures)
