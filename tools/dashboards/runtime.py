"""The rows that every service has alike: its consumer, its outbox, its process."""

from tools.dashboards.panels import Limits, Panel, Query, Unit
from tools.dashboards.promql import Scope, or_zero


def consumer(of: Scope) -> tuple[Panel, ...]:
    consumed = of.rate("events_consumed_total", "topic")
    handled = Panel(
        title="Events handled",
        unit=Unit.EVENTS,
        means="What the consumer gets through. Zero while there is lag means that it does not move.",
        do="Read in `/statusz` whether the consumer runs.",
        runbook="ConsumerStuck",
        queries=(Query(consumed, "{{topic}}"),),
    )
    lag = Panel(
        title="Lag",
        unit=Unit.COUNT,
        means="Events not handled yet. A peak that drains is load; a line that only climbs is a halt.",
        do="If the consumer runs, add instances up to the number of partitions.",
        runbook="ConsumerStuck",
        queries=(Query(f"sum by (topic) ({of.wide('consumer_lag_events', 'topic, partition')})", "{{topic}}"),),
    )
    age = Panel(
        title="Age of events when handled, p99",
        unit=Unit.SECONDS,
        means="How long after they were made events are handled. A rise is the delay that users feel.",
        do="Find out whether this service is slow (time for one batch) or the writer was away.",
        runbook="ConsumerBehind",
        queries=(Query(of.quantile(0.99, "consumer_event_age_seconds", "topic"), "{{topic}}"),),
        limits=Limits(30, 60),
    )
    batch = Panel(
        title="Time for one batch",
        unit=Unit.SECONDS,
        means="How long the service works on what one poll returned. A rise means slow queries or large batches.",
        do="Compare with connections in use; look for slow queries in the database.",
        runbook="ConsumerBehind",
        queries=tuple(Query(of.quantile(q, "consumer_batch_seconds"), f"p{q * 100:g}") for q in (0.5, 0.95, 0.99)),
        limits=Limits(5, 30),
    )
    again = Panel(
        title="Batches repeated, events recognised",
        unit=Unit.EVENTS,
        means="Batches repeated after a passing fault, and events that came twice and had no effect. Many of the first "
        "means an unstable database or broker, of the second a consumer that restarts.",
        do="Read the warning in the log; it names the fault.",
        runbook="ConsumerRetrying",
        queries=(
            Query(or_zero(of.rate("consumer_retries_total", "topic"), consumed), "repeated: {{topic}}"),
            Query(or_zero(of.rate("events_duplicate_total", "topic"), consumed), "recognised: {{topic}}"),
        ),
    )
    letters = Panel(
        title="Dead letters that wait",
        unit=Unit.COUNT,
        means="Events put aside that wait for a person. Each one is a change that is missing here.",
        do="List them at `GET /v1/dead-letters`, correct the cause, then replay or dismiss each.",
        runbook="DeadLettersWaiting",
        queries=(Query(of.wide("dead_letters_waiting"), "dead letters"),),
        limits=Limits(1, 10),
    )
    return (handled, lag, age, batch, again, letters)


def outbox(of: Scope) -> tuple[Panel, ...]:
    published = Panel(
        title="Events published and acknowledged",
        unit=Unit.EVENTS,
        means="What the service committed and what the broker took. Both lines move together; a gap that stays "
        "means that the outbox fills.",
        do="Check the broker and the rights of the service's user.",
        runbook="OutboxStuck",
        queries=(
            Query(of.rate("events_published_total"), "published"),
            Query(of.rate("events_relayed_total"), "acknowledged"),
        ),
        width=6,
    )
    waiting = Panel(
        title="Events in the outbox",
        unit=Unit.COUNT,
        means="Committed events that the broker has not acknowledged. A climb means that the broker is away.",
        do="Nothing is lost; watch the database's disk while it lasts.",
        runbook="OutboxStuck",
        queries=(Query(of.wide("outbox_events"), "events"),),
        width=6,
    )
    age = Panel(
        title="Oldest unsent event",
        unit=Unit.SECONDS,
        means="How long a committed change waits to reach the broker.",
        do="Check that the broker answers from the pod.",
        runbook="OutboxStuck",
        queries=(Query(of.wide("outbox_oldest_age_seconds"), "oldest"),),
        width=6,
        limits=Limits(30, 60),
    )
    failures = Panel(
        title="Relay rounds that failed",
        unit=Unit.EVENTS,
        means="Attempts to send that the broker did not take; each is repeated.",
        do="Read the relay's log line: it names the broker's error.",
        runbook="RelayFailing",
        queries=(Query(or_zero(of.rate("relay_failures_total"), of.total("service_ready")), "failed"),),
        width=6,
    )
    return (published, waiting, age, failures)


def process(of: Scope) -> tuple[Panel, ...]:
    pool = Panel(
        title="Database connections",
        unit=Unit.COUNT,
        means="Connections in use and the limit of the pool, for each instance. At the limit requests wait.",
        do="Look for slow or idle transactions in the database before you raise DATABASE_POOL_SIZE.",
        runbook="DatabasePoolExhausted",
        queries=(
            Query(of.total("database_connections_in_use", "instance"), "in use: {{instance}}"),
            Query(of.total("database_connections_limit", "instance"), "limit: {{instance}}"),
        ),
    )
    delay = Panel(
        title="Event loop delay, p99",
        unit=Unit.SECONDS,
        means="How late the process gets to what is due. A rise means that something blocks it, or too little CPU.",
        do="Compare with CPU; raise the CPU limit, or find the blocking call with a profiler.",
        runbook="EventLoopBlocked",
        queries=(Query(of.quantile(0.99, "event_loop_delay_seconds", "instance"), "{{instance}}"),),
        limits=Limits(0.1, 0.5),
    )
    processor = Panel(
        title="CPU",
        unit=Unit.FACTOR,
        means="Cores in use. A service is one process of one thread: near 1 it is full.",
        do="Add instances: a service does not use a second core.",
        runbook="EventLoopBlocked",
        queries=(Query(of.rate("process_cpu_seconds_total", "instance"), "{{instance}}"),),
        limits=Limits(0.7, 0.95),
    )
    memory = Panel(
        title="Memory",
        unit=Unit.BYTES,
        means="Resident memory. A line that only climbs is a leak and ends in a restart.",
        do="Compare with the memory limit of the pod; keep a heap profile before the restart.",
        runbook="ServiceRestarting",
        queries=(Query(of.total("process_resident_memory_bytes", "instance"), "{{instance}}"),),
        width=12,
    )
    files = Panel(
        title="Open files of the allowed",
        unit=Unit.SHARE,
        means="The share of file descriptors in use. At 1 no connection can be opened.",
        do="Look for connections that are not closed; restart the instance to win time.",
        runbook="ServiceRestarting",
        queries=(
            Query(
                f"{of.total('process_open_fds', 'instance')} / {of.total('process_max_fds', 'instance')}",
                "{{instance}}",
            ),
        ),
        width=12,
        limits=Limits(0.7, 0.9),
    )
    return (pool, delay, processor, memory, files)
