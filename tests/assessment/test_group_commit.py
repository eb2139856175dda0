"""Group commit on a real database: which captures share a transaction, and what one bad capture does to the others."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from assessment.domain.capture import Capture, Channel
from assessment.service.capture import Taken, take_captures
from assessment.service.group_commit import GROUP, GroupCommit, Outcome
from assessment.service.judging import HandedIn
from kit.database.unit_of_work import UnitOfWork
from kit.delivery.pace import Pace
from kit.http.ownership import Owners
from kit.ids import utc_now, uuid7
from sqlalchemy import text

pytestmark = pytest.mark.stack


class Taking:
    """Takes captures, but fails where the poison is among them; `groups` are the sizes of what came together."""

    def __init__(self, poison: UUID | None = None, fault: Exception | None = None) -> None:
        self.groups: list[int] = []
        self.poison, self.fault = poison, fault

    async def __call__(self, uow: UnitOfWork, handed_in: Sequence[HandedIn]) -> list[Outcome]:
        self.groups.append(len(handed_in))
        outcomes = await take_captures(uow, handed_in)
        if self.poison in {each.capture.submission_id for each in handed_in}:
            assert self.fault is not None
            raise self.fault
        return outcomes


def captured() -> HandedIn:
    answers = {"hours": "few", "compliance": True}
    return HandedIn(Capture(uuid7(), "006A", "prospecting", 1, answers, utc_now(), Channel.ONLINE), "rep", Owners(None))


def ids(items: Sequence[HandedIn]) -> list[UUID]:
    return [item.capture.submission_id for item in items]


async def kept(world: Any) -> list[UUID]:
    async with world.service.database.unit_of_work(world.tenant) as uow:
        return sorted((await uow.session.execute(text("SELECT submission_id FROM submission"))).scalars())


async def test_a_lone_capture_has_a_transaction_of_its_own(world: Any) -> None:
    await world.publish_form()
    taking, item = Taking(), captured()
    outcome = await GroupCommit(taking).take(world.service.database, world.tenant, item)
    assert isinstance(outcome, Taken)
    assert taking.groups == [1]
    assert await kept(world) == ids([item])


async def test_what_comes_meanwhile_shares_the_next_ones(world: Any) -> None:
    await world.publish_form()
    taking = Taking()
    commit = GroupCommit(taking)
    items = [captured() for _ in range(2 * GROUP + 10)]
    outcomes = await asyncio.gather(*(commit.take(world.service.database, world.tenant, item) for item in items))
    assert [outcome.receipt.submission_id for outcome in outcomes if isinstance(outcome, Taken)] == ids(items)
    assert max(taking.groups) == GROUP
    assert len(taking.groups) < 10
    assert await kept(world) == sorted(ids(items))


async def test_a_group_is_followed_by_a_rest_in_which_the_next_one_gathers(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assessment.service.group_commit.REQUESTS", Pace(0, 5, 5))
    taking = Taking()
    commit = GroupCommit(taking)
    await asyncio.gather(*(commit.take(world.service.database, world.tenant, captured()) for _ in range(3)))
    pair = [asyncio.create_task(commit.take(world.service.database, world.tenant, captured()))]
    for _ in range(20):
        await asyncio.sleep(0)
    pair.append(asyncio.create_task(commit.take(world.service.database, world.tenant, captured())))
    await asyncio.gather(*pair)
    assert taking.groups == [3, 2]


async def test_one_after_the_other_never_meets_a_rest(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assessment.service.group_commit.REQUESTS", Pace(0, 3600, 3600))
    taking = Taking()
    commit = GroupCommit(taking)
    async with asyncio.timeout(60):
        for _ in range(3):
            await commit.take(world.service.database, world.tenant, captured())
    assert taking.groups == [1, 1, 1]


async def test_tenants_do_not_share(world: Any) -> None:
    stranger = type(world)(world.service, f"{world.tenant}-b", world.eventually)
    for each in (world, stranger):
        await each.publish_form()
    commit = GroupCommit()
    mine, theirs = captured(), captured()
    await asyncio.gather(
        commit.take(world.service.database, world.tenant, mine),
        commit.take(world.service.database, stranger.tenant, theirs),
    )
    assert (await kept(world), await kept(stranger)) == (ids([mine]), ids([theirs]))


async def test_only_the_one_at_fault_gets_the_error(world: Any) -> None:
    await world.publish_form()
    items = [captured() for _ in range(3)]
    commit = GroupCommit(Taking(ids(items)[1], ValueError("at fault")))
    outcomes = await asyncio.gather(
        *(commit.take(world.service.database, world.tenant, item) for item in items), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [Taken, ValueError, Taken]
    assert await kept(world) == [ids(items)[0], ids(items)[2]]


async def test_a_passing_fault_fails_the_whole_group_and_leaves_nothing(world: Any) -> None:
    await world.publish_form()
    first, *others = [captured() for _ in range(3)]
    commit = GroupCommit(Taking(ids(others)[1], ConnectionError("the database is away")))
    begun = asyncio.create_task(commit.take(world.service.database, world.tenant, first))
    await asyncio.sleep(0)
    outcomes = await asyncio.gather(
        *(commit.take(world.service.database, world.tenant, item) for item in others), return_exceptions=True
    )
    assert isinstance(await begun, Taken)
    assert {type(outcome) for outcome in outcomes} == {ConnectionError}
    assert await kept(world) == ids([first])


async def test_a_cancelled_request_does_not_hold_up_the_others(world: Any) -> None:
    await world.publish_form()
    commit = GroupCommit()
    gone, stays = captured(), captured()
    cancelled = asyncio.create_task(commit.take(world.service.database, world.tenant, gone))
    waiting = asyncio.create_task(commit.take(world.service.database, world.tenant, stays))
    await asyncio.sleep(0)
    cancelled.cancel()
    assert isinstance(await waiting, Taken)
    assert stays.capture.submission_id in await kept(world)
