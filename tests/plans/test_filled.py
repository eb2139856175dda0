"""However many opportunities there are, the hot paths of each service read few rows: a submission, and the pages people
look at. `make test` fills the databases with 20,000, `make filled` with 200,000."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from urllib.parse import parse_qsl, urlsplit

import pytest
import uvloop
from sandbox.stack.services import SERVICES
from sandbox.story.api import Caller
from sandbox.story.play import loopback_client

from tests.plans.rows_read import RowsRead
from tools.bench.fill import OWNERS, fill_all
from tools.bench.system import REP, TENANT, System, Work, opportunity_ids, system

OPPORTUNITIES, SUBMISSIONS = int(os.environ.get("FILLED", "20000")), 1000
# What a submission needs of any one table: the history of its opportunity is the longest.
MOST_ROWS = 20
# The sender looks through the queue, which holds unfinished writes only, for each portion that it sends.
MOST_OF_QUEUE = 300
ASKED = 100
# A page of fifty with what belongs to each row of it, and one row more that tells that there are others.
PAGE = 200
OPPORTUNITY = "006F" + str(OPPORTUNITIES // 2).zfill(14)
OWNER = "005" + str(OPPORTUNITIES // 2 % OWNERS).zfill(len(REP) - 3)
# A rep has this many of all opportunities, however many others there are.
OF_A_REP = 3 * OPPORTUNITIES // OWNERS
PAGES = [
    ("assessment", "/v1/worklist", "rep", max(PAGE, OF_A_REP)),
    ("assessment", f"/v1/opportunities/{OPPORTUNITY}/next-assessment", "rep", PAGE),
    ("assessment", f"/v1/opportunities/{OPPORTUNITY}/timeline", "rep", PAGE),
    ("scoring", f"/v1/scores?opportunity_id={OPPORTUNITY}", "rep", PAGE),
    ("stage-engine", "/v1/opportunities?stage=prospecting", "admin", PAGE),
    ("stage-engine", f"/v1/opportunities/{OPPORTUNITY}/decisions", "rep", PAGE),
    ("stage-engine", "/v1/changes", "rep", max(PAGE, OF_A_REP)),
    ("recommender", f"/v1/opportunities/{OPPORTUNITY}/recommendation", "rep", PAGE),
    ("recommender", "/v1/recommendations", "rep", max(PAGE, OF_A_REP)),
]
pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Filled:
    """Rows that were read of each service's tables: by a submission, and by asking once for a page."""

    by_a_submission: dict[tuple[str, str], float]
    by_a_page: dict[str, dict[str, float]]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    with system(tmp_path_factory.mktemp("filled"), 1) as running:
        running.submit(Work(1))
        fill_all(running.environment["POSTGRES_ADMIN_URL"], *opportunity_ids(1), OPPORTUNITIES)
        running.use([f"006F{number:014d}" for number in range(1, OPPORTUNITIES + 1)])
        rows = RowsRead(running)
        running.submit(Work(SUBMISSIONS))
        by_a_submission = rows.since(SUBMISSIONS)
        by_a_page: dict[str, dict[str, float]] = {}
        # Services share no table, so a page of each is asked for before each look, which takes long.
        for pages in zip_longest(*([page for page in PAGES if page[0] == service] for service in SERVICES)):
            asked = [page for page in pages if page is not None]
            uvloop.run(ask(running, asked))
            read = rows.since(ASKED)
            for service, path, _role, _most in asked:
                by_a_page[path] = {table: count for (owner, table), count in read.items() if owner == service}
        yield Filled(by_a_submission, by_a_page)


async def ask(running: System, pages: Sequence[tuple[str, str, str, int]]) -> None:
    """Ask a hundred times for each page, as somebody who owns opportunities."""
    async with loopback_client() as http:
        for service, path, role, _most in pages:
            address = urlsplit(path)
            caller = Caller(http, running.stack.urls, running.stack.token(TENANT, role, OWNER))
            for _ in range(ASKED):
                assert await caller.get(service, address.path, **dict(parse_qsl(address.query)))


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.capability(47)
def test_a_submission_reads_few_rows(filled: Filled, service: str) -> None:
    read = {table: rows for (owner, table), rows in filled.by_a_submission.items() if owner == service}
    assert max(read.values()) > 0
    assert {
        table: rows for table, rows in read.items() if rows > (MOST_OF_QUEUE if table == "write_queue" else MOST_ROWS)
    } == {}


@pytest.mark.parametrize(("service", "path", "role", "most"), PAGES, ids=lambda each: str(each).partition("?")[0])
@pytest.mark.capability(47)
def test_a_page_reads_few_rows(filled: Filled, service: str, path: str, role: str, most: int) -> None:
    read = filled.by_a_page[path]
    assert max(read.values()) > 0
    assert {table: rows for table, rows in read.items() if rows > most} == {}
