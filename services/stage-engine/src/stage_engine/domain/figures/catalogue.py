"""The figures that there are: each with its formula in words, what it counts and what it leaves out."""

from dataclasses import dataclass

from stage_engine.domain.figures.kinds import Group, Kind, Unit

_WHO = frozenset({Group.PERSON, Group.TEAM, Group.PIPELINE, Group.SEGMENT})
_WHERE = _WHO | {Group.STAGE}
_TIMES = frozenset({Group.WEEK, Group.MONTH, Group.QUARTER, Group.YEAR})
_OWED = _WHO | _TIMES | {Group.CATEGORY, Group.PATH, Group.HOUR}
_YOUNG = "open for less than the horizon, and not there yet"
_NONE = "nothing"
_RETRACTED = "closings that were retracted by reopening or another outcome"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. `period` says what `from` and `to` bound; `has_horizon`, that cases have some time to come true;
    `in_currency`, that it counts amounts, which are never mixed."""

    key: str
    title: str
    formula: str
    kind: Kind
    unit: Unit
    period: str
    censored: str
    excluded: str
    groups: frozenset[Group]
    has_horizon: bool = False
    in_currency: bool = False

    @property
    def is_of_due_days(self) -> bool:
        """Whether the period is one of days that opportunities are due on, which may lie ahead."""
        return self.period == _DUE

    @property
    def is_better_higher(self) -> bool | None:
        """Whether more of it is better; None where that depends."""
        return _BETTER.get(self.key)


_BETTER = {
    "conversion": True, "strict_conversion": True, "win_rate": True, "win_rate_of_cohort": True, "won": True,
    "sales_cycle": False, "time_in_stage": False, "regress_rate": False, "rework_rate": False, "slip_rate": False,
    "adherence": True, "optimism_gap": False, "stalled_rate": False, "rotten_rate": False, "override_quality": True,
}  # fmt: skip

_ENTERED = "the stage was entered"
_CLOSED = "the opportunity was closed"
_CREATED = "the opportunity was created"
_MOVED = "the move was made"
_DONE = "the activity took place"
_NOW = "nothing: it is as of now"
_DUE = "the opportunity is due, in whole days of UTC"

FIGURES = (
    Figure("conversion", "Stage conversion, reached",
           "opportunities that entered the stage first in the period and reached a later open stage or won within the"
           " horizon ÷ those that entered it so and can be judged",
           Kind.SHARE, Unit.SHARE, _ENTERED, _YOUNG, "those in another pipeline now", _WHERE | _TIMES, True),
    Figure("strict_conversion", "Stage conversion, strict",
           "as stage conversion, and the first step on passed over no stage ÷ those that can be judged",
           Kind.SHARE, Unit.SHARE, _ENTERED, _YOUNG, "those in another pipeline now", _WHERE | _TIMES, True),
    Figure("cumulative_conversion", "Cumulative conversion",
           "opportunities that entered the first stage in the period and reached the stage, or a later one, within the"
           " horizon ÷ those that entered the first stage so and can be judged",
           Kind.SHARE, Unit.SHARE, "the first stage was entered", _YOUNG, "those in another pipeline now",
           _WHERE | _TIMES, True),
    Figure("win_rate", "Win rate by count", "won ÷ (won + lost), closed in the period",
           Kind.SHARE, Unit.SHARE, _CLOSED, _NONE, f"walked away, and {_RETRACTED}", _WHO | _TIMES),
    Figure("win_rate_of_all", "Win rate by count, with those who walked away",
           "won ÷ (won + lost + walked away), closed in the period",
           Kind.SHARE, Unit.SHARE, _CLOSED, _NONE, _RETRACTED, _WHO | _TIMES),
    Figure("win_rate_by_value", "Win rate by value", "Σ amount won ÷ Σ amount won and lost, closed in the period",
           Kind.QUOTIENT, Unit.SHARE, _CLOSED, _NONE, f"without an amount, walked away, and {_RETRACTED}",
           _WHO | _TIMES, False, True),
    Figure("win_rate_of_cohort", "Win rate of a cohort", "won within the horizon ÷ created in the period",
           Kind.SHARE, Unit.SHARE, _CREATED, _YOUNG, "those whose creation is not known", _WHO | _TIMES, True),
    Figure("created", "Opportunities created", "opportunities created in the period",
           Kind.SUM, Unit.COUNT, _CREATED, _NONE, "those whose creation is not known", _WHO | _TIMES),
    Figure("won", "Opportunities won", "opportunities won in the period, once for each cycle",
           Kind.SUM, Unit.COUNT, _CLOSED, _NONE, _RETRACTED, _WHO | _TIMES),
    Figure("won_value", "Value won", "Σ amount of opportunities won in the period",
           Kind.SUM, Unit.AMOUNT, _CLOSED, _NONE, f"without an amount, and {_RETRACTED}", _WHO | _TIMES, False, True),
    Figure("sales_cycle", "Sales cycle",
           "median of days from creation to the win, of those won in the period; of a reopened one from its reopening",
           Kind.MEDIAN_DAYS, Unit.DAYS, _CLOSED, _NONE, f"those whose creation is not known, and {_RETRACTED}",
           _WHO | _TIMES),
    Figure("velocity", "Pipeline velocity",
           "opportunities created in the period × share won within the horizon × mean value won ÷ mean days to the win,"
           " all of the same opportunities",
           Kind.VELOCITY, Unit.AMOUNT_PER_DAY, _CREATED, _YOUNG, "those whose creation is not known", _WHO | _TIMES,
           True, True),
    Figure("time_in_stage", "Time in stage", "median of days from entering to leaving, of the last visit of each"
           " opportunity to the stage that was left in the period; time on hold does not count",
           Kind.MEDIAN_DAYS, Unit.DAYS, "the stage was left", "entered in the period and not left in it",
           "those seen first in the stage, of which it is not known since when", _WHERE | _TIMES | {Group.PATH}),
    Figure("time_in_stage_in_all", "Time in stage, all visits",
           "median of the sum over all visits of an opportunity to the stage, of those that left it in the period",
           Kind.MEDIAN_DAYS, Unit.DAYS, "the stage was left", "entered in the period and not left in it",
           "those seen first in the stage, of which it is not known since when", _WHERE | _TIMES),
    Figure("business_time_in_stage", "Time in stage, business hours",
           "as time in stage, within the business hours of the owner; in days of 24 of these hours",
           Kind.MEDIAN_DAYS, Unit.DAYS, "the stage was left", "entered in the period and not left in it",
           "where the pipeline reads no business time, or it is not known since when", _WHERE | _TIMES),
    Figure("aging", "Aging ratio", "median of time in the stage ÷ the time by which it is expected to be left, of open"
           " opportunities", Kind.MEDIAN, Unit.RATIO, _NOW, _NONE, "stages without an expected time, and those on hold",
           _WHERE),
    Figure("rotten_rate", "Rotten", "open opportunities at least 1.5 × the expected business time in their stage ÷ open"
           " opportunities", Kind.SHARE, Unit.SHARE, _NOW, _NONE, "stages without an expected time, and those on hold",
           _WHERE),
    Figure("stalled_rate", "Stalled", "open opportunities without a sign of life, or in their stage, for longer than it"
           " allows ÷ open opportunities", Kind.SHARE, Unit.SHARE, _NOW, _NONE, _NONE, _WHERE),
    Figure("skip_rate", "Skips", "moves that pass over open stages ÷ moves in the period",
           Kind.SHARE, Unit.SHARE, _MOVED, _NONE, _NONE, _WHERE | _TIMES | {Group.PATH, Group.RULE}),
    Figure("regress_rate", "Regress", "moves back to an earlier stage ÷ moves in the period",
           Kind.SHARE, Unit.SHARE, _MOVED, _NONE, _NONE, _WHERE | _TIMES | {Group.PATH, Group.RULE}),
    Figure("rework_rate", "Rework", "opportunities that came back to a stage ÷ those that moved in the period",
           Kind.SHARE, Unit.SHARE, _MOVED, _NONE, _NONE, _WHO | _TIMES),
    Figure("slip_rate", "Slips", "opportunities due in the period when it began whose day has left it by its end ÷"
           " those due in it when it began", Kind.SHARE, Unit.SHARE, _DUE,
           "still open and due in a period that is not over", _NONE, _WHERE | {Group.CATEGORY}),
    Figure("forecast", "Forecast by category", "Σ amount of open opportunities due in the period, by the forecast"
           " category of their stage; closed is what was won in it",
           Kind.SUM, Unit.AMOUNT, _DUE, _NONE, "without an amount", _WHERE | {Group.CATEGORY}, False, True),
    Figure("forecast_earned", "Forecast by earned stage", "as forecast by category, by the stage that the evidence has"
           " earned", Kind.SUM, Unit.AMOUNT, _DUE, _NONE, "without an amount", _WHERE | {Group.CATEGORY}, False, True),
    Figure("forecast_accuracy", "Forecast accuracy", "1 − |F − A| ÷ A: F is what was in commit when the period began"
           " and due in it, A what was won in it", Kind.ACCURACY, Unit.SHARE, _DUE, "all while the period is not over",
           "without an amount; without a win there is no value", _WHO, False, True),
    Figure("forecast_error", "Weighted forecast error", "Σ |F − A| ÷ Σ A over persons who won something in the period",
           Kind.ABSOLUTE_ERROR, Unit.SHARE, _DUE, "all while the period is not over", "without an amount", _WHO, False,
           True),
    Figure("forecast_bias", "Forecast bias", "(Σ F − Σ A) ÷ Σ A: above zero too much was committed",
           Kind.BIAS, Unit.RATIO, _DUE, "all while the period is not over", "without an amount", _WHO, False, True),
    Figure("brier", "Calibration, Brier", "mean of (stated probability − outcome)², outcome 1 for a win within the"
           " horizon", Kind.QUOTIENT, Unit.RATIO, _ENTERED, _YOUNG, "stages without a stated probability",
           _WHERE | _TIMES, True),
    Figure("reliability", "Calibration, reliability", "won within the horizon ÷ entered, beside the mean of the stated"
           " probabilities", Kind.SHARE, Unit.SHARE, _ENTERED, _YOUNG, "stages without a stated probability",
           _WHERE | _TIMES, True),
    Figure("adherence", "Adherence", "forward moves that lacked nothing the pipeline asks for at that time ÷ forward"
           " moves; by path: rule, person, crm, import", Kind.SHARE, Unit.SHARE, _MOVED, _NONE,
           "moves while the engine could not be believed", _WHERE | _TIMES | {Group.PATH}),
    Figure("optimism_gap", "Optimism gap", "Σ value of open opportunities that claim more than they earned ÷ Σ open"
           " value", Kind.QUOTIENT, Unit.SHARE, _NOW, _NONE, "without an amount", _WHERE, False, True),
    Figure("stages_ahead", "Stages ahead of the evidence", "mean of stages that open opportunities claim beyond what"
           " they earned", Kind.QUOTIENT, Unit.STAGES, _NOW, _NONE, _NONE, _WHERE),
    Figure("override_rate", "Override rate", "overrides ÷ decisions in which the engine said something of the next"
           " step",
           Kind.QUOTIENT, Unit.RATIO, "the move or the decision was made", _NONE, _NONE, _WHO | _TIMES),
    Figure("override_quality", "Override quality", "forward overrides from whose stage the opportunity got on or won"
           " within the horizon ÷ forward overrides that can be judged", Kind.SHARE, Unit.SHARE, _MOVED, _YOUNG,
           "those that went to another pipeline", _WHERE | _TIMES | {Group.PATH}, True),
    Figure("rule_fire_rate", "Rule fire rate", "times that a rule moved or proposed ÷ times that it was asked",
           Kind.SHARE, Unit.SHARE, "the decision was made", _NONE, _NONE, _WHERE | _TIMES | {Group.RULE}),
    Figure("rule_precision", "Kept advances of rules", "forward moves by a rule that were not taken back, lost or"
           " reopened within the horizon ÷ those that can be judged", Kind.SHARE, Unit.SHARE, _MOVED, _YOUNG,
           "those that went to another pipeline", _WHERE | _TIMES | {Group.RULE}, True),
    Figure("process_gap", "Process-reality gap", "the larger of |documented − actual| ÷ actual for the time in stages"
           " and for the share that wins; above 0.30 the process is not what is written", Kind.WIDEST_GAP, Unit.RATIO,
           _ENTERED, _YOUNG, "where nothing is documented", _WHERE | _TIMES, True),
    Figure("activities", "Activities done", "calls, e-mails, meetings and tasks that took place in the period, each"
           " once, by the person whose they are", Kind.SUM, Unit.COUNT, _DONE, _NONE, _NONE,
           _WHO | _TIMES | {Group.CATEGORY}),
    Figure("meetings", "Meetings held", "meetings that took place in the period, each once", Kind.SUM, Unit.COUNT,
           _DONE, _NONE, _NONE, _WHO | _TIMES),
    Figure("touch_compliance", "Touch compliance", "open records with a call within the horizon before now ÷ open"
           " records; of customers, 90 days are asked for", Kind.SHARE, Unit.SHARE, _NOW, _NONE, _NONE, _WHERE, True),
    Figure("obligations_in_time", "Met in time", "obligations met in time ÷ obligations due in the period; by category,"
           " the key of the obligation: a first call, a call every 90 days, an assessment",
           Kind.SHARE, Unit.SHARE, "the obligation was due", "still open", "cancelled", _OWED),
    Figure("time_to_meet", "Speed to lead", "median of days from when an obligation was made to when it was met; what"
           " was never met took longer than anything; by category, the key of the obligation, such as a first call",
           Kind.MEDIAN_DAYS, Unit.DAYS, "the obligation was made", "still open", "cancelled", _OWED),
    Figure("business_time_to_meet", "Speed to lead, business hours", "as speed to lead, within the business hours of"
           " the owner; in days of 24 of these hours", Kind.MEDIAN_DAYS, Unit.DAYS, "the obligation was made",
           "still open", "cancelled", _OWED),
)  # fmt: skip

# What the literature knows and this system cannot say, and why.
LEFT_OUT = {
    "coverage": "No quotas are kept here: open pipeline ÷ (quota − booked) has no divisor.",
    "assessment_completion": "Where an obligation asks for an assessment, obligations_in_time says so by category.",
    "rule_recall": "Which durable advances a rule should have fired for is asked by a backtest.",
    "precision_tolerance": "Targets by third of the funnel belong to the approval of rules.",
    "recommender_quality": "GET /v1/model of the recommender says how good it is.",
}

BY_KEY = {figure.key: figure for figure in FIGURES}
