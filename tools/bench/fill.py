"""Gives a running system a past: a million copies of one opportunity that went through it.

    fill_all(admin_url, specimen="006000000000000001", opportunities=1_000_000)

A copy has an opportunity id, an owner and times of its own, and new ids wherever an id was made for the opportunity.
The rest is byte for byte what the service wrote. So the services work on the copies, and a table that gains a column
needs nothing here. The copies' ids begin with 006F, a second tenant has one copy for a hundred of the first's, and a
thousand owners share them. What waits for an opportunity that never came is copied with ids that begin with 006P.
"""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import LiteralString, cast

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

SERVICES = ("assessment", "scoring", "stage-engine", "crm-connector", "recommender")
TENANT, OTHER_TENANT = "acme", "acme-too"
OWNERS = 1000
# All copies are younger than what the services forget: the inbox after a month, idempotency keys after a week.
SPREAD = "3 days"
# One copy of these for so many opportunities: people make fewer requests than there are opportunities, and hardly
# anything waits.
_ONE_FOR = {"idempotency": 100, "audit": 10, "change_seen": 10, "parked": 1000, "parked_submission": 1000}
# Rows that do not name the opportunity: the last one that was written is the specimen.
_BESIDE_THE_OPPORTUNITY = {
    "inbox": "true",
    "idempotency": "true",
    "audit": "true",
    "change_seen": "true",
    "parked": "true",
    "parked_submission": "true",
    "write_attempt": "intent_id IN (SELECT intent_id FROM write_intent WHERE opportunity_id = %(specimen)s)",
}
_UUID = re.compile(rb"[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}")
Rows = dict[str, "Specimen"]


@dataclass(frozen=True)
class Specimen:
    """The row of one table to copy: its columns with their types, and the values as the bytes that PostgreSQL prints,
    or holds where the type is bytea."""

    types: dict[str, str]
    values: dict[str, bytes | None]


def fill_all(admin_url: str, specimen: str, opportunities: int, databases: dict[str, str] | None = None) -> None:
    """Fill the databases of all services, two at a time; `databases` has names that are not the packages'."""
    one = partial(fill, admin_url, specimen=specimen, opportunities=opportunities)
    names = databases or {}
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda service: one(service, database=names.get(service, "")), SERVICES))


def fill(admin_url: str, service: str, *, specimen: str, opportunities: int, database: str = "") -> dict[str, int]:
    """Copy the specimen's rows so often into each table that has one, then ANALYZE; rows added by table. Once in a
    database: the copies' ids are the same each time.

    `admin_url` is a superuser's, because row-level security binds every other user. The specimen belongs to the tenant
    and has been scored, decided on, written to the CRM and recommended on. LookupError when the service does not know
    it.
    """
    name = database or service.replace("-", "_")
    with psycopg.connect(make_conninfo(admin_url, dbname=name), autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        found = _specimens(connection, specimen)
        if specimen.encode() not in {row.values.get("opportunity_id") for row in found.values()}:
            raise LookupError(f"{service} knows nothing of the opportunity {specimen}")
        other = max(opportunities // 100, 1)
        copies = _Copies(connection, specimen, found, opportunities + other)
        added = {}
        for table in found:
            count = max(opportunities // _ONE_FOR.get(table, 1), 1)
            added[table] = copies.insert(table, TENANT, 1, count)
            # Behind the first tenant's, because a submission's id is one on the whole platform; and in every table one
            # for each opportunity, so that none stays so small that reading all of it is right.
            added[table] += copies.insert(table, OTHER_TENANT, opportunities + 1, opportunities + other)
        connection.execute("ANALYZE")
    return added


def _specimens(connection: psycopg.Connection, specimen: str) -> Rows:
    """The specimen's row of each table that has one; of several the one written last."""
    found: Rows = {}
    for table, types in _tables(connection).items():
        if table not in _BESIDE_THE_OPPORTUNITY and "opportunity_id" not in types:
            continue
        condition = _BESIDE_THE_OPPORTUNITY.get(table, "opportunity_id = %(specimen)s")
        shown = [
            sql.SQL("{0}" if kind == "bytea" else "convert_to({0}::text, 'UTF8')").format(sql.Identifier(column))
            for column, kind in types.items()
        ]
        query = sql.SQL("SELECT {} FROM {} WHERE tenant_id = %(tenant)s AND {} ORDER BY ctid DESC LIMIT 1").format(
            sql.SQL(", ").join(shown), sql.Identifier(table), _own(condition)
        )
        row = connection.execute(query, {"tenant": TENANT, "specimen": specimen}).fetchone()
        if row is not None:
            found[table] = Specimen(types, dict(zip(types, row, strict=True)))
    return found


def _tables(connection: psycopg.Connection) -> dict[str, dict[str, str]]:
    """Columns and types by table, without the columns that count by themselves, and without the outbox: what is put
    there is sent."""
    query = """
        SELECT relname, attname, format_type(atttypid, atttypmod)
        FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
          AND attidentity = '' AND relname NOT IN ('outbox', 'alembic_version')
        ORDER BY relname, attnum
    """
    tables: dict[str, dict[str, str]] = {}
    for table, column, kind in connection.execute(query):
        tables.setdefault(table, {})[column] = kind
    return tables


class _Copies:
    """Writes the copies. A text that names the opportunity, its owner or an id made for it is split there, and each
    copy puts its own names between the pieces. The names have the specimen's lengths, as the protobuf in `bytea`
    demands."""

    def __init__(self, connection: psycopg.Connection, specimen: str, found: Rows, most: int) -> None:
        self._connection = connection
        self._found = found
        owners, opportunities = (
            {value for row in found.values() if (value := row.values.get(column))}
            for column in ("owner_id", "opportunity_id")
        )
        self._names: dict[bytes, str] = {}
        for opportunity in opportunities:
            known = opportunity == specimen.encode()
            self._names[opportunity] = _numbered("006F" if known else "006P", len(opportunity), "n", most)
        for owner in owners:
            self._names[owner] = _numbered("005", len(owner), f"(n %% {OWNERS})", OWNERS - 1)
        made = {match for row in found.values() for value in row.values.values() for match in _uuids(value)}
        for match in sorted(made - self._shared()):
            self._names[match] = _uuid(match)
        self._split = re.compile(b"(" + b"|".join(map(re.escape, self._names)) + b")")

    def _shared(self) -> set[bytes]:
        """Ids of definitions, which all opportunities have in common."""
        shared: set[bytes] = set()
        for table in _tables(self._connection):
            if table not in self._found and table != "dead_letter":
                query = sql.SQL("SELECT convert_to(t::text, 'UTF8') FROM {} t").format(sql.Identifier(table))
                shared.update(match for (row,) in self._connection.execute(query) for match in _uuids(row))
        return shared

    def insert(self, table: str, tenant: str, first: int, last: int) -> int:
        """Add the copies number `first` to `last`."""
        row = self._found[table]
        values = [self._value(column, kind, row.values[column], tenant) for column, kind in row.types.items()]
        names = sql.SQL(", ").join(
            sql.SQL("{} AS {}").format(_own(expression), sql.Identifier(name.hex()))
            for name, expression in self._names.items()
        )
        # OFFSET 0 makes PostgreSQL compute each name once, not once for each use.
        statement = sql.SQL(
            "INSERT INTO {} ({}) SELECT {} FROM"
            " (SELECT n, {} FROM generate_series(%(first)s::int, %(last)s::int) n OFFSET 0) copy"
        ).format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, row.types)),
            sql.SQL(", ").join(values),
            names,
        )
        return self._connection.execute(statement, {"first": first, "last": last}).rowcount

    def _value(self, column: str, kind: str, value: bytes | None, tenant: str) -> sql.Composable:
        if column == "tenant_id":
            return sql.Literal(tenant)
        if value is None:
            return sql.SQL("NULL")
        if kind == "timestamp with time zone":
            return sql.SQL("{}::timestamptz - (%(last)s::int - n) * interval {} / %(last)s::int").format(
                sql.Literal(value.decode()), sql.Literal(SPREAD)
            )
        pieces = [self._piece(piece, kind == "bytea") for piece in self._split.split(value)]
        return sql.SQL("({})::{}").format(sql.SQL(" || ").join(pieces), _own(kind))

    def _piece(self, piece: bytes, binary: bool) -> sql.Composable:
        if piece in self._names:
            name = sql.Identifier("copy", piece.hex())
            return sql.SQL("convert_to({}, 'UTF8')").format(name) if binary else name
        return sql.Literal(piece if binary else piece.decode())


def _own(text: str) -> sql.SQL:
    """SQL that this file makes, of names and types of the database alone."""
    return sql.SQL(cast(LiteralString, text))


def _uuids(value: bytes | None) -> Iterator[bytes]:
    yield from _UUID.findall(value or b"")


def _numbered(prefix: str, length: int, number: str, most: int) -> str:
    digits = length - len(prefix)
    if digits < len(str(most)):
        raise ValueError(f"ids of {length} characters leave no room for {most} others that begin with {prefix}")
    return f"'{prefix}' || lpad({number}::text, {digits}, '0')"


def _uuid(name: bytes) -> str:
    """Ids that begin with a time stay in order; the others are spread like hashes."""
    text = name.decode()
    if text[14] == "7":
        return f"'{text[:24]}' || lpad(to_hex(n), 12, '0')"
    return f"(md5('{text}' || n))::uuid::text"
