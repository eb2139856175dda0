"""Kafka and outbox: does every event reach the broker, and does every reader keep up?"""

from tools.dashboards.panels import Board, Choice, Kind, Limits, Panel, Query, Row, Unit
from tools.dashboards.promql import CHOSEN, or_zero

LAG_BY_TOPIC = f"sum by (service, topic) ({CHOSEN.wide('consumer_lag_events', 'service, topic, partition')})"

OUTBOX_AGE = Panel(
    title="Oldest unsent event",
    unit=Unit.SECONDS,
    means="How long a committed change waits to reach the broker. A rise means that the broker is away or refuses.",
    do="Check that the broker answers and that the service's user may write to the topic. The outbox loses nothing.",
    runbook="OutboxStuck",
    queries=(Query(CHOSEN.wide("outbox_oldest_age_seconds", "service"), "{{service}}"),),
    limits=Limits(30, 60),
)
OUTBOX_DEPTH = Panel(
    title="Events in the outbox",
    unit=Unit.COUNT,
    means="Committed events that the broker has not acknowledged. A short peak is load; a climb is a broker that is "
    "away.",
    do="Watch the database's disk while it lasts: the outbox is a table.",
    runbook="OutboxStuck",
    queries=(Query(CHOSEN.wide("outbox_events", "service"), "{{service}}"),),
)
RELAY_FAILURES = Panel(
    title="Relay rounds that failed",
    unit=Unit.EVENTS,
    means="Attempts to send that the broker did not take; each is repeated. A rise means an unstable or full broker.",
    do="Read the relay's log line: it names the broker's error.",
    runbook="RelayFailing",
    queries=(
        Query(
            or_zero(CHOSEN.rate("relay_failures_total", "service"), CHOSEN.total("service_info", "service")),
            "{{service}}",
        ),
    ),
)
PUBLISHED = Panel(
    title="Events published",
    unit=Unit.EVENTS,
    means="Events that services committed, by topic. A topic that falls to zero while the others do not has lost its "
    "writer's input.",
    do="Open the dashboard of the service that writes the topic.",
    runbook="ConsumerStuck",
    queries=(Query(CHOSEN.rate("events_published_total", "topic"), "{{topic}}"),),
    width=12,
)
RELAYED = Panel(
    title="Events acknowledged by the broker",
    unit=Unit.EVENTS,
    means="What leaves the outboxes. It follows what is published; less for long means that outboxes fill.",
    do="Compare with the age of the oldest unsent event.",
    runbook="OutboxStuck",
    queries=(Query(CHOSEN.rate("events_relayed_total", "service"), "{{service}}"),),
    width=12,
)

LAG = Panel(
    title="Lag by topic",
    unit=Unit.COUNT,
    means="Events behind the end of a topic. A peak that drains is load; a line that only climbs is a consumer that "
    "does not move.",
    do="If nothing is consumed, restart the instance that owns the partition; else add instances.",
    runbook="ConsumerStuck",
    queries=(Query(LAG_BY_TOPIC, "{{service}} ← {{topic}}"),),
    width=12,
)
PARTITIONS = Panel(
    title="Partitions that are furthest behind",
    unit=Unit.COUNT,
    means="The ten partitions with most lag. One far ahead of the others has a hot key or a stuck owner.",
    do="Compare the partitions of one topic: if only one lags, look at the instance that owns it.",
    runbook="ConsumerStuck",
    queries=(Query(f"topk(10, {CHOSEN.wide('consumer_lag_events', 'service, topic, partition')})"),),
    kind=Kind.TABLE,
    width=12,
)
EVENT_AGE = Panel(
    title="Age of events when handled, p99",
    unit=Unit.SECONDS,
    means="How long after they were made events are handled. A rise is the delay that users feel.",
    do="Find the topic: its reader is too slow or was away.",
    runbook="ConsumerBehind",
    queries=(Query(CHOSEN.quantile(0.99, "consumer_event_age_seconds", "service, topic"), "{{service}} ← {{topic}}"),),
    limits=Limits(30, 60),
)
BATCH_TIME = Panel(
    title="Time for one batch, p99",
    unit=Unit.SECONDS,
    means="How long a service works on what one poll returned. A rise means slow queries or large batches.",
    do="Compare with database connections in use; look for slow queries.",
    runbook="ConsumerBehind",
    queries=(Query(CHOSEN.quantile(0.99, "consumer_batch_seconds", "service"), "{{service}}"),),
    limits=Limits(5, 30),
)
CONSUMED = Panel(
    title="Events handled",
    unit=Unit.EVENTS,
    means="What consumers get through, by topic. Zero while there is lag means that they do not move.",
    do="Compare with the lag of the same topic.",
    runbook="ConsumerStuck",
    queries=(Query(CHOSEN.rate("events_consumed_total", "service, topic"), "{{service}} ← {{topic}}"),),
)
RETRIES = Panel(
    title="Batches repeated",
    unit=Unit.EVENTS,
    means="Batches that met a passing fault and were tried again. A rise means that a database or the broker is "
    "unstable.",
    do="Read the warning in the service's log; it names the fault.",
    runbook="ConsumerRetrying",
    queries=(
        Query(
            or_zero(
                CHOSEN.rate("consumer_retries_total", "service, topic"),
                CHOSEN.rate("events_consumed_total", "service, topic"),
            ),
            "{{service}} ← {{topic}}",
        ),
    ),
)
DUPLICATES = Panel(
    title="Events recognised as repeated",
    unit=Unit.EVENTS,
    means="Events that arrived again and had no effect. Some after a restart are normal; a constant stream means that "
    "offsets are not kept.",
    do="Look for consumers that restart or rebalance all the time.",
    runbook="ServiceRestarting",
    queries=(
        Query(
            or_zero(
                CHOSEN.rate("events_duplicate_total", "service, topic"),
                CHOSEN.rate("events_consumed_total", "service, topic"),
            ),
            "{{service}} ← {{topic}}",
        ),
    ),
)

LETTERS_WAITING = Panel(
    title="Dead letters that wait",
    unit=Unit.COUNT,
    means="Events put aside that wait for a person. Each one is a change that is missing somewhere.",
    do="List them at `GET /v1/dead-letters`, correct the cause, then replay or dismiss each.",
    runbook="DeadLettersWaiting",
    queries=(Query(CHOSEN.wide("dead_letters_waiting", "service"), "{{service}}"),),
    width=12,
    limits=Limits(1, 10),
)
LETTERS = Panel(
    title="Dead letters by reason",
    unit=Unit.COUNT,
    means="All events put aside since the instances started, by topic and code. One code on many topics is a bug in "
    "the reader; one topic with many codes is a bug in the writer.",
    do="Take the code to the runbook.",
    runbook="DeadLettersWaiting",
    queries=(Query(CHOSEN.total("dead_letters_total", "service, topic, code")),),
    kind=Kind.TABLE,
    width=12,
)

LOST = Panel(
    title="Events lost",
    unit=Unit.COUNT,
    means="Events that a topic no longer kept when the consumer came to them, since the instances started. Each one is "
    "missing somewhere for good.",
    do="Take the service and the topic to the runbook.",
    runbook="EventsLost",
    queries=(Query(CHOSEN.total("events_lost_total", "service, topic")),),
    kind=Kind.TABLE,
    width=12,
)

KAFKA = Board(
    name="kafka",
    title="Stagecraft: Kafka and outbox",
    description="Does every event reach the broker, and does every reader keep up?",
    choices=(Choice.SERVICE,),
    rows=(
        Row("Outbox: from the database to the broker", (OUTBOX_AGE, OUTBOX_DEPTH, RELAY_FAILURES, PUBLISHED, RELAYED)),
        Row("Consumers", (LAG, PARTITIONS, EVENT_AGE, BATCH_TIME, CONSUMED)),
        Row("Faults", (RETRIES, DUPLICATES, LOST)),
        Row("Dead letters", (LETTERS_WAITING, LETTERS)),
    ),
)
