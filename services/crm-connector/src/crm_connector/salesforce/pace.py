"""How often to log in: Salesforce counts logins, and an org that rejects them is not helped by more."""

from collections.abc import Callable

from kit.delivery.pace import backoff

from crm_connector.crm import CrmFault, CrmRefused
from crm_connector.salesforce.errors import NotReached

# Pauses in seconds after the first fault and at most; they double. What passes by itself is tried soon, what a person
# has to repair slowly.
_PASSING = (1.0, 300.0)
_REFUSED = (60.0, 3600.0)
# A session that the org rejects within this time was of no use.
_YOUNG_SECONDS = 60.0
# Tokens may be revoked at any moment, so the first rejections cost nothing.
_FREE_REJECTIONS = 3


class LoginPace:
    """The pauses between logins. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._fault: CrmFault | None = None
        self._not_before = 0.0
        self._failures = 0
        self._rejections = 0

    def check(self) -> None:
        """The last fault once more while its pause goes on."""
        if self._fault is not None and self._clock() < self._not_before:
            raise type(self._fault)(*self._fault.args)

    def failed(self, fault: CrmFault) -> None:
        """A login failed."""
        if (self._fault is None) or isinstance(fault, CrmRefused) != isinstance(self._fault, CrmRefused):
            self._failures = 0
        self._failures += 1
        first, most = _REFUSED if isinstance(fault, CrmRefused) else _PASSING
        self._wait(fault, backoff(self._failures, first, most))

    def succeeded(self) -> None:
        """A login gave a session."""
        self._fault = None
        self._failures = 0

    def rejected(self, age: float) -> None:
        """The org rejects a session of that age."""
        self._rejections = self._rejections + 1 if age < _YOUNG_SECONDS else 0
        if self._rejections > _FREE_REJECTIONS:
            fault = NotReached(f"the org rejected {self._rejections} fresh tokens in a row")
            self._wait(fault, backoff(self._rejections - _FREE_REJECTIONS + 1, 1, _PASSING[1]))

    def forget(self) -> None:
        """Let the next login go at once."""
        self._fault = None
        self._not_before = 0.0

    def _wait(self, fault: CrmFault, seconds: float) -> None:
        self._fault = fault
        self._not_before = self._clock() + seconds
