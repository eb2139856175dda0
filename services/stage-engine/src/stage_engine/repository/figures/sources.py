"""Where each figure is counted from."""

from collections.abc import Callable, Mapping

from sqlalchemy import SelectBase

from stage_engine.repository.figures import closing, forecasting, getting_on, timing, working
from stage_engine.repository.figures.sampling import Ask

SOURCES: Mapping[str, Callable[[Ask], SelectBase]] = {
    "conversion": getting_on.conversion,
    "strict_conversion": getting_on.strict_conversion,
    "cumulative_conversion": getting_on.cumulative_conversion,
    "win_rate": closing.win_rate,
    "win_rate_of_all": closing.win_rate_of_all,
    "win_rate_by_value": closing.win_rate_by_value,
    "win_rate_of_cohort": closing.win_rate_of_cohort,
    "created": closing.created,
    "won": closing.won,
    "won_value": closing.won_value,
    "sales_cycle": closing.sales_cycle,
    "velocity": closing.velocity,
    "time_in_stage": timing.time_in_stage,
    "time_in_stage_in_all": timing.time_in_stage_in_all,
    "business_time_in_stage": timing.business_time_in_stage,
    "aging": timing.aging,
    "rotten_rate": timing.rotten,
    "stalled_rate": timing.stalled,
    "skip_rate": getting_on.skips,
    "regress_rate": getting_on.regresses,
    "rework_rate": getting_on.rework,
    "slip_rate": forecasting.slips,
    "forecast": forecasting.forecast,
    "forecast_earned": forecasting.forecast_earned,
    "forecast_accuracy": forecasting.accuracy,
    "forecast_error": forecasting.accuracy_by_person,
    "forecast_bias": forecasting.accuracy,
    "brier": closing.brier,
    "reliability": closing.reliability,
    "adherence": getting_on.adherence,
    "optimism_gap": forecasting.optimism,
    "stages_ahead": forecasting.stages_ahead,
    "override_rate": getting_on.overrides,
    "override_quality": getting_on.override_quality,
    "rule_fire_rate": getting_on.rule_fires,
    "rule_precision": getting_on.rule_precision,
    "process_gap": getting_on.process_gap,
    "activities": working.activities,
    "meetings": working.meetings,
    "touch_compliance": working.touched,
    "obligations_in_time": working.obligations_in_time,
    "time_to_meet": working.time_to_meet,
    "business_time_to_meet": working.business_time_to_meet,
}
