"""What can go wrong while an event is handled.

InvalidEvent    no repetition can help: the event becomes a dead letter
RetryableError  a passing fault: the event is tried again, in order
ConsumerHalted  too many invalid events in a row: the consumer stops until a person has looked
"""


class InvalidEvent(Exception):
    """A consumed event breaks its contract or a rule; repeating cannot help. `code` names why."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class RetryableError(Exception):
    """A passing fault while an event was handled."""


class ConsumerHalted(Exception):
    """The consumer stopped itself rather than dead-letter a whole topic."""
