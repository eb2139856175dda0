"""A database that was migrated a moment ago: the planner has no statistics of its tables, and reads few rows all the
same."""

from pathlib import Path

import pytest

from tests.plans.rows_read import RowsRead
from tools.bench.system import Work, system

OPPORTUNITIES, BEFORE, MEASURED = 1000, 1000, 200
# As far as a table is read whole while it is small; without a bound it would be all 1,000 rows, and growing.
MOST_ROWS = 200


@pytest.mark.e2e
@pytest.mark.parametrize("batches", [False, True], ids=["live", "offline"])
def test_a_submission_reads_few_rows(tmp_path: Path, batches: bool) -> None:
    with system(tmp_path, OPPORTUNITIES) as running:
        running.submit(Work(BEFORE, batches=batches))
        rows = RowsRead(running)
        running.submit(Work(MEASURED))
        read = rows.since(MEASURED)
    assert max(read.values()) > 1
    assert {place: each for place, each in read.items() if each > MOST_ROWS} == {}
