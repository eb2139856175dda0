"""What figures are counted from, carried on decision by decision, agrees with the log of decisions looked at anew."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from stage_engine.service.figures_kept import Ledger

from tests.histories import KINDS, TEAMS, Happening, Logged, play, rulesets
from tests.recomputed import Stay, is_move, segment_of

RULES = rulesets()
HAPPENING = st.builds(
    Happening, st.sampled_from(KINDS), st.integers(0, 1), st.integers(0, 9), st.integers(0, 9), st.integers(0, 60)
)


def followed(log: list[Logged], parts: int) -> Ledger:
    """The log followed in parts: between them only that is known which is read back from the tables."""
    visits, standings, evaluations = {}, {}, []
    for start in range(0, len(log), parts):
        ledger = Ledger(teams=TEAMS)
        for (id_, number), visit in visits.items():
            if visit.is_first or visit.left_at is None:
                ledger.visits[id_] = {**ledger.visits.get(id_, {}), number: visit}
        ledger.standings = {id_: each for (id_, _), each in standings.items() if each.until is None}
        for logged in log[start : start + parts]:
            ledger.follow(logged.step, logged.rules)
        visits |= ledger.changed_visits
        standings |= ledger.changed_standings
        evaluations += ledger.evaluations
    return Ledger(changed_visits=visits, changed_standings=standings, evaluations=evaluations)


@settings(max_examples=150, deadline=None)
@given(st.lists(HAPPENING, min_size=15, max_size=60), st.integers(1, 8))
def test_visits_and_standings_agree_with_the_log(happenings: list[Happening], parts: int) -> None:
    log = list(play(happenings, RULES))
    kept = followed(log, parts)
    assert len({each.opportunity_id for each in kept.changed_visits.values()}) <= 2
    for id_ in {logged.after.opportunity_id for logged in log}:
        own = [logged for logged in log if logged.after.opportunity_id == id_]
        stays = {s.move.revision: s for i in range(len(own)) if is_move(own[i]) for s in (Stay(own, i),)}
        visits = {number: each for (other, number), each in kept.changed_visits.items() if other == id_}
        assert visits.keys() == stays.keys()
        for number, stay in stays.items():
            agree(visits[number], stay)
        standings = [each for (other, _), each in kept.changed_standings.items() if other == id_]
        for logged, following in zip(own, [*own[1:], None], strict=True):
            at = logged.decided_at
            now = [each for each in standings if each.since <= at and (each.until is None or each.until > at)]
            agree_on_standing(logged, now, following)


def agree(visit, stay: Stay) -> None:
    after, (created, known) = stay.begun.after, stay.origin
    assert (visit.stage_key, visit.category, visit.pipeline_key) == (stay.stage, stay.category, stay.pipeline.key)
    assert (visit.owner_id, visit.team_id) == (after.owner_id, TEAMS[after.owner_id])
    assert (visit.amount, visit.currency) == (after.amount, after.currency)
    assert visit.segment == segment_of(after, stay.pipeline)
    assert (visit.created_at, visit.is_created_known, visit.cycle_started_at) == (created, known, stay.cycle_began)
    assert (visit.is_first, visit.is_clocked) == (stay.is_first, stay.is_clocked)
    assert (visit.entered_at, visit.left_at) == (stay.move.changed_at, stay.left_at)
    assert visit.left_kind == ("" if stay.left is None else stay.left.kind)
    if stay.left is not None:
        assert (visit.wall_seconds, visit.business_seconds) == (stay.seconds(), stay.business_seconds())
    if stay.is_first:
        assert (visit.reached_at, visit.reached_next) == (stay.reached or (None, False))
        assert (visit.closed_at, visit.outcome, visit.closed_next) == (stay.closed or (None, "", False))
        assert visit.is_gone is stay.is_gone
    assert (visit.is_forward, visit.is_override) == (stay.is_forward, stay.is_override)
    assert visit.lacking == (stay.lacked() if stay.is_forward else None)


def agree_on_standing(logged: Logged, now: list, following: Logged | None) -> None:
    after, pipeline = logged.after, logged.rules.pipeline
    if following is not None and following.decided_at - logged.decided_at <= timedelta(0):
        return
    if not after.stage_key or after.deleted or not pipeline.is_open(after.stage_key):
        assert now == []
        return
    [found] = now
    assert (found.stage_key, found.amount, str(found.due or "")) == (after.stage_key, after.amount, after.close_date)
    assert (found.owner_id, found.team_id) == (after.owner_id, TEAMS[after.owner_id])
    assert (found.rank, found.earned_rank) == (pipeline.rank(after.stage_key), pipeline.rank(after.earned_stage))
    assert found.forecast == pipeline.forecast_of(after.stage_key)
    assert found.earned_forecast == pipeline.forecast_of(after.earned_stage)
