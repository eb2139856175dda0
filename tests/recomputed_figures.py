"""The cases of each figure, from stays and the log, in plain Python."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from stage_engine.domain.figures.standings import is_in_forecast
from stage_engine.domain.holds import rotten_at, staleness_of
from stage_engine.domain.inputs import FactChange, Submission
from stage_engine.domain.known_facts import date_of
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.rules import RuleMode

from tests.histories import Logged, rulesets
from tests.recomputed import CENSORED, COUNTED, EXCLUDED, Case, Stay, Window, segment_of, stays

Logs = Sequence[Sequence[Logged]]
Cases = Iterator[Case]
# The newest version of each pipeline, whether anything was decided by it or not.
_NEWEST = {key: rules.pipeline for (key, _), rules in sorted(rulesets().items(), key=lambda each: each[0])}
_OUT = ("regress", "close_lost", "walk_away")


def _verdict(excluded: bool, counted: bool) -> str:
    return EXCLUDED if excluded else COUNTED if counted else CENSORED


def _entered(logs: Logs, w: Window) -> Iterator[Stay]:
    """Stays that began in the period."""
    return (stay for stay in stays(logs) if w.has(stay.move.changed_at))


def _getting_on(logs: Logs, w: Window, *, strictly: bool) -> Cases:
    for stay in _entered(logs, w):
        if not stay.is_first or stay.category != "open":
            continue
        end, step = stay.move.changed_at + w.horizon, stay.reached
        if step is None and stay.closed is not None and stay.closed[1] == "won":
            step = stay.closed[0], stay.closed[2]
        hit = step is not None and step[0] <= end
        lost = stay.closed is not None and stay.closed[1] != "won" and stay.closed[0] <= end
        good = hit and (not strictly or (step is not None and step[1]))
        yield stay.case(stay.move.changed_at, _verdict(stay.is_gone, hit or lost or end <= w.now), int(good))


def conversion(logs: Logs, w: Window) -> Cases:
    return _getting_on(logs, w, strictly=False)


def strict_conversion(logs: Logs, w: Window) -> Cases:
    return _getting_on(logs, w, strictly=True)


def cumulative_conversion(logs: Logs, w: Window) -> Cases:
    for stay in _entered(logs, w):
        last = len(stay.log) - 1
        if not stay.is_first or stay.category != "open" or stay.rank_at(last) != 0:
            continue
        end = stay.move.changed_at + w.horizon
        others = [s for s in stays([stay.log]) if s.is_first and s.pipeline.key == stay.pipeline.key]
        live = [s for s in others if s.category == "open" or (s.category == "won" and s.end is None)]
        over = stay.closed is not None and stay.closed[0] <= end
        for stage in _NEWEST[stay.pipeline.key].stages:
            if stage.category not in ("open", "won"):
                continue
            place = _NEWEST[stay.pipeline.key].rank(stage.key)
            hit = any(s.rank_at(last) >= place and s.move.changed_at <= end for s in live)
            yield stay.case(
                stay.move.changed_at, _verdict(stay.is_gone, hit or over or end <= w.now), int(hit), stage=stage.key
            )


def _closings(logs: Logs, w: Window) -> Iterator[tuple[Stay, bool]]:
    """Closings of the period, and whether each was retracted."""
    return ((stay, stay.end is not None) for stay in _entered(logs, w) if stay.category != "open")


def _closing(stay: Stay, state: str, numerator: object, denominator: object = 1, **more: str) -> Case:
    return stay.case(stay.move.changed_at, state, numerator, denominator, path=stay.move.cause, category=stay.category,
                     **more)  # fmt: skip


def win_rate(logs: Logs, w: Window) -> Cases:
    for stay, gone in _closings(logs, w):
        yield _closing(stay, _verdict(gone or stay.category == "abandoned", True), int(stay.category == "won"))


def win_rate_of_all(logs: Logs, w: Window) -> Cases:
    for stay, gone in _closings(logs, w):
        yield _closing(stay, _verdict(gone, True), int(stay.category == "won"))


def win_rate_by_value(logs: Logs, w: Window) -> Cases:
    for stay, gone in _closings(logs, w):
        amount, currency = stay.begun.after.amount, stay.begun.after.currency
        out = gone or amount is None or stay.category == "abandoned"
        amount = amount or Decimal(0)
        yield _closing(stay, _verdict(out, True), amount if stay.category == "won" else 0, amount, currency=currency)


def won(logs: Logs, w: Window) -> Cases:
    return (_closing(s, _verdict(gone, True), 1) for s, gone in _closings(logs, w) if s.category == "won")


def won_value(logs: Logs, w: Window) -> Cases:
    for stay, gone in _closings(logs, w):
        if stay.category == "won":
            amount = stay.begun.after.amount
            state = _verdict(gone or amount is None, True)
            yield _closing(stay, state, amount or 0, currency=stay.begun.after.currency)


def sales_cycle(logs: Logs, w: Window) -> Cases:
    for stay, gone in _closings(logs, w):
        if stay.category == "won":
            unknown = stay.move.cycle_no == 1 and not stay.origin[1]
            took = int((stay.move.changed_at - stay.cycle_began).total_seconds())
            yield _closing(stay, _verdict(gone or unknown, True), took)


def _created(logs: Logs, w: Window) -> Iterator[Stay]:
    """The first stays of opportunities that were created in the period."""
    firsts = (next(iter(stays([log])), None) for log in logs)
    return (stay for stay in firsts if stay is not None and w.has(stay.origin[0]))


def created(logs: Logs, w: Window) -> Cases:
    return (stay.case(stay.origin[0], _verdict(not stay.origin[1], True), 1) for stay in _created(logs, w))


def _cohort(logs: Logs, w: Window) -> Iterator[tuple[Stay, bool, str]]:
    for stay in _created(logs, w):
        end = stay.origin[0] + w.horizon
        over = stay.closed is not None and stay.closed[0] <= end
        hit = over and stay.closed is not None and stay.closed[1] == "won"
        yield stay, hit, _verdict(not stay.origin[1], over or end <= w.now)


def win_rate_of_cohort(logs: Logs, w: Window) -> Cases:
    return (stay.case(stay.origin[0], state, int(hit)) for stay, hit, state in _cohort(logs, w))


def velocity(logs: Logs, w: Window) -> Cases:
    for stay, hit, state in _cohort(logs, w):
        last = [each for each in stays([stay.log]) if each.end is None][-1].begun.after
        took = int((stay.closed[0] - stay.origin[0]).total_seconds()) if hit and stay.closed else 0
        yield stay.case(stay.origin[0], state, (last.amount or 0) if hit else 0, took, extra=int(hit),
                        currency=last.currency)  # fmt: skip


def _times(logs: Logs, w: Window, seconds: Callable[[Stay], int]) -> Cases:
    for log in logs:
        left = [s for s in stays([log]) if s.left_at is not None and w.has(s.left_at) and s.category == "open"]
        for stay in {(s.pipeline.key, s.stage): s for s in left}.values():
            assert stay.left is not None and stay.left_at is not None
            yield stay.case(stay.left_at, _verdict(not stay.is_clocked, True), seconds(stay), path=stay.left.kind)
    for stay in _entered(logs, w):
        if stay.category == "open" and (stay.left_at is None or stay.left_at >= w.until):
            yield stay.case(stay.move.changed_at, CENSORED, 0)


def time_in_stage(logs: Logs, w: Window) -> Cases:
    return _times(logs, w, Stay.seconds)


def business_time_in_stage(logs: Logs, w: Window) -> Cases:
    return _times(logs, w, Stay.business_seconds)


def time_in_stage_in_all(logs: Logs, w: Window) -> Cases:
    def all_of(stay: Stay) -> int:
        same = (s for s in stays([stay.log]) if (s.pipeline.key, s.stage) == (stay.pipeline.key, stay.stage))
        return sum(s.seconds() for s in same if s.left_at is not None and s.left_at < w.until)

    return _times(logs, w, all_of)


def _moves(logs: Logs, w: Window) -> Iterator[Stay]:
    return (stay for stay in _entered(logs, w) if stay.move.kind not in ("adopt", "reassign"))


def _moved(stay: Stay, state: str, numerator: int, denominator: int = 1) -> Case:
    move = stay.move
    return stay.case(move.changed_at, state, numerator, denominator, path=move.cause, rule=move.rule_id,
                     category=move.kind)  # fmt: skip


def skip_rate(logs: Logs, w: Window) -> Cases:
    return (_moved(stay, COUNTED, int(stay.move.kind == "skip")) for stay in _moves(logs, w))


def regress_rate(logs: Logs, w: Window) -> Cases:
    return (_moved(stay, COUNTED, int(stay.move.kind == "regress")) for stay in _moves(logs, w))


def adherence(logs: Logs, w: Window) -> Cases:
    return (_moved(stay, COUNTED, int(not stay.lacked())) for stay in _moves(logs, w) if stay.is_forward)


def rework_rate(logs: Logs, w: Window) -> Cases:
    found: dict[tuple[str, ...], list[Stay]] = {}
    for stay in _entered(logs, w):
        who = stay.begun.after.opportunity_id, stay.begun.after.owner_id, stay.pipeline.key
        found.setdefault((*who, segment_of(stay.begun.after, stay.pipeline)), []).append(stay)
    for own in found.values():
        again = any(not stay.is_first and stay.move.kind != "reassign" for stay in own)
        yield own[-1].case(own[-1].move.changed_at, COUNTED, int(again), stage="")


def rule_precision(logs: Logs, w: Window) -> Cases:
    for stay in _moves(logs, w):
        if stay.is_forward and stay.move.cause == "rule":
            end = stay.move.changed_at + w.horizon
            left = stay.left is not None and stay.left.changed_at <= end
            kind = stay.left.kind if left and stay.left is not None else ""
            undone = left and (kind in _OUT or stay.category == "won")
            yield _moved(stay, _verdict(kind == "reassign", left or end <= w.now), int(not undone))


def override_quality(logs: Logs, w: Window) -> Cases:
    for stay in _moves(logs, w):
        if stay.is_forward and stay.is_override:
            end = stay.move.changed_at + w.horizon
            left = stay.left is not None and stay.left.changed_at <= end
            kind = stay.left.kind if left and stay.left is not None else ""
            good = kind in ("advance", "skip", "close_won")
            yield _moved(stay, _verdict(kind == "reassign", left or end <= w.now), int(good))


def _asked(logs: Logs, w: Window) -> Iterator[tuple[Logged, list[str], str]]:
    """Decisions of the period in which rules were asked, with these and the one that fired."""
    for logged in (each for log in logs if not log[-1].after.deleted for each in log):
        before, given, decision, pipeline = (
            logged.step.before,
            logged.step.given,
            logged.decision,
            logged.rules.pipeline,
        )
        if before is None or not w.has(logged.decided_at) or not isinstance(given, Submission | FactChange):
            continue
        if before.stage_key not in pipeline or not pipeline.is_open(before.stage_key):
            continue
        if not decision.facts and not decision.rule_id:
            continue
        if isinstance(given, Submission):
            changed = {f"{given.assessment_key}.score"}
        else:
            changed = {fact.name for fact in given.facts}
        rules = [
            rule.rule_id
            for rule in pipeline.rules
            if rule.mode in (RuleMode.PROPOSE, RuleMode.AUTO)
            and rule.from_stage in (None, before.stage_key)
            and any(condition.fact in changed for condition in rule.conditions)
        ]
        by_rule = decision.transition is not None and decision.transition.rule_id != ""
        fired = decision.rule_id if by_rule or decision.outcome == "proposed" else ""
        if rules:
            yield logged, rules, fired


def _evaluated(logged: Logged, numerator: int, denominator: int, rule: str = "") -> Case:
    before, pipeline = logged.step.before, logged.rules.pipeline
    assert before is not None
    return Case(before.owner_id, pipeline.key, before.stage_key, segment_of(before, pipeline), logged.decided_at,
                COUNTED, numerator, denominator, rule=rule)  # fmt: skip


def rule_fire_rate(logs: Logs, w: Window) -> Cases:
    for logged, rules, fired in _asked(logs, w):
        yield from (_evaluated(logged, int(rule == fired), 1, rule) for rule in rules)


def override_rate(logs: Logs, w: Window) -> Cases:
    for stay in _moves(logs, w):
        if stay.is_override:
            yield stay.case(stay.move.changed_at, COUNTED, 1, 0)
    for logged, _, _ in _asked(logs, w):
        if logged.decision.outcome != "no_op":
            yield _evaluated(logged, 0, 1)


def _stated(logs: Logs, w: Window) -> Iterator[tuple[Stay, Decimal, bool, str]]:
    for stay in _entered(logs, w):
        if stay.is_first and stay.category == "open":
            stated, end = stay.pipeline.stage(stay.move.to_stage).win_probability, stay.move.changed_at + w.horizon
            over = stay.closed is not None and stay.closed[0] <= end
            hit = over and stay.closed is not None and stay.closed[1] == "won"
            state = _verdict(stated is None or stay.is_gone, over or end <= w.now)
            yield stay, Decimal(stated or 0) / 100, hit, state


def brier(logs: Logs, w: Window) -> Cases:
    return (s.case(s.move.changed_at, state, (p - hit) ** 2) for s, p, hit, state in _stated(logs, w))


def reliability(logs: Logs, w: Window) -> Cases:
    return (s.case(s.move.changed_at, state, int(hit), extra=p) for s, p, hit, state in _stated(logs, w))


def process_gap(logs: Logs, w: Window) -> Cases:
    for stay in _entered(logs, w):
        days = stay.pipeline.stage(stay.move.to_stage).expected_days
        if stay.category == "open":
            excluded = stay.end is None or days is None
            expected = 0 if days is None else int((days * stay.pipeline.calendar.day).total_seconds())
            actual = 0 if stay.end is None else stay.business_seconds()
            yield stay.case(stay.move.changed_at, _verdict(excluded, True), actual, expected, part="time")
    for stay, stated, hit, state in _stated(logs, w):
        yield stay.case(stay.move.changed_at, state, int(hit), stated, part="conversion")


def _open_now(logs: Logs) -> Iterator[tuple[Logged, Opportunity, Pipeline]]:
    for log in logs:
        after, pipeline = log[-1].after, log[-1].rules.pipeline
        if is_in_forecast(after, pipeline):
            yield log[-1], after, pipeline


def _now(after: Opportunity, pipeline: Pipeline, w: Window, state: str, numerator: object, *amounts: object,
         **more: str) -> Case:  # fmt: skip
    own = {"stage": after.stage_key, **more}
    return Case(after.owner_id, pipeline.key, segment=segment_of(after, pipeline), at=w.now, state=state,
                numerator=numerator, denominator=amounts[0] if amounts else 1, **own)  # fmt: skip


def stalled_rate(logs: Logs, w: Window) -> Cases:
    for _, after, pipeline in _open_now(logs):
        first = staleness_of(after, pipeline).first
        yield _now(after, pipeline, w, COUNTED, int(first is not None and first <= w.now))


def rotten_rate(logs: Logs, w: Window) -> Cases:
    for _, after, pipeline in _open_now(logs):
        at = rotten_at(after, pipeline)
        yield _now(after, pipeline, w, _verdict(at is None, True), int(at is not None and at <= w.now))


def aging(logs: Logs, w: Window) -> Cases:
    for _, after, pipeline in _open_now(logs):
        expected, ratio = staleness_of(after, pipeline).rotting_at, Decimal(0)
        if expected is not None:
            whole = max(1, int((expected - after.visit_opened_at).total_seconds()))
            passed = max(0, int((w.now - after.visit_opened_at).total_seconds()))
            ratio = Decimal(passed * 10**6 // whole) / 10**6
        yield _now(after, pipeline, w, _verdict(expected is None, True), ratio)


def optimism_gap(logs: Logs, w: Window) -> Cases:
    for _, after, pipeline in _open_now(logs):
        amount = after.amount or Decimal(0)
        ahead = pipeline.rank(after.stage_key) > pipeline.rank(after.earned_stage)
        state = _verdict(after.amount is None, True)
        yield _now(after, pipeline, w, state, amount if ahead else 0, amount, currency=after.currency)


def stages_ahead(logs: Logs, w: Window) -> Cases:
    for _, after, pipeline in _open_now(logs):
        ahead = pipeline.rank(after.stage_key) - pipeline.rank(after.earned_stage)
        yield _now(after, pipeline, w, COUNTED, max(0, ahead))


def _is_due(after: Opportunity, w: Window) -> bool:
    day = date_of(after.close_date)
    return day is not None and w.since.astimezone(UTC).date() <= day < w.until.astimezone(UTC).date()


def _forecast(logs: Logs, w: Window, stage: Callable[[Opportunity], str]) -> Cases:
    for _, after, pipeline in _open_now(logs):
        if _is_due(after, w):
            key = stage(after)
            yield _now(after, pipeline, w, _verdict(after.amount is None, True), after.amount or 0,
                       category=pipeline.forecast_of(key), stage=key, currency=after.currency)  # fmt: skip
    for each in won_value(logs, w):
        yield replace(each, category="closed", path="")


def forecast(logs: Logs, w: Window) -> Cases:
    return _forecast(logs, w, lambda after: after.stage_key)


def forecast_earned(logs: Logs, w: Window) -> Cases:
    return _forecast(logs, w, lambda after: after.earned_stage)


def _at(log: Sequence[Logged], moment: datetime) -> Logged | None:
    """The last decision up to a moment."""
    return next((each for each in reversed(log) if each.decided_at <= moment), None)


def _due_at_first(logs: Logs, w: Window) -> Iterator[tuple[Sequence[Logged], Logged]]:
    for log in logs:
        first = None if log[-1].after.deleted else _at(log, w.since)
        if first is not None and is_in_forecast(first.after, first.rules.pipeline) and _is_due(first.after, w):
            yield log, first


def slip_rate(logs: Logs, w: Window) -> Cases:
    end = min(w.until, w.now)
    for log, first in _due_at_first(logs, w):
        before = [each for each in log if each.decided_at < end]
        open_ = [each for each in before if is_in_forecast(each.after, each.rules.pipeline)]
        slipped = not _is_due(open_[-1].after, w)
        lasts = is_in_forecast(before[-1].after, before[-1].rules.pipeline)
        state = _verdict(False, slipped or not (w.until > w.now and lasts))
        pipeline = first.rules.pipeline
        yield replace(_now(first.after, pipeline, w, state, int(slipped),
                           category=pipeline.forecast_of(first.after.stage_key)), at=w.since)  # fmt: skip


def _accuracy(logs: Logs, w: Window, *, by_person: bool) -> Cases:
    over = w.until <= w.now
    for _, first in _due_at_first(logs, w):
        after, pipeline = first.after, first.rules.pipeline
        if pipeline.forecast_of(after.stage_key) == "commit":
            state = _verdict(after.amount is None, over)
            yield _now(after, pipeline, w, state, after.amount or 0, 0, currency=after.currency,
                       part=after.owner_id if by_person else "")  # fmt: skip
    for each in won_value(logs, w):
        state = EXCLUDED if each.state == EXCLUDED else _verdict(False, over)
        yield replace(each, state=state, numerator=0, denominator=each.numerator,
                      part=each.person if by_person else "")  # fmt: skip


def forecast_accuracy(logs: Logs, w: Window) -> Cases:
    return _accuracy(logs, w, by_person=False)


def forecast_error(logs: Logs, w: Window) -> Cases:
    return _accuracy(logs, w, by_person=True)


forecast_bias = forecast_accuracy
