"""Group commit on a real database: who shares a transaction, and what one bad item does to the others."""

import asyncio

import pytest
from assessment.service.group_commit import GROUP, GroupCommit
from kit.delivery.pace import Pace
from sqlalchemy import text

pytestmark = pytest.mark.stack

INSERT = text("INSERT INTO note (tenant_id, note_id, text, seen) VALUES (:tenant_id, gen_random_uuid(), :text, 1)")


@pytest.fixture(scope="module")
async def service(start_service):
    return await start_service("sample")


class Notes:
    """Keeps each item as a row; `groups` are the sizes of those that were asked for together."""

    def __init__(self, poison: str = "", fault: Exception | None = None) -> None:
        self.groups: list[int] = []
        self.poison, self.fault = poison, fault

    async def __call__(self, uow, items):
        self.groups.append(len(items))
        for item in items:
            await uow.session.execute(INSERT, {"tenant_id": uow.tenant_id, "text": item})
        if self.poison in items:
            assert self.fault is not None
            raise self.fault
        return [item.upper() for item in items]


async def kept(service, tenant):
    async with service.database.unit_of_work(tenant) as uow:
        return sorted((await uow.session.execute(text("SELECT text FROM note"))).scalars())


async def test_a_lone_item_has_a_transaction_of_its_own(service, tenant):
    act = Notes()
    assert await GroupCommit(service.database, act)(tenant, "a") == "A"
    assert act.groups == [1]
    assert await kept(service, tenant) == ["a"]


async def test_what_comes_meanwhile_shares_the_next_ones(service, tenant):
    act = Notes()
    commit = GroupCommit(service.database, act)
    items = [f"item {number}" for number in range(2 * GROUP + 10)]
    outcomes = await asyncio.gather(*(commit(tenant, item) for item in items))
    assert outcomes == [item.upper() for item in items]
    assert max(act.groups) == GROUP
    assert len(act.groups) < 10
    assert await kept(service, tenant) == sorted(items)


async def test_a_group_is_followed_by_a_rest_in_which_the_next_one_gathers(service, tenant, monkeypatch):
    monkeypatch.setattr("assessment.service.group_commit.REQUESTS", Pace(0, 1, 1))
    act = Notes()
    commit = GroupCommit(service.database, act)
    await asyncio.gather(*(commit(tenant, item) for item in "abc"))
    pair = [asyncio.create_task(commit(tenant, "d"))]
    for _ in range(20):
        await asyncio.sleep(0)
    pair.append(asyncio.create_task(commit(tenant, "e")))
    assert await asyncio.gather(*pair) == ["D", "E"]
    assert act.groups == [3, 2]


async def test_who_sends_one_after_the_other_never_meets_a_rest(service, tenant, monkeypatch):
    monkeypatch.setattr("assessment.service.group_commit.REQUESTS", Pace(0, 3600, 3600))
    act = Notes()
    commit = GroupCommit(service.database, act)
    async with asyncio.timeout(60):
        assert [await commit(tenant, item) for item in "abc"] == ["A", "B", "C"]
    assert act.groups == [1, 1, 1]


async def test_tenants_do_not_share(service, tenant):
    act = Notes()
    commit = GroupCommit(service.database, act)
    await asyncio.gather(commit(tenant, "mine"), commit(f"{tenant}-b", "yours"))
    assert await kept(service, tenant) == ["mine"]
    assert await kept(service, f"{tenant}-b") == ["yours"]


async def test_only_the_guilty_one_gets_the_error(service, tenant):
    act = Notes("bad", ValueError("guilty"))
    commit = GroupCommit(service.database, act)
    outcomes = await asyncio.gather(*(commit(tenant, item) for item in ("a", "bad", "b")), return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["A", "guilty", "B"]
    assert await kept(service, tenant) == ["a", "b"]


async def test_a_passing_fault_is_everybodys_and_leaves_nothing(service, tenant):
    act = Notes("b", ConnectionError("the database is away"))
    commit = GroupCommit(service.database, act)
    first = asyncio.create_task(commit(tenant, "first"))
    await asyncio.sleep(0)
    outcomes = await asyncio.gather(*(commit(tenant, item) for item in ("a", "b")), return_exceptions=True)
    assert await first == "FIRST"
    assert {type(outcome) for outcome in outcomes} == {ConnectionError}
    assert await kept(service, tenant) == ["first"]


async def test_who_went_away_does_not_hold_up_the_others(service, tenant):
    act = Notes()
    commit = GroupCommit(service.database, act)
    gone, stays = asyncio.create_task(commit(tenant, "gone")), asyncio.create_task(commit(tenant, "stays"))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == "STAYS"
    assert "stays" in await kept(service, tenant)
