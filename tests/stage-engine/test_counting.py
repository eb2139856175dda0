"""Every figure, cut every way, agrees exactly with a plain recomputation from the log of decisions."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from kit.http.ownership import Owners
from sqlalchemy import select, text
from stage_engine.domain.figures.catalogue import BY_KEY, FIGURES, Figure
from stage_engine.domain.figures.kinds import Group, rows_of
from stage_engine.domain.fold import Step
from stage_engine.domain.inputs import Migration, Reassignment
from stage_engine.domain.replay import decode_decision, decode_input, decode_opportunity
from stage_engine.models.opportunities import decision
from stage_engine.repository.figures.counting import CountingRepository
from stage_engine.repository.figures.sampling import Ask
from stage_engine.repository.figures.sources import SOURCES
from stage_engine.repository.pipelines import PipelineRepository
from stage_engine.service.deciding import Arrival, Deciding
from stage_engine.service.rulesets import Rulesets

from tests import recomputed_figures
from tests.histories import BEGIN, DOCUMENTS, KINDS, TEAMS, Happening, Logged, at_random, play, rulesets
from tests.recomputed import Window, tallies
from tests.stage_engine import Client

# Counted from activities and from the ledger of what is owed: see test_working.py.
OF_WORK = {"activities", "meetings", "touch_compliance", "obligations_in_time", "time_to_meet", "business_time_to_meet"}
OF_DECISIONS = sorted(BY_KEY.keys() - OF_WORK)
RULES = rulesets()
HAPPENING = st.builds(
    Happening, st.sampled_from(KINDS), st.integers(0, 4), st.integers(0, 9), st.integers(0, 9), st.integers(0, 60)
)
# Bounds of the period in hours after the begin, in any order, and the horizon in hours.
WINDOW = st.tuples(st.integers(-48, 2500), st.integers(-48, 2500), st.sampled_from((1, 48, 240, 720)))


def test_every_figure_has_a_source_and_a_recomputation() -> None:
    assert SOURCES.keys() == BY_KEY.keys() == {figure.key for figure in FIGURES}
    assert len(BY_KEY) == len(FIGURES)
    assert all(hasattr(recomputed_figures, key) for key in OF_DECISIONS)


async def decided(engine: Any, tenant: str, log: list[Logged], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the engine decide on the same inputs at the same times, some in one transaction."""
    now = BEGIN
    monkeypatch.setattr("stage_engine.service.deciding.utc_now", lambda: now)
    for logged in log:
        now = logged.decided_at
        async with engine.database.unit_of_work(tenant) as uow:
            deciding = Deciding(uow, Rulesets(uow))
            given, id_ = logged.step.given, logged.after.opportunity_id
            known = await deciding.load([id_])
            goes = isinstance(given, Migration | Reassignment) or id_ not in known
            await deciding.decide([Arrival(given)], {id_: logged.rules} if goes else None)


async def published(admin: Client) -> None:
    for (key, version), document in DOCUMENTS.items():
        if version == 1:
            await admin.post("/v1/pipelines", document)
        else:
            current = await admin.get(f"/v1/pipelines/{key}")
            body = {name: value for name, value in document.items() if name != "key"}
            await admin.call("PUT", f"/v1/pipelines/{key}/draft", 200, body, match=current["revision"])
        await admin.post(f"/v1/pipelines/{key}/publish")


def windows(random: Random, last: datetime) -> list[Window]:
    span = int((last - BEGIN).total_seconds())
    found: list[Window] = []
    for _ in range(2):
        one, other = sorted(BEGIN + timedelta(seconds=random.randrange(-86400, span)) for _ in range(2))
        found.append(Window(one, other, last, timedelta(days=random.choice((2, 10, 30)))))
    whole = Window(BEGIN - timedelta(days=30), last + timedelta(days=60), last, timedelta(days=30))
    return [whole, *found]


def window_of(hours: tuple[int, int, int], log: list[Logged]) -> Window:
    """From so many hours after the first day to so many, and for how long a case is judged."""
    since, until, horizon = hours
    last = log[-1].decided_at if log else BEGIN
    first, other = sorted((BEGIN + timedelta(hours=since), BEGIN + timedelta(hours=until)))
    return Window(first, other, last + timedelta(hours=1), timedelta(hours=horizon))


def all_of(log: list[Logged]) -> Window:
    """From before the first decision to after the last."""
    last = log[-1].decided_at if log else BEGIN
    until = last + timedelta(days=60)
    return Window(BEGIN - timedelta(days=30), until, last + timedelta(hours=1), timedelta(days=30))


@pytest.mark.stack
async def test_all_figures_agree_with_the_log(
    engine: Any, tenant: str, admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(30)
    log = list(play(at_random(random, 500, 40, hours=8), RULES))
    await lived(engine, admin, log, monkeypatch)
    asked = windows(random, log[-1].decided_at + timedelta(hours=1))
    counted = await agreed(engine, tenant, asked, lambda figure: (None, *sorted(figure.groups)))
    # The history is rich enough for all of them.
    assert counted == set(OF_DECISIONS)


async def lived(engine: Any, admin: Client, log: list[Logged], monkeypatch: pytest.MonkeyPatch) -> None:
    """The administrator's tenant has this log, and the teams in it."""
    await published(admin)
    async with engine.database.unit_of_work(admin.tenant) as uow:
        for person_id, manager_id in TEAMS.items():
            row = {"tenant": admin.tenant, "person": person_id, "manager": manager_id}
            await uow.session.execute(text(_PERSON), row)
    await decided(engine, admin.tenant, log, monkeypatch)


async def agreed(
    engine: Any, tenant: str, asked: list[Window], groups: Callable[[Figure], Iterable[Group | None]]
) -> set[str]:
    """Each figure in each window, cut by each of these groups, agrees with the log; those that have a value."""
    counted: set[str] = set()
    async with engine.database.unit_of_work(tenant) as uow:
        logs = await logged_decisions(uow)
        repository, stages = CountingRepository(uow.session), await newest_stages(uow)
        for window in asked:
            ask = Ask(
                Owners(None), "opportunity", window.since, window.until, window.now, window.horizon, stages=stages
            )
            for key in OF_DECISIONS:
                figure, cases = BY_KEY[key], list(getattr(recomputed_figures, key)(logs, window))
                for group in groups(figure):
                    found = await repository.tallies(figure, ask, group)
                    wanted = tallies(cases, group, percentiles=figure.kind.has_percentiles)
                    assert found == wanted, (key, group, window)
                if any(row.value for row in rows_of(figure.kind, tallies(cases, None, percentiles=True))):
                    counted.add(key)
    return counted


@pytest.mark.stack
@settings(
    max_examples=4, phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(st.lists(HAPPENING, min_size=25, max_size=50), WINDOW, st.integers(0, 10))
async def test_all_figures_agree_with_any_log(
    engine: Any,
    monkeypatch: pytest.MonkeyPatch,
    happenings: list[Happening],
    hours: tuple[int, int, int],
    cut: int,
) -> None:
    # A tenant for each example, so that nothing of another is counted. It shrinks nothing: an example takes seconds.
    admin, log = Client(engine, f"tenant-{uuid4().hex[:8]}"), list(play(happenings, RULES))
    await lived(engine, admin, log, monkeypatch)

    def groups(figure: Figure) -> tuple[Group | None, Group]:
        return None, sorted(figure.groups)[cut % len(figure.groups)]

    await agreed(engine, admin.tenant, [window_of(hours, log), all_of(log)], groups)


@settings(max_examples=25)
@given(st.lists(HAPPENING, min_size=5, max_size=25), WINDOW)
def test_a_figure_of_any_log_is_within_its_band_and_judges_each_case_once(
    happenings: list[Happening], hours: tuple[int, int, int]
) -> None:
    log = list(play(happenings, RULES))
    by_id: dict[str, list[Logged]] = {}
    for each in log:
        by_id.setdefault(each.after.opportunity_id, []).append(each)
    for key in OF_DECISIONS:
        figure, cases = BY_KEY[key], list(getattr(recomputed_figures, key)(list(by_id.values()), window_of(hours, log)))
        for group in (None, *sorted(figure.groups)):
            rows = rows_of(figure.kind, tallies(cases, group, percentiles=figure.kind.has_percentiles))
            assert sum(row.n + row.censored + row.excluded for row in rows) == len(cases), (key, group)
            assert len({(row.group, row.currency) for row in rows}) == len(rows)
            for row in rows:
                assert row.n or row.value is None, (key, row)
                assert row.low is None or row.value is None or row.high is None or row.low <= row.value <= row.high
                places = [each for each in (row.value, row.p75, row.p90) if figure.kind.has_percentiles and row.n]
                assert places == sorted(each for each in places if each is not None), (key, row)


_PERSON = """
    INSERT INTO person (
        tenant_id, person_id, active, manager_id, federation_id, username, email, committed_at, observed_no
    ) VALUES (:tenant, :person, true, :manager, '', '', '', now(), 1)
"""


async def logged_decisions(uow: Any) -> list[list[Logged]]:
    """The decision log as it is stored, by opportunity."""
    of = decision.c
    statement = select(of.before, of.given, of.decision, of.after).order_by(of.opportunity_id, of.decision_no)
    logs: dict[str, list[Logged]] = {}
    for before, put, made, after in await uow.session.execute(statement):
        known = None if before is None else decode_opportunity(before)
        read = decode_decision(made)
        opportunity = decode_opportunity(after)
        step = Step(known, decode_input(put), replace(read, opportunity=opportunity))
        rules = RULES[read.pipeline_key, read.pipeline_version]
        logs.setdefault(opportunity.opportunity_id, []).append(Logged(read.decided_at, step, rules))
    return list(logs.values())


async def newest_stages(uow: Any) -> list[tuple[str, str, int]]:
    found = await PipelineRepository(uow.session, uow.tenant_id).newest()
    pipelines = [RULES[each.pipeline_key, each.version].pipeline for each in found]
    return [(p.key, s.key, p.rank(s.key)) for p in pipelines for s in p.stages if s.category.value in ("open", "won")]


def test_groups_are_columns_or_periods() -> None:
    assert {group for figure in FIGURES for group in figure.groups} <= set(Group)
