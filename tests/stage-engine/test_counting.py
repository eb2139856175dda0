"""Every figure, cut every way, agrees exactly with a plain recomputation from the log of decisions."""

from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from kit.http.ownership import Owners
from sqlalchemy import text
from stage_engine.domain.figures.catalogue import BY_KEY, FIGURES
from stage_engine.domain.figures.kinds import Group, rows_of
from stage_engine.domain.inputs import Migration, Reassignment
from stage_engine.repository.figures.counting import CountingRepository
from stage_engine.repository.figures.sampling import Ask
from stage_engine.repository.figures.sources import SOURCES
from stage_engine.repository.pipelines import PipelineRepository
from stage_engine.service.deciding import Arrival, Deciding
from stage_engine.service.rulesets import Rulesets

from tests import recomputed_figures
from tests.histories import BEGIN, DOCUMENTS, TEAMS, Logged, at_random, play, rulesets
from tests.recomputed import Window, tallies
from tests.stage_engine import Client

# Those that are counted from what is owed have a log of their own.
OF_DECISIONS = sorted(key for key in BY_KEY if hasattr(recomputed_figures, key))
RULES = rulesets()


def test_every_figure_has_a_source_and_a_recomputation() -> None:
    assert SOURCES.keys() == BY_KEY.keys() == {figure.key for figure in FIGURES}
    assert len(BY_KEY) == len(FIGURES)
    assert set(OF_DECISIONS) == BY_KEY.keys()


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
    for _ in range(3):
        one, other = sorted(BEGIN + timedelta(seconds=random.randrange(-86400, span)) for _ in range(2))
        found.append(Window(one, other, last, timedelta(days=random.choice((2, 10, 40)))))
    whole = Window(BEGIN - timedelta(days=30), last + timedelta(days=60), last, timedelta(days=20))
    return [whole, *found]


@pytest.mark.stack
async def test_all_figures_agree_with_the_log(
    engine: Any, tenant: str, admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(20)
    await published(admin)
    log = list(play(at_random(random, 700, 30), RULES))
    async with engine.database.unit_of_work(tenant) as uow:
        for person_id, manager_id in TEAMS.items():
            row = {"tenant": tenant, "person": person_id, "manager": manager_id}
            await uow.session.execute(text(_PERSON), row)
    await decided(engine, tenant, log, monkeypatch)
    logs: dict[str, list[Logged]] = {}
    for logged in log:
        logs.setdefault(logged.after.opportunity_id, []).append(logged)
    counted: set[str] = set()
    async with engine.database.unit_of_work(tenant) as uow:
        repository, stages = CountingRepository(uow.session), await newest_stages(uow)
        for window in windows(random, log[-1].decided_at + timedelta(hours=1)):
            ask = Ask(
                Owners(None), "opportunity", window.since, window.until, window.now, window.horizon, stages=stages
            )
            for key in OF_DECISIONS:
                figure, cases = BY_KEY[key], list(getattr(recomputed_figures, key)([*logs.values()], window))
                for group in (None, *sorted(figure.groups)):
                    found = await repository.tallies(figure, ask, group)
                    wanted = tallies(cases, group, percentiles=figure.kind.has_percentiles)
                    assert found == wanted, (key, group)
                if any(row.value for row in rows_of(figure.kind, tallies(cases, None, percentiles=True))):
                    counted.add(key)
    # The history is rich enough for all of them.
    assert counted == set(OF_DECISIONS)


_PERSON = """
    INSERT INTO person (
        tenant_id, person_id, active, manager_id, federation_id, username, email, committed_at, observed_no
    ) VALUES (:tenant, :person, true, :manager, '', '', '', now(), 1)
"""


async def newest_stages(uow: Any) -> list[tuple[str, str, int]]:
    found = await PipelineRepository(uow.session, uow.tenant_id).newest()
    pipelines = [RULES[each.pipeline_key, each.version].pipeline for each in found]
    return [(p.key, s.key, p.rank(s.key)) for p in pipelines for s in p.stages if s.category.value in ("open", "won")]


def test_groups_are_columns_or_periods() -> None:
    assert {group for figure in FIGURES for group in figure.groups} <= set(Group)
