"""The org's durable side: one SQLite file in WAL mode, written by one thread in group commits.

The working copy is in memory and changes first. A reply may leave the process only after `flushed()`, so everything
that a client got a reply for survives a SIGKILL.
"""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.salesforce.rules import Record

_TABLES = """
CREATE TABLE IF NOT EXISTS record (
  id TEXT PRIMARY KEY, object TEXT NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS event (
  replay_id INTEGER PRIMARY KEY, committed_ms INTEGER NOT NULL, entity TEXT NOT NULL,
  schema_id TEXT NOT NULL, event_id TEXT NOT NULL, payload BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A change event as it was written: schemaless Avro under the schema `schema_id`."""

    replay_id: int
    committed_ms: int
    entity: str
    schema_id: str
    event_id: str
    payload: bytes


@dataclass(slots=True)
class Entry:
    """What one transaction adds to the file: all of it or nothing.

    A None body removes the record, a None value the name.
    """

    records: list[tuple[str, str, Record | None]] = field(default_factory=list)
    events: list[StoredEvent] = field(default_factory=list)
    meta: dict[str, str | None] = field(default_factory=dict)
    events_expired_through: int | None = None


class Journal:
    """Appends entries in the order they are submitted."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_TABLES)
        # Called with events once they are durable: no subscriber may see one that a crash could take back.
        self.on_durable: Callable[[list[StoredEvent]], None] = lambda events: None
        self._thread = ThreadPoolExecutor(1, "journal")
        self._pending: list[Entry] = []
        self._submitted = 0
        self._durable = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._wake = asyncio.Event()
        self._closing = False

    def meta(self) -> dict[str, str]:
        return dict(self._db.execute("SELECT name, value FROM meta"))

    def records(self) -> Iterator[tuple[str, Record]]:
        """Every record with the name of its object, in the order of ids."""
        for name, body in self._db.execute("SELECT object, body FROM record ORDER BY id"):
            yield name, json.loads(body)

    def events(self) -> list[StoredEvent]:
        return [StoredEvent(*row) for row in self._db.execute("SELECT * FROM event ORDER BY replay_id")]

    def submit(self, entry: Entry) -> None:
        self._pending.append(entry)
        self._submitted += 1
        self._wake.set()

    async def flushed(self) -> None:
        """Returns when everything submitted so far is durable."""
        if self._durable >= self._submitted:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((self._submitted, future))
        await future

    async def run(self) -> None:
        """Writes until closed. A write that fails ends the process: nothing may be acknowledged then."""
        loop = asyncio.get_running_loop()
        while not self._closing or self._pending:
            await self._wake.wait()
            self._wake.clear()
            batch, self._pending = self._pending, []
            if not batch:
                continue
            await loop.run_in_executor(self._thread, self._write, batch)
            self._durable += len(batch)
            events = [event for entry in batch for event in entry.events]
            if events:
                self.on_durable(events)
            reached = [future for number, future in self._waiting if number <= self._durable]
            self._waiting = [item for item in self._waiting if item[0] > self._durable]
            for future in reached:
                if not future.done():
                    future.set_result(None)
        self._thread.shutdown()
        self._db.close()

    def close(self) -> None:
        """Lets `run` finish what is pending and end."""
        self._closing = True
        self._wake.set()

    def _write(self, batch: list[Entry]) -> None:
        db = self._db
        db.execute("BEGIN")
        for entry in batch:
            kept = [(key, name, json.dumps(body)) for key, name, body in entry.records if body is not None]
            db.executemany("INSERT OR REPLACE INTO record VALUES (?, ?, ?)", kept)
            removed = [(key,) for key, _, body in entry.records if body is None]
            if removed:
                db.executemany("DELETE FROM record WHERE id = ?", removed)
            if entry.events:
                rows = [
                    (e.replay_id, e.committed_ms, e.entity, e.schema_id, e.event_id, e.payload) for e in entry.events
                ]
                db.executemany("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)", rows)
            for name, value in entry.meta.items():
                if value is None:
                    db.execute("DELETE FROM meta WHERE name = ?", (name,))
                else:
                    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))
            if entry.events_expired_through is not None:
                db.execute("DELETE FROM event WHERE replay_id <= ?", (entry.events_expired_through,))
        db.execute("COMMIT")
