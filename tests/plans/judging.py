"""Judges query plans as PostgreSQL carried them out: a hot query finds its rows by an index, and reads about as many
as it was asked about however many there are."""

from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any

# Tables whose size has nothing to do with the number of deals. The outbox is among them because it is empty at rest.
SMALL = frozenset(
    {
        "alembic_version", "outbox", "dead_letter",
        "assessment", "assessment_version", "assessment_text", "scoring_profile",
        "pipeline", "pipeline_version", "score_reach", "partner_feed",
        "visit_count", "pipeline_total",
        "connection", "import_run", "crm_stage",
    }
)  # fmt: skip
# A probe of a B-tree with a million entries goes through three or four pages, and a write through as many in each
# of the table's indexes.
PAGES_A_ROW = 40

Node = dict[str, Any]


@dataclass(frozen=True)
class Statement:
    """A statement as a service sent it, with the plan that was carried out and what each step of it read."""

    service: str
    text: str
    plan: Node

    @property
    def tables(self) -> set[str]:
        """The tables it touched."""
        return {node["Relation Name"] for node in nodes(self.plan) if "Relation Name" in node}

    @property
    def is_introspection(self) -> bool:
        """Whether the driver asks for the database's types, as it does once in a connection."""
        return any(table.startswith("pg_") for table in self.tables)


def nodes(plan: Node) -> Iterator[Node]:
    """Every step of the plan."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def objections(plan: Node, at_most: int, small: Container[str] = SMALL) -> list[str]:
    """What speaks against the plan of a hot query that is about `at_most` rows; empty when nothing does. How the
    `small` tables are read is no matter."""
    found: list[str] = []
    for node in nodes(plan):
        kind, table = node["Node Type"], node.get("Relation Name", "")
        if table in small:
            continue
        if table and kind in ("Seq Scan", "Sample Scan"):
            found.append(f"reads the whole of {table}")
        read = _read(node)
        if read > at_most:
            by = f" by {node['Index Name']}" if "Index Name" in node else ""
            found.append(f"{kind} reads {read:.0f} rows{f' of {table}' if table else ''}{by}")
    pages = plan.get("Shared Hit Blocks", 0) + plan.get("Shared Read Blocks", 0)
    if pages > at_most * PAGES_A_ROW:
        found.append(f"goes through {pages} pages")
    return found


def _read(node: Node) -> float:
    """Rows that a step took into its hands, whether it passed them on or not."""
    thrown_away = ("Rows Removed by Filter", "Rows Removed by Index Recheck", "Rows Removed by Join Filter")
    each = node.get("Actual Rows", 0) + sum(node.get(name, 0) for name in thrown_away)
    return each * node.get("Actual Loops", 1)
