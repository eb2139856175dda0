"""Many rows in one statement, on a real database."""

import pytest
from kit.database import bulk
from kit.database.tables import idempotency, outbox
from kit.ids import uuid7
from sqlalchemy import text

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
async def service(start_service):
    return await start_service("sample")


def key_row(key: str, **changes) -> dict:
    row = {"subject": "s", "key": key, "fingerprint": "f", "status": 200, "headers": {"a": key}, "body": b"x"}
    return row | changes


async def stored(uow, *columns: str) -> list[tuple]:
    statement = text(f"SELECT {', '.join(columns)} FROM idempotency ORDER BY key")
    return [tuple(row) for row in await uow.session.execute(statement)]


class Undone(Exception):
    """The relay must not see these rows."""


async def test_rows_go_in_in_their_order_with_every_type(service, tenant):
    ids = [uuid7() for _ in range(600)]
    rows = [
        {"event_id": each, "topic": "t", "key": str(n), "value": bytes([n % 256]), "headers": {"n": n, "none": None}}
        for n, each in enumerate(ids)
    ]
    with pytest.raises(Undone):
        async with service.database.unit_of_work(tenant) as uow:
            positions = await bulk.insert(uow.session, outbox, tenant, rows, returning="position")
            assert positions == sorted(positions)
            found = (await uow.session.execute(text("SELECT event_id, headers FROM outbox ORDER BY position"))).all()
            assert [row[0] for row in found] == ids
            assert found[7][1] == {"n": 7, "none": None}
            raise Undone


async def test_no_rows_are_no_statement(service, tenant):
    async with service.database.unit_of_work(tenant) as uow:
        assert await bulk.insert(uow.session, outbox, tenant, []) == []
        assert await bulk.update(uow.session, idempotency, tenant, "key", []) == set()


async def test_what_is_there_stays_or_gives_way_to_what_is_newer(service, tenant):
    async with service.database.unit_of_work(tenant) as uow:
        await bulk.insert(uow.session, idempotency, tenant, [key_row("a"), key_row("b")])
        again = [key_row("a", status=100), key_row("b", status=300), key_row("c", status=1)]
        stays = bulk.replace(idempotency)
        assert await bulk.insert(uow.session, idempotency, tenant, again, conflict=stays, returning="key") == ["c"]
        newer = bulk.replace(idempotency, "status", "fingerprint", newer="status")
        given = [{**row, "fingerprint": "new"} for row in again]
        await bulk.insert(uow.session, idempotency, tenant, given, conflict=newer)
        assert await stored(uow, "key", "status", "fingerprint") == [("a", 200, "f"), ("b", 300, "new"), ("c", 1, "f")]


async def test_each_row_gets_values_of_its_own_where_the_condition_holds(service, tenant):
    async with service.database.unit_of_work(tenant) as uow:
        rows = [key_row(key, status=status) for key, status in (("a", 1), ("b", 2), ("c", 3))]
        await bulk.insert(uow.session, idempotency, tenant, rows)
        changes = [{"key": key, "body": key.encode(), "headers": None} for key in ("a", "b", "c", "unknown")]
        changed = await bulk.update(
            uow.session, idempotency, tenant, "key", changes, where="kept.status >= $1", values=[2]
        )
        assert changed == {"b", "c"}
        found = await stored(uow, "key", "body", "headers")
        assert found == [("a", b"x", {"a": "a"}), ("b", b"b", None), ("c", b"c", None)]


async def test_another_tenants_rows_are_out_of_reach(service, tenant):
    other = f"{tenant}-b"
    async with service.database.unit_of_work(other) as uow:
        await bulk.insert(uow.session, idempotency, other, [key_row("a")])
    async with service.database.unit_of_work(tenant) as uow:
        assert await bulk.update(uow.session, idempotency, other, "key", [{"key": "a", "status": 0}]) == set()
    with pytest.raises(Exception, match="row-level security"):
        async with service.database.unit_of_work(tenant) as uow:
            await bulk.insert(uow.session, idempotency, other, [key_row("b")])


async def test_it_is_in_the_sessions_transaction(service, tenant):
    class Failed(Exception):
        pass

    with pytest.raises(Failed):
        async with service.database.unit_of_work(tenant) as uow:
            await bulk.insert(uow.session, idempotency, tenant, [key_row("a")])
            raise Failed
    async with service.database.unit_of_work(tenant) as uow:
        assert await stored(uow, "key") == []


def test_an_array_column_is_refused():
    from sqlalchemy import ARRAY, Column, MetaData, String, Table

    table = Table("t", MetaData(), Column("names", ARRAY(String)))
    with pytest.raises(AssertionError, match="flatten"):
        bulk._insert(table, ("names",), "", "")


@pytest.mark.parametrize(
    ("names", "ending"), [(("a",), ", updated_at = now()"), (("a", "updated_at"), 'excluded."updated_at"')]
)
def test_what_gives_way_is_stamped_unless_the_time_is_given(names, ending):
    from sqlalchemy import Column, DateTime, Integer, MetaData, Table

    table = Table(
        "t", MetaData(), Column("k", Integer, primary_key=True), Column("a", Integer), Column("updated_at", DateTime)
    )
    assert bulk.replace(table, *names).endswith(ending)


def letter(key: str) -> dict:
    return {"event_id": uuid7(), "topic": "t", "key": key, "value": b"x", "headers": {}}


async def test_deferred_rows_of_several_tables_are_written_by_the_flush_and_only_once(service, tenant):
    with pytest.raises(Undone):
        async with service.database.unit_of_work(tenant) as uow:
            bulk.defer(uow.session, idempotency, [key_row("a"), key_row("b")])
            bulk.defer(uow.session, outbox, [letter("b"), letter("a")])
            assert await stored(uow, "key") == []
            await uow.flush()
            await uow.flush()
            assert await stored(uow, "key", "headers") == [("a", {"a": "a"}), ("b", {"a": "b"})]
            sent = await uow.session.execute(text("SELECT key FROM outbox ORDER BY position"))
            assert [row[0] for row in sent] == ["b", "a"]
            raise Undone


async def test_rows_deferred_twice_for_one_table_are_written_one_after_the_other(service, tenant):
    newest = bulk.replace(idempotency, "status")
    async with service.database.unit_of_work(tenant) as uow:
        for status in (1, 2):
            bulk.defer(uow.session, idempotency, [key_row("a", status=status)], conflict=newest)
    async with service.database.unit_of_work(tenant) as uow:
        assert await stored(uow, "key", "status") == [("a", 2)]
