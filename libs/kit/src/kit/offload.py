"""Work that may take longer than 50 ms goes to a process of its own: the event loop goes on, and a deadline holds.

The deadline is of processor time, so that the same work is refused or done whatever else the machine has to do.

A worker is this module, run as a program. It reads a call from its input and writes the outcome to its output, each
as a length and a pickle. When the service ends, however it ends, the input of its workers ends, and so do they.
"""

import asyncio
import pickle
import signal
import struct
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import ContextVar
from typing import Any, BinaryIO, Generic, TypeVar

from kit.errors import DeadlineExceeded, RetryableError

T = TypeVar("T")

WORKERS = 2
START_SECONDS = 30
END_SECONDS = 5
PATIENCE = 6
SLICE_SECONDS = 0.005
_LENGTH = struct.Struct(">Q")

# Called with how many seconds a process worked for the tenant at work here.
worked: ContextVar[Callable[[float], None] | None] = ContextVar("worked", default=None)


class Offload:
    """At most WORKERS processes, started when they are needed. One for each application: `resources.get(Offload)`.
    A process gets the seconds of its deadline within `patience` times as many, or the machine is too busy."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._free = asyncio.Semaphore(WORKERS)
        self._idle: list[Process] = []

    async def run(self, function: Callable[..., T], *args: Any, deadline: float) -> T:
        """What the function gives or raises. DeadlineExceeded when it needs more seconds of the processor than the
        deadline: its process is killed. RetryableError when no process gets free that soon, or gets no processor.
        Function, arguments and result must be picklable, so the function is one of a module."""
        try:
            await asyncio.wait_for(self._free.acquire(), deadline)
        except TimeoutError:
            raise RetryableError("All processes for long work are busy.") from None
        try:
            return await self._run(pickle.dumps((function, args, deadline)), deadline)
        finally:
            self._free.release()

    async def _run(self, call: bytes, deadline: float) -> Any:
        worker = self._idle.pop() if self._idle else await _start()
        began, tell = time.perf_counter(), worked.get()
        try:
            async with asyncio.timeout(self._patience * deadline):
                outcome, failed = await _ask(worker, call)
        except TimeoutError:
            await _end(worker)
            raise RetryableError("The machine is too busy for long work.") from None
        except (EOFError, OSError) as lost:
            if await _ended(worker) == -signal.SIGPROF:
                raise DeadlineExceeded(deadline) from None
            raise RetryableError("A process for long work has ended.") from lost
        except BaseException:
            await _end(worker)
            raise
        finally:
            if tell is not None:
                tell(time.perf_counter() - began)
        self._idle.append(worker)
        if failed:
            raise outcome
        return outcome

    async def close(self) -> None:
        """End the processes."""
        while self._idle:
            await _end(self._idle.pop())


class Turns:
    """Between the parts of long work on the event loop: lets everything else have its turn every SLICE_SECONDS."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    async def take(self) -> None:
        """Waits until everything else that is due was done, if this slice was long enough."""
        if time.perf_counter() - self._began > SLICE_SECONDS:
            await asyncio.sleep(0)
            self._began = time.perf_counter()


class Timed(Awaitable[T], Generic[T]):
    """Work, and for how many `seconds` it had the event loop or another process: what it waits for otherwise is not
    counted."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self.seconds = 0.0
        self._work = work

    def add(self, seconds: float) -> None:
        """Other processes worked for it for so long."""
        self.seconds += seconds

    def __await__(self) -> Generator[Any, Any, T]:
        thrown: BaseException | None = None
        while True:
            began = time.perf_counter()
            try:
                waits_for = self._work.send(None) if thrown is None else self._work.throw(thrown)
            except StopIteration as end:
                return end.value
            finally:
                self.seconds += time.perf_counter() - began
            try:
                thrown = None
                yield waits_for
            except BaseException as given:
                # The work decides what becomes of a cancellation.
                thrown = given


async def _start() -> Process:
    worker = await asyncio.create_subprocess_exec(sys.executable, "-m", "kit.offload", stdin=PIPE, stdout=PIPE)
    try:
        # The deadline of the first call is not spent on the start.
        async with asyncio.timeout(START_SECONDS):
            await _ask(worker, pickle.dumps((len, ("",), START_SECONDS)))
    except BaseException:
        await _end(worker)
        raise
    return worker


async def _ask(worker: Process, call: bytes) -> tuple[Any, bool]:
    assert worker.stdin is not None and worker.stdout is not None
    worker.stdin.write(_LENGTH.pack(len(call)) + call)
    await worker.stdin.drain()
    (length,) = _LENGTH.unpack(await worker.stdout.readexactly(_LENGTH.size))
    return pickle.loads(await worker.stdout.readexactly(length))  # noqa: S301 - our own process wrote it


async def _end(worker: Process) -> None:
    """Kill it and wait until it is gone."""
    if worker.returncode is None:
        worker.kill()
    await worker.communicate()


async def _ended(worker: Process) -> int:
    """The return code of one that has closed its output, and so is about to end. To kill it could take its return code
    away from who waits for it."""
    try:
        async with asyncio.timeout(END_SECONDS):
            await worker.communicate()
    except TimeoutError:
        await _end(worker)
    assert worker.returncode is not None
    return worker.returncode


def _work(calls: BinaryIO, outcomes: BinaryIO) -> None:
    while header := calls.read(_LENGTH.size):
        function, args, deadline = pickle.loads(calls.read(*_LENGTH.unpack(header)))  # noqa: S301 - from our parent
        # Its signal ends the process, also in the middle of a library that Python cannot interrupt.
        signal.setitimer(signal.ITIMER_PROF, deadline)
        try:
            outcome = pickle.dumps((function(*args), False))
        except Exception as error:
            outcome = _failed(error)
        signal.setitimer(signal.ITIMER_PROF, 0)
        outcomes.write(_LENGTH.pack(len(outcome)) + outcome)
        outcomes.flush()


def _failed(error: Exception) -> bytes:
    try:
        failed = pickle.dumps((error, True))
        pickle.loads(failed)  # noqa: S301 - written the line before
    except Exception:
        return pickle.dumps((RuntimeError(repr(error)), True))
    return failed


if __name__ == "__main__":
    outcomes = sys.stdout.buffer
    # What a function prints must not get between the outcomes.
    sys.stdout = sys.stderr
    _work(sys.stdin.buffer, outcomes)
