"""PromQL in few words. Each function returns an expression; `by` lists labels, `where` holds further matchers."""

from __future__ import annotations

from dataclasses import dataclass

JOB = 'job="stagecraft"'
RECENT = "$__rate_interval"
PERIOD = "$__range"


@dataclass(frozen=True, slots=True)
class Scope:
    """The series that a board asks for. `own` limits what each instance counts for itself, `shared` what every
    instance reports of the one database of its service."""

    own: str
    shared: str

    def series(self, metric: str, where: str = "") -> str:
        return _selector(metric, self.own, where)

    def rate(self, metric: str, by: str = "", where: str = "") -> str:
        """How often a second, over all instances."""
        return _sum(by, f"rate({self.series(metric, where)}[{RECENT}])")

    def increase(self, metric: str, by: str = "", where: str = "") -> str:
        """How often in the period shown, over all instances."""
        return f"round({_sum(by, f'increase({self.series(metric, where)}[{PERIOD}])')})"

    def quantile(self, share: float, histogram: str, by: str = "", where: str = "") -> str:
        """The value that this share of all observations stays below."""
        labels = f"le, {by}" if by else "le"
        return f"histogram_quantile({share:g}, {_sum(labels, self._buckets(histogram, where))})"

    def within(self, seconds: str, histogram: str, by: str = "") -> str:
        """The share of observations up to a bound, which is a bucket of the histogram."""
        good = self.rate(f"{histogram}_bucket", by, f'le="{seconds}"')
        return f"{good} / {self.rate(f'{histogram}_count', by)}"

    def total(self, metric: str, by: str = "", where: str = "") -> str:
        """The sum over instances of what each has for itself."""
        return _sum(by, self.series(metric, where))

    def highest(self, metric: str, by: str = "", where: str = "") -> str:
        return _highest(by, self.series(metric, where))

    def lowest(self, metric: str, by: str) -> str:
        return f"min by ({by}) ({self.series(metric)})"

    def wide(self, metric: str, by: str = "", where: str = "") -> str:
        """A figure of the database: every instance reports the same one, so it must not be added up."""
        return _highest(by, _selector(metric, self.shared, where))

    def leading(self, metric: str) -> str:
        """What the one instance says that leads: one that led before keeps its last figures."""
        leads = f"{_selector('crm_connection_state', self.shared, '')} == 1"
        return f"max({_selector(metric, self.shared, '')} and on (job, instance) {leads})"

    def _buckets(self, histogram: str, where: str) -> str:
        return f"rate({self.series(f'{histogram}_bucket', where)}[{RECENT}])"


def one_service(service: str) -> Scope:
    """One service, at the instances that the reader chose."""
    shared = f'{JOB}, service="{service}"'
    return Scope(own=f'{shared}, instance=~"$instance"', shared=shared)


CHOSEN = Scope(own=f'{JOB}, service=~"$service"', shared=f'{JOB}, service=~"$service"')
EVERYTHING = Scope(own=JOB, shared=JOB)


def or_zero(expr: str, like: str) -> str:
    """A line at 0 for what never happened: a counter with labels has no series before its first event."""
    return f"{expr} or 0 * {like}"


def or_none(expr: str, like: str, label: str) -> str:
    """As `or_zero`, where the label says what happened: the line at 0 is called `none`."""
    return f'{expr} or label_replace(0 * {like}, "{label}", "none", "", "")'


def fraction(part: str, whole: str) -> str:
    """What share of a level another level is; 0 of nothing is 0."""
    return f"{part} / clamp_min({whole}, 1)"


def share(part: str, whole: str) -> str:
    """What share of the whole a part is; 0 where the part never happened."""
    return f"({or_zero(part, whole)}) / {whole}"


def _selector(metric: str, scope: str, where: str) -> str:
    return f"{metric}{{{scope}, {where}}}" if where else f"{metric}{{{scope}}}"


def _sum(by: str, expr: str) -> str:
    return f"sum by ({by}) ({expr})" if by else f"sum({expr})"


def _highest(by: str, expr: str) -> str:
    return f"max by ({by}) ({expr})" if by else f"max({expr})"
