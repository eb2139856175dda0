"""SLO burn: how much of each error budget is left, and how fast it goes."""

from tools.dashboards.panels import Board, Kind, Limits, Panel, Query, Row, Unit

WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d", "30d")
# A pair of windows and the burn rate at which its alert fires: the short one says that it still goes on.
PAIRS = (("5m", "1h", 14.4), ("30m", "6h", 6.0), ("2h", "1d", 3.0), ("6h", "3d", 1.0))
RUNBOOKS = (
    ("availability", "AvailabilityBurn", "HTTP requests that do not fail"),
    ("decision-latency", "DecisionLatencyBurn", "submissions decided within 2.5 s"),
    ("freshness", "FreshnessBurn", "moved submissions that the CRM confirms within 60 s"),
    ("crm-sync", "CrmSyncBurn", "write attempts that are neither parked nor failed"),
    ("correctness", "CorrectnessBurn", "replayed decisions that come out the same"),
)


def burn(window: str, where: str = "") -> str:
    """How many times faster than the budget allows errors come: at 1 it lasts exactly for its 30 days."""
    return f"slo:error_ratio:rate{window}{where} / on (slo) (1 - slo:objective)"


LEFT = Panel(
    title="Error budget left of 30 days",
    unit=Unit.SHARE,
    means="What is left to spend. At 0 the objective is missed; below 0 it shows by how much.",
    do="With little left, release nothing risky and work on what burns the budget.",
    runbook="AvailabilityBurn",
    queries=(Query("slo:budget_left:30d", "{{slo}}"),),
    kind=Kind.NUMBER,
    width=14,
    limits=Limits(0.5, 0.1, falling=True),
)
OBJECTIVES = Panel(
    title="Objectives",
    unit=Unit.SHARE,
    means="The share that must be good over 30 days. It changes only with a release.",
    do="Change an objective in the recording rules, with those who depend on it.",
    runbook="AvailabilityBurn",
    queries=(Query("slo:objective", "{{slo}}"),),
    kind=Kind.BARS,
    width=10,
)
BURNS = tuple(
    Panel(
        title=f"Burn rate over {short} and {long}",
        unit=Unit.FACTOR,
        means=f"How fast the budget goes; at 1 it lasts for 30 days. The alert fires when both windows are above "
        f"{rate:g}.",
        do="Take the objective that is highest to its row below, and open its runbook.",
        runbook="AvailabilityBurn",
        queries=tuple(Query(burn(window), f"{{{{slo}}}} {window}") for window in (short, long)),
        width=12,
        limits=Limits(rate, rate),
    )
    for short, long, rate in PAIRS
)


def _of_one(slo: str, runbook: str, good: str) -> Panel:
    where = f'{{slo="{slo}"}}'
    return Panel(
        title=f"Errors of {slo}",
        unit=Unit.SHARE,
        means=f"The share that is not good; good are {good}. A rise in the short windows is new, in the long ones it "
        "has cost budget.",
        do="Follow the runbook: it says where the errors come from.",
        runbook=runbook,
        queries=tuple(Query(f"slo:error_ratio:rate{window}{where}", window) for window in WINDOWS),
    )


SLO = Board(
    name="slo",
    title="Stagecraft: SLO burn",
    description="How much of each error budget is left, and how fast it goes.",
    rows=(
        Row("Budgets", (LEFT, OBJECTIVES)),
        Row("How fast they go", BURNS),
        Row("Each objective", tuple(_of_one(*each) for each in RUNBOOKS)),
    ),
)
