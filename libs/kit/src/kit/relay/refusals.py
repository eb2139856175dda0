"""What it means that an event could not be sent: two closed lists, and what is in neither.

passing    broker, network or login: the events of the topic wait and are tried again, however often
permanent  this event will never be taken: it is quarantined, with what follows it in its line
unclear    in neither list: tried again a few times with pauses, then quarantined
"""

import time
from collections.abc import Callable, Set
from dataclasses import dataclass
from enum import Enum, auto

from aiokafka import errors

from kit.delivery.pace import backoff

# So many attempts at one line whose error is unclear, over a quarter of a minute at least.
ATTEMPTS = 6
_FIRST_SECONDS = 0.5
_LONGEST_SECONDS = 5.0


class Silence(Exception):
    """The broker took the event and never acknowledged it."""


class TopicUnknown(Exception):
    """The broker knows no such topic."""


class Verdict(Enum):
    """What to do with an event that was not sent."""

    PASSING = auto()
    PERMANENT = auto()
    UNCLEAR = auto()


# An event, or its topic, is refused for what it is. Every name becomes the code of a quarantined event.
_OF_AN_EVENT = {
    errors.MessageSizeTooLargeError: "message_too_large",
    errors.RecordListTooLargeError: "message_too_large",
    errors.InvalidTimestampError: "record_invalid",
    errors.UnsupportedForMessageFormatError: "record_invalid",
    errors.PolicyViolationError: "policy_violated",
}
# The whole topic is refused. A partner's is given up until a person acts. A topic of ours is a fault of the deployment,
# which a new deployment corrects: its events wait in the outbox, in order.
_OF_A_TOPIC = {
    TopicUnknown: "topic_unknown",
    errors.UnknownTopicOrPartitionError: "topic_unknown",
    errors.InvalidTopicError: "topic_invalid",
    errors.TopicAuthorizationFailedError: "topic_not_authorized",
}
_PASSING = (
    Silence,
    OSError,
    TimeoutError,
    errors.KafkaConnectionError,
    errors.KafkaUnavailableError,
    errors.NoBrokersAvailable,
    errors.KafkaTimeoutError,
    errors.RequestTimedOutError,
    errors.NodeNotReadyError,
    errors.Cancelled,
    errors.StaleMetadata,
    errors.MetadataEmptyBrokerList,
    errors.CorrelationIdError,
    errors.TooManyInFlightRequests,
    # A batch that was damaged on the way.
    errors.CorruptRecordException,
    errors.LeaderNotAvailableError,
    errors.NotLeaderForPartitionError,
    errors.BrokerNotAvailableError,
    errors.ReplicaNotAvailableError,
    errors.NotEnoughReplicasError,
    errors.NotEnoughReplicasAfterAppendError,
    errors.KafkaStorageError,
    errors.QuotaViolationError,
    errors.NotControllerError,
    errors.ReassignmentInProgress,
    # The login is refused, not an event.
    errors.AuthenticationFailedError,
    errors.AuthenticationMethodNotSupported,
    errors.SaslAuthenticationFailed,
    errors.UnsupportedSaslMechanismError,
    errors.IllegalSaslStateError,
    errors.ClusterAuthorizationFailedError,
    # A new producer helps.
    errors.ProducerClosed,
    errors.ProducerFenced,
    errors.InvalidProducerEpoch,
    errors.InvalidProducerIdMapping,
    errors.OutOfOrderSequenceNumber,
    errors.UnknownProducerId,
)


@dataclass(frozen=True)
class Refusal:
    """Why an event was not sent. `of_event`: it may be the fault of another event in the same batch. `of_topic`: the
    whole topic waits with it."""

    verdict: Verdict
    code: str
    detail: str
    of_event: bool
    of_topic: bool


def judge(error: BaseException, *, partner: bool) -> Refusal:
    """What an error of sending says of the event, which goes to a partner's topic or to one of ours."""
    kind, detail = type(error), f"{type(error).__name__}: {error}"[:500]
    if kind in _OF_AN_EVENT:
        return Refusal(Verdict.PERMANENT, _OF_AN_EVENT[kind], detail, of_event=True, of_topic=partner)
    if kind in _OF_A_TOPIC:
        verdict = Verdict.PERMANENT if partner else Verdict.PASSING
        return Refusal(verdict, _OF_A_TOPIC[kind], detail, of_event=False, of_topic=True)
    if isinstance(error, _PASSING):
        return Refusal(Verdict.PASSING, "passing", detail, of_event=False, of_topic=True)
    return Refusal(Verdict.UNCLEAR, "not_sent", detail, of_event=True, of_topic=partner)


@dataclass(frozen=True)
class Line:
    """Events that stay in order: those of one key on a topic, or, without a key, all of the topic."""

    topic: str
    key: str | None


@dataclass
class _Hold:
    """How often a line failed in a row, how often by its own fault, what was sent by then, and until when it waits."""

    failures: int = 0
    faults: int = 0
    sent: int = -1
    until: float = 0.0


class Holds:
    """Lines that wait before they are tried again, while all others go on."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: dict[Line, _Hold] = {}

    def failed(self, line: Line, sent: int) -> int:
        """Let the line wait; how often in a row it was to blame. Where nothing was sent since it failed before, while
        other lines fail as well, it is not: then it is the broker. `sent` counts all events that ever were."""
        hold = self._held.setdefault(line, _Hold())
        hold.failures += 1
        hold.faults += sent > hold.sent or len(self._held) == 1
        hold.sent = sent
        hold.until = self._clock() + backoff(hold.failures, _FIRST_SECONDS, _LONGEST_SECONDS)
        return hold.faults

    def settled(self, lines: Set[Line]) -> None:
        """These are sent again, or wait elsewhere."""
        for line in lines & self._held.keys():
            del self._held[line]

    @property
    def lines(self) -> list[Line]:
        """Those that wait now."""
        now = self._clock()
        return [line for line, hold in self._held.items() if hold.until > now]

    @property
    def any(self) -> bool:
        """Whether any line failed when it was last tried."""
        return bool(self._held)

    def tried_before(self, line: Line) -> bool:
        """Whether it failed last time."""
        return line in self._held

    def clear(self) -> None:
        """Try all of them at once."""
        self._held.clear()
