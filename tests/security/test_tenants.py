"""One tenant and one person trying to reach what is another's, by every path and by every table."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.security.attacks.belongings import OWNER
from tests.security.attacks.operations import BODIES, call

pytestmark = pytest.mark.stack

# Shipped with the service, the same for everybody.
SHARED = (
    "get_assessment_template", "get_profile_template", "get_pipeline_template", "install_process_template",
    "get_figure",
)  # fmt: skip
# What its owner may find empty.
MAY_BE_EMPTY = {"list_pipeline_findings"}


async def test_what_is_another_tenants_is_not_there(service, operations, belonging):
    theirs, mine = service.headers(OWNER), service.headers("attacker")
    reached = 0
    for operation in operations:
        if not operation.path_parameters or operation.name in (*SHARED, "put_submission"):
            continue
        answer = await call(service, operation, belonging, mine)
        nothing = answer.status_code == 200 and answer.json().get("items") == []
        assert nothing or (answer.status_code, answer.json()["title"]) == (404, "There is no such resource"), (
            operation.name,
            answer.text,
        )
        if operation.method == "GET":
            own = await call(service, operation, belonging, theirs)
            assert own.status_code == 200, (operation.name, own.text)
            assert own.json().get("items") != [] or operation.name in MAY_BE_EMPTY, operation.name
            reached += 1
    assert reached >= 1


async def test_lists_hold_nothing_of_another_tenant(service, operations, belonging):
    for operation in [o for o in operations if o.parameter("cursor")]:
        answer = await call(service, operation, belonging, service.headers("attacker"))
        assert answer.status_code == 404 or answer.json()["items"] == [], operation.name


@pytest.mark.parametrize("service", ["assessment"], indirect=True, scope="module")
async def test_an_id_taken_by_another_tenant_is_free_for_this_one(service, belonging):
    path, body = f"/v1/submissions/{belonging['submission_id']}", BODIES["put_submission"]
    answer = await service.client.put(path, json=body, headers=service.headers("namesake", "rep"))
    assert (answer.status_code, answer.json()["code"]) == (202, "version_unknown")


async def tables(service):
    async with service.database.unit_of_work(OWNER) as uow:
        query = "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
        found = [name for (name,) in await uow.session.execute(text(f"{query} AND relname <> 'alembic_version'"))]
    assert len(found) >= 5
    return found


FORGED = ("attacker", "", "*", "%", "Attacked", "attacked ", "' OR 'a' = 'a", "attacked\n")


async def test_no_table_shows_a_row_to_another_tenant(service, belonging):
    filled = 0
    for table in await tables(service):
        async with service.database.unit_of_work(OWNER) as uow:
            filled += bool((await uow.session.execute(text(f"SELECT count(*) FROM {table}"))).scalar())
        for setting in FORGED:
            async with service.database.unit_of_work(setting) as uow:
                for query in (
                    f"SELECT count(*) FROM {table}",
                    f"SELECT count(*) FROM {table} WHERE tenant_id = '{OWNER}' OR true",
                    f"SELECT count(*) FROM (SELECT max(t::text) FROM {table} t HAVING count(*) > 0) x",
                ):
                    assert (await uow.session.execute(text(query))).scalar() == 0, (table, setting, query)
        async with service.database.engine.connect() as connection:
            assert (await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar() == 0, table
    assert filled >= 3


async def refused(service, tenant, statement, match):
    with pytest.raises(DBAPIError, match=match):
        async with service.database.unit_of_work(tenant) as uow:
            await uow.session.execute(text(statement))


async def test_no_row_can_be_written_for_or_given_to_another_tenant(service, belonging):
    for table in await tables(service):
        async with service.database.unit_of_work(OWNER) as uow:
            rows = (await uow.session.execute(text(f"SELECT count(*) FROM {table}"))).scalar()
            granted = await uow.session.execute(text(f"SELECT has_table_privilege('{table}', 'UPDATE')"))
            may_update = granted.scalar()
        if not rows:
            continue
        if may_update:
            statement = f"UPDATE {table} SET tenant_id = 'attacker'"
            await refused(service, OWNER, statement, "row-level security")
            async with service.database.unit_of_work("attacker") as uow:
                taken = await uow.session.execute(text(f"UPDATE {table} SET tenant_id = 'attacker'"))
                assert taken.rowcount == 0, table


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'x'",
        "DELETE FROM audit",
        "TRUNCATE audit",
        "DROP TABLE audit",
        "ALTER TABLE audit DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE audit NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY tenant ON audit",
        "CREATE POLICY all_of_it ON audit USING (true)",
        "CREATE TABLE mine (x int)",
        "ALTER ROLE CURRENT_USER BYPASSRLS",
        "UPDATE alembic_version SET version_num = 'x'",
    ],
)
async def test_the_application_cannot_alter_audit_schema_or_itself(service, belonging, statement):
    await refused(service, OWNER, statement, r"permission denied|must be owner|must be able to SET ROLE")


READABLE = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = 'dead_letter'::regclass AND attnum > 0 AND has_column_privilege(attrelid, attnum, 'SELECT')
"""


async def test_the_application_becomes_nobody_else_but_the_relay(service):
    package = service.settings.package
    others = [f"{name}_{kind}" for name in ("assessment", "scoring", package) for kind in ("owner", "app")]
    for role in ("postgres", *[role for role in others if role != f"{package}_app"]):
        async with service.database.engine.connect() as connection:
            with pytest.raises(DBAPIError, match=r"permission denied|does not exist"):
                await connection.execute(text(f'SET ROLE "{role}"'))
    async with service.database.as_relay() as connection:
        for table in await tables(service):
            if table not in ("outbox", "quarantined_event", "lease", "inbox", "idempotency"):
                granted = await connection.execute(text(f"SELECT has_table_privilege('{table}', 'SELECT')"))
                assert granted.scalar() is False, table
        readable = await connection.execute(text(READABLE))
        assert set(readable.scalars()) == {
            "tenant_id", "dead_letter_id", "retry_at", "replayed_at", "dismissed_at",
        }  # fmt: skip
