"""A database that was empty a moment ago: the planner knows nothing of its tables, and must read no more for it."""

import time

import pytest
import uvloop
from sandbox.stack.services import SERVICES

from tools.bench.system import Work, system

DEALS, BEFORE, MEASURED = 2000, 2000, 300
# What a submission needs of any one table: the history of its deal is the longest.
MOST_ROWS = 20
# An idle connection tells what it has read after ten seconds.
TOLD_SECONDS = 12
READ = "SELECT relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) AS rows FROM pg_stat_user_tables"


async def rows_read(databases):
    return {
        (service, row["relname"]): row["rows"] for service in SERVICES for row in await databases.rows(service, READ)
    }


@pytest.mark.e2e
# A connection plans for good at the sixth execution: of tables still small when submissions come one by one.
@pytest.mark.parametrize("batches", [False, True], ids=["live", "offline"])
def test_a_submission_reads_as_little_as_of_tables_that_are_known(tmp_path, batches):
    with system(tmp_path, DEALS) as running:
        running.submit(Work(BEFORE, batches=batches))
        time.sleep(TOLD_SECONDS)
        before = uvloop.run(rows_read(running.databases))
        running.submit(Work(MEASURED))
        time.sleep(TOLD_SECONDS)
        after = uvloop.run(rows_read(running.databases))
    read = {place: (rows - before[place]) / MEASURED for place, rows in after.items()}
    assert max(read.values()) > 1
    assert {place: rows for place, rows in read.items() if rows > MOST_ROWS} == {}
