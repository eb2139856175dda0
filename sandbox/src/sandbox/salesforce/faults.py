"""Faults an operator orders: errors, slowness, lost replies."""

import re

from pydantic import BaseModel, ConfigDict, Field

from sandbox.salesforce.errors import MESSAGE_OF, STATUS_OF, ApiError


class Fault(BaseModel):
    """What goes wrong with calls whose path matches, after `after_n` of them, `times` times. With `within` it goes
    wrong with single requests inside a composite call instead: `match` is then searched in their url.

    Give `code` (a Salesforce error code, or the last part of a Pub/Sub error code) or `status`, or
    `html_503`, or `drop_after_commit`: do the work, then close the connection without a reply.
    `latency_ms` alone only slows down. `times` null means until removed.
    """

    model_config = ConfigDict(extra="forbid")

    code: str | None = None
    status: int | None = Field(None, ge=400, le=599)
    message: str | None = None
    after_n: int = Field(0, ge=0)
    times: int | None = Field(1, ge=1)
    match: re.Pattern[str] = re.compile("")
    latency_ms: int = Field(0, ge=0)
    fields: tuple[str, ...] = ()
    within: bool = False
    drop_after_commit: bool = False
    html_503: bool = False

    def error(self) -> ApiError | None:
        """The refusal this fault orders, if it orders one."""
        if self.code is None and self.status is None:
            return None
        code = self.code or "UNKNOWN_EXCEPTION"
        message = self.message or MESSAGE_OF.get(code, code)
        return ApiError(code, message, self.status or STATUS_OF.get(code, 400), self.fields)


class Faults:
    """The ordered faults, oldest first; a call meets at most one."""

    def __init__(self) -> None:
        self.ordered: list[Fault] = []

    def add(self, fault: Fault) -> None:
        self.ordered.append(fault)

    def clear(self) -> None:
        self.ordered.clear()

    def take(self, path: str, *, within: bool = False) -> Fault | None:
        """Gives the fault this call, or this request within one, meets and counts it."""
        for fault in self.ordered:
            if fault.within != within or not fault.match.search(path):
                continue
            if fault.after_n > 0:
                fault.after_n -= 1
                continue
            if fault.times is not None:
                fault.times -= 1
                if fault.times == 0:
                    self.ordered.remove(fault)
            return fault
        return None
