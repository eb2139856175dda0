"""At a million deals every hot query finds its rows by an index: shown by the plans that PostgreSQL carried out while
the five services worked on databases of that size."""

import importlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import psycopg
import pytest
import pytest_asyncio
from psycopg.conninfo import make_conninfo
from sandbox.issuer import LocalIssuer
from sandbox.story.setup import publish_field_example
from stagecraft.assessment.v1.assessment_submitted_pb2 import AssessmentSubmitted
from testing.infrastructure import Infrastructure

from tests.plans import hot_paths
from tests.plans.judging import SMALL, Statement, objections
from tests.plans.platform import SERVICES, TENANT, Databases, databases, platform
from tests.plans.reads import COMMANDS, EXCUSED, HOUSEKEEPING, MEASURED, READS, SAMPLED, known_deal, operations
from tests.plans.recording import recording, tell_plans
from tests.plans.specimen import DEAL, live
from tools.bench.fill import fill_all

OPPORTUNITIES = 1_000_000
# How many rows a statement of these may be about: a full batch has 500 events, and a deal a few rows in a table.
PATHS = {
    hot_paths.catch_up: 1500,
    hot_paths.send_what_is_due: 700,
    hot_paths.submit_batches: 1500,
    hot_paths.submit_one_by_one: 200,
    hot_paths.change_in_crm: 300,
}
# What stays empty here: nothing can be said of how it is read.
EMPTY = {
    ("recommender", "audit"): "it has nothing that is audited",
    ("scoring", "parked_submission"): "every assessment has its points published",
}
LITTLE = 1000


@dataclass
class Recorded:
    """The statements of each path and each read; of every service its tables that hold little, and its operations."""

    statements: dict[str, list[Statement]] = field(default_factory=dict)
    little: dict[str, set[str]] = field(default_factory=dict)
    operations: set[tuple[str, str, str]] = field(default_factory=set)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def recorded(infrastructure: Infrastructure, issuer: LocalIssuer) -> AsyncIterator[Recorded]:
    """All of it, on databases that hold a million deals."""
    with databases(infrastructure, OPPORTUNITIES) as places:
        async with platform(places, issuer) as fresh:
            await publish_field_example(fresh.caller("admin"))
            await live(fresh)
            submitted = await fresh.services["assessment"].events(AssessmentSubmitted, tenant=TENANT, count=2)
        fill_all(infrastructure.admin_url, DEAL, OPPORTUNITIES, places.names)
        await hot_paths.queue_events(places, submitted[0].message)
        found = Recorded(little={service: _little(places, service) for service in SERVICES})
        for name in places.names.values():
            tell_plans(infrastructure.admin_url, name)
        with recording({name: service for service, name in places.names.items()}) as recorder:
            async with platform(places, issuer) as running:
                for path in PATHS:
                    await path(running, places)
                    found.statements[path.__name__] = recorder.take()
                known = await known_deal(running, OPPORTUNITIES * 6 // 10)
                for read in READS:
                    recorder.take()
                    await read.ask(running, known)
                    found.statements[str(read)] = recorder.take()
                for service, one in running.services.items():
                    found.operations |= {(service, *each) for each in operations(one.app.openapi())}
        yield found


def _little(places: Databases, service: str) -> set[str]:
    query = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    query += " AND reltuples < %s"
    with psycopg.connect(make_conninfo(places.infrastructure.admin_url, dbname=places.names[service])) as connection:
        return {name for (name,) in connection.execute(query, (LITTLE,))}


def _refused(recorded: Recorded, name: str, at_most: int) -> str:
    refused: dict[tuple[str, str], list[str]] = {}
    for statement in recorded.statements[name]:
        if statement.is_introspection or statement.text.startswith((*HOUSEKEEPING, *SAMPLED)):
            continue
        measured = next((rows for text, rows in MEASURED.items() if statement.text.startswith(text)), 0)
        if found := objections(statement.plan, max(at_most, measured), SMALL | recorded.little[statement.service]):
            refused[statement.service, statement.text] = found
    return "\n\n".join(f"{service}: {found}\n{text}" for (service, text), found in refused.items())


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.__name__)
def test_every_statement_of_a_path_finds_its_rows_by_an_index(recorded: Recorded, path) -> None:
    assert recorded.statements[path.__name__]
    assert _refused(recorded, path.__name__, PATHS[path]) == ""


@pytest.mark.parametrize("read", READS, ids=str)
def test_every_page_is_found_by_an_index(recorded: Recorded, read) -> None:
    assert _refused(recorded, str(read), read.at_most) == ""


@pytest.mark.parametrize("service", SERVICES)
def test_every_table_that_grows_was_filled_and_touched(recorded: Recorded, service: str) -> None:
    models = importlib.import_module(f"{service.replace('-', '_')}.models")
    growing = {*models.Base.metadata.tables, "inbox", "idempotency", "audit"} - SMALL
    growing -= {table for owner, table in EMPTY if owner == service}
    assert not growing & recorded.little[service], "hold too little to tell anything"
    own = [each for found in recorded.statements.values() for each in found if each.service == service]
    assert growing <= {table for statement in own for table in statement.tables}


def test_every_operation_is_judged_or_excused(recorded: Recorded) -> None:
    judged = COMMANDS | {(read.service, "GET", _nameless(read.path)) for read in READS}
    known = judged | set(EXCUSED)
    assert {(*one[:2], _nameless(one[2])) for one in recorded.operations} == {(*o[:2], _nameless(o[2])) for o in known}


def _nameless(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path.partition("?")[0])
