"""Long work in processes of its own: results, errors, deadlines, and the loop that goes on."""

import asyncio
import os
import time
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from kit.errors import DeadlineExceeded, RetryableError
from kit.http.problems import install_problem_handlers
from kit.offload import WORKERS, Offload

LONG = 60


# However busy the machine is.
PATIENT = 10_000


@pytest.fixture
async def offload() -> AsyncIterator[Offload]:
    offload = Offload(PATIENT)
    yield offload
    await offload.close()


async def test_a_result_comes_from_another_process(offload: Offload) -> None:
    assert await offload.run(os.getpid, deadline=LONG) != os.getpid()


async def test_large_arguments_and_results_pass(offload: Offload) -> None:
    assert await offload.run(bytes.upper, b"a" * 3_000_000, deadline=LONG) == b"A" * 3_000_000


async def test_an_error_is_raised_here_and_the_process_goes_on(offload: Offload) -> None:
    first = await offload.run(os.getpid, deadline=LONG)
    with pytest.raises(ValueError, match="invalid literal"):
        await offload.run(int, "twelve", deadline=LONG)
    assert await offload.run(os.getpid, deadline=LONG) == first


async def test_what_a_function_prints_is_no_outcome(offload: Offload) -> None:
    assert await offload.run(print, "words", deadline=LONG) is None
    assert await offload.run(abs, -1, deadline=LONG) == 1


async def test_work_past_its_deadline_is_killed_and_the_next_gets_a_process(offload: Offload) -> None:
    stuck = await offload.run(os.getpid, deadline=LONG)
    with pytest.raises(DeadlineExceeded):
        await offload.run(sum, range(10**12), deadline=0.05)
    assert not _lives(stuck)
    assert await offload.run(abs, -1, deadline=LONG) == 1


async def test_work_that_gets_no_processor_is_not_too_complex(offload: Offload) -> None:
    """A busy machine says nothing about the work: to try again may help."""
    hasty = Offload(patience=2)
    with pytest.raises(RetryableError, match="too busy"):
        await hasty.run(time.sleep, LONG, deadline=0.05)
    await hasty.close()
    assert await offload.run(time.sleep, 0.1, deadline=0.05) is None


async def test_a_process_that_dies_fails_its_own_call_only(offload: Offload) -> None:
    with pytest.raises(RetryableError):
        await offload.run(os._exit, 3, deadline=LONG)
    assert await offload.run(abs, -1, deadline=LONG) == 1


async def test_work_waits_for_a_free_process_no_longer_than_its_deadline(offload: Offload) -> None:
    busy = [asyncio.create_task(offload.run(time.sleep, LONG, deadline=LONG)) for _ in range(WORKERS)]
    await asyncio.sleep(0)
    with pytest.raises(RetryableError, match="busy"):
        await offload.run(abs, -1, deadline=0.05)
    for task in busy:
        task.cancel()
    await asyncio.gather(*busy, return_exceptions=True)
    assert await offload.run(abs, -1, deadline=LONG) == 1


async def test_close_ends_the_processes(offload: Offload) -> None:
    worker = await offload.run(os.getpid, deadline=LONG)
    await offload.close()
    assert not _lives(worker)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(DeadlineExceeded(5), 422, "too_complex"), (RetryableError("All are busy."), 503, "unavailable")],
)
async def test_its_faults_are_problems_of_a_request(error: Exception, status: int, code: str) -> None:
    app = FastAPI()
    install_problem_handlers(app)

    @app.get("/")
    async def work() -> None:
        raise error

    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        answer = await client.get("/")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
