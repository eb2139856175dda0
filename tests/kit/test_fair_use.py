"""A tenant that takes more than its part of the time waits for itself, and no other waits for it."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.fairness.fair_use import ACTIVE_SECONDS, LEAD, LONGEST_SECONDS, LOOK_SECONDS, MOST_OWED, PART, RESERVE, FairUse
from kit.http.problems import TooManyRequestsProblem
from kit.offload import Offload, Timed


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _spend(use: FairUse, tenant: str, seconds: float) -> float:
    """How long a request of so many seconds waited; the longest wait where it was refused."""
    try:
        wait, taken = use.enter(tenant)
    except TooManyRequestsProblem:
        return LONGEST_SECONDS
    use.leave(tenant, seconds, taken)
    return wait


@given(st.lists(st.floats(0, 2), min_size=1, max_size=50))
def test_a_tenant_that_is_alone_never_waits(costs: list[float]) -> None:
    use = FairUse(Clock())
    assert [_spend(use, "alone", cost) for cost in costs] == [0] * len(costs)


def _share(heavy: float, quiet: float, tenants: int, seconds: int = 120) -> tuple[float, float]:
    """What part of the time a tenant gets that asks without pause, and how long the others wait, of whom each asks ten
    times in a second."""
    clock = Clock()
    use, got, waited = FairUse(clock), 0.0, 0.0
    others, next_one = 0.0, 0.0
    while clock.now < seconds:
        clock.now = min(others, next_one)
        if others <= next_one:
            waited += sum(_spend(use, f"quiet {number}", quiet) for number in range(tenants))
            others += 0.1
            continue
        try:
            wait, taken = use.enter("heavy")
        except TooManyRequestsProblem as refused:
            next_one += int((refused.headers or {})["Retry-After"])
            continue
        use.leave("heavy", heavy, taken)
        got += heavy
        next_one += wait + heavy
    return (got - RESERVE) / seconds, waited


@pytest.mark.parametrize("heavy", [0.005, 0.05, 0.5])
@pytest.mark.parametrize("tenants", [1, 5])
def test_beside_others_a_tenant_gets_its_part_and_no_more(heavy: float, tenants: int) -> None:
    part, waited = _share(heavy, quiet=0.002, tenants=tenants)
    assert part == pytest.approx(PART, abs=0.03)
    assert waited == 0


def test_a_tenant_may_take_somewhat_more_than_the_busiest_of_the_others() -> None:
    part, waited = _share(0.05, quiet=0.03, tenants=1)
    assert part == pytest.approx(0.3 * LEAD, abs=0.06)
    assert waited == 0


def test_tenants_that_are_equally_busy_do_not_slow_each_other() -> None:
    clock = Clock()
    use, waited = FairUse(clock), 0.0
    for second in range(60):
        clock.now = second
        waited += sum(_spend(use, tenant, 0.4) for tenant in ("a", "b"))
    assert waited == 0


def test_a_burst_of_a_tenant_that_was_quiet_does_not_wait() -> None:
    clock = Clock()
    use = FairUse(clock)
    _spend(use, "other", 0.001)
    clock.now += LOOK_SECONDS
    assert [_spend(use, "burst", 0.01) for _ in range(int(RESERVE / 0.01))] == [0] * int(RESERVE / 0.01)


def test_requests_that_wait_together_come_one_after_the_other_and_the_last_ones_are_asked_to_come_back() -> None:
    clock = Clock()
    use = FairUse(clock)
    _spend(use, "other", 0.001)
    clock.now += LOOK_SECONDS
    while _spend(use, "heavy", 0.05) == 0:
        pass
    waits = []
    with pytest.raises(TooManyRequestsProblem) as refused:
        while len(waits) < 1000:
            waits.append(use.enter("heavy")[0])
    assert waits == sorted(waits)
    assert len(set(waits)) == len(waits)
    assert waits[-1] <= LONGEST_SECONDS
    assert int((refused.value.headers or {})["Retry-After"]) >= LONGEST_SECONDS
    assert use.enter("other") == (0, pytest.approx(0.0, abs=0.001))


def test_it_is_slowed_no_longer_once_the_others_are_at_rest() -> None:
    clock = Clock()
    use = FairUse(clock)
    _spend(use, "other", 0.001)
    clock.now += LOOK_SECONDS
    while _spend(use, "heavy", 0.05) == 0:
        pass
    clock.now += ACTIVE_SECONDS
    assert _spend(use, "heavy", 0.05) == 0
    assert set(use._uses) == {"heavy"}


async def test_a_request_that_is_given_up_while_it_waits_gives_back_what_it_reserved() -> None:
    clock = Clock()
    use = FairUse(clock)
    _spend(use, "other", 0.001)
    clock.now += LOOK_SECONDS
    while _spend(use, "heavy", 0.05) == 0:
        pass
    before = use._uses["heavy"].reserve

    async def never() -> None:
        raise AssertionError

    waiting = asyncio.create_task(use.run("heavy", never))
    await asyncio.sleep(0)
    assert use._uses["heavy"].reserve < before
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert use._uses["heavy"].reserve == pytest.approx(before)


def test_events_show_that_a_tenant_is_at_work_and_cost_its_requests_nothing() -> None:
    clock = Clock()
    use = FairUse(clock)
    use.note("importing", 60)
    clock.now += LOOK_SECONDS
    assert use.enter("importing")[0] == 0
    assert _spend(use, "heavy", 0.5) == _spend(use, "heavy", 0.6) == 0
    use.note("importing", 0)
    clock.now += 60
    assert use.enter("importing")[0] == 0


def test_a_tenant_whose_requests_do_not_end_waits_beside_one_that_has_events_only() -> None:
    clock = Clock()
    use = FairUse(clock)
    use.note("events", 0.001)
    clock.now += LOOK_SECONDS
    while _spend(use, "heavy", 0.5) == 0:
        pass
    assert use._uses["heavy"].reserve < 0


def test_what_a_tenant_owes_is_paid_within_half_a_minute() -> None:
    clock = Clock()
    use = FairUse(clock)
    for _ in range(3):
        _spend(use, "other", 0.001)
        clock.now += LOOK_SECONDS
    began = [use.enter("heavy") for _ in range(20)]
    for wait, taken in began:
        use.leave("heavy", 60, taken)
        assert wait == 0
    assert use._uses["heavy"].reserve == -MOST_OWED
    for _ in range(31):
        clock.now += 1
        use.note("other", 0.001)
    assert use.enter("heavy")[0] == 0


async def test_only_the_time_counts_at_which_the_work_has_the_event_loop() -> None:
    async def work() -> str:
        await asyncio.sleep(0.2)
        until = time.perf_counter() + 0.02
        while time.perf_counter() < until:
            pass
        return "done"

    timed = Timed(work())
    began = time.perf_counter()
    assert await timed == "done"
    assert 0.02 <= timed.seconds <= time.perf_counter() - began - 0.19


async def test_work_in_another_process_counts_as_well() -> None:
    use, offload = FairUse(), Offload()
    try:
        await use.run("heavy", lambda: offload.run(time.sleep, 0.3, deadline=20))
    finally:
        await offload.close()
    assert use._uses["heavy"].rate >= 0.3 / ACTIVE_SECONDS


async def test_an_error_and_a_cancellation_pass_through() -> None:
    ended = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    task = asyncio.ensure_future(FairUse().run("a", work))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await FairUse().run("a", fail)
