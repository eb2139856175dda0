"""What can go wrong while an event is handled.

InvalidEvent      no repetition can help: the event becomes a dead letter
└── EventTooLarge  an event would be made that its contract has no room for; a request that causes one is refused
RetryableError    a passing fault: the event is tried again, in order
DeadlineExceeded  work that was given to a process of its own took too long
"""


class InvalidEvent(Exception):
    """A consumed event breaks its contract or a rule; repeating cannot help. `code` names why."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class EventTooLarge(InvalidEvent):
    """An event with more bytes than its contract allows."""

    def __init__(self, name: str, size: int, limit: int) -> None:
        super().__init__(
            "event_too_large",
            f"The event {name} may have {limit} bytes, and this one has {size}. Use less text or fewer items.",
        )


class RetryableError(Exception):
    """A passing fault while an event was handled."""


class DeadlineExceeded(Exception):
    """Work took longer than it may, so it was ended. Repeating rarely helps."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"This takes longer than {seconds:g} seconds to work out. Make it smaller or simpler.")
        self.seconds = seconds

    def __reduce__(self) -> tuple[type["DeadlineExceeded"], tuple[float]]:
        return DeadlineExceeded, (self.seconds,)
