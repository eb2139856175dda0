"""The org's allocations and what has been used of them."""

from dataclasses import dataclass
from typing import Any

from sandbox.salesforce.errors import ApiError


@dataclass(slots=True)
class Allocation:
    max: int
    used: int = 0

    @property
    def remaining(self) -> int:
        return max(0, self.max - self.used)


class Limits:
    """Allocations of a Full sandbox; nothing rolls over while the process lives."""

    def __init__(self) -> None:
        self.api = Allocation(5_000_000)
        self.delivered = Allocation(1_000_000)
        self._by_name = {
            "DailyApiRequests": self.api,
            "DailyDeliveredPlatformEvents": self.delivered,
            "DailyBulkV2QueryJobs": Allocation(10_000),
            "DailyBulkApiBatches": Allocation(15_000),
        }

    def report(self) -> dict[str, dict[str, int]]:
        """The body of `GET /limits`."""
        return {name: {"Max": a.max, "Remaining": a.remaining} for name, a in self._by_name.items()}

    def set(self, wanted: dict[str, Any]) -> None:
        """Takes allocations in the shape `report` gives them. Raises KeyError for an unknown name."""
        for name, figures in wanted.items():
            allocation = self._by_name[name]
            allocation.max = int(figures.get("Max", allocation.max))
            if "Remaining" in figures:
                allocation.used = allocation.max - int(figures["Remaining"])

    def count_call(self) -> None:
        """Counts one API call. Raises REQUEST_LIMIT_EXCEEDED once the allocation is used up."""
        if self.api.remaining == 0:
            raise ApiError("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", 403)
        self.api.used += 1

    @property
    def info(self) -> str:
        """The value of the Sforce-Limit-Info header."""
        return f"api-usage={self.api.used}/{self.api.max}"
