"""The judge refuses what would grow with the number of deals, and nothing else."""

import pytest

from tests.plans.judging import Node, Statement, objections

AT_MOST = 100


def scan(kind: str = "Index Scan", table: str = "submission", rows: float = 1, loops: int = 1, **more: object) -> Node:
    return {"Node Type": kind, "Relation Name": table, "Actual Rows": rows, "Actual Loops": loops, **more}


def over(kind: str, *plans: Node, rows: float = 1, **more: object) -> Node:
    return {"Node Type": kind, "Actual Rows": rows, "Actual Loops": 1, "Plans": list(plans), **more}


@pytest.mark.parametrize(
    "plan",
    [
        scan(rows=1),
        scan("Index Only Scan", rows=AT_MOST),
        scan(rows=1, loops=AT_MOST),
        over("Bitmap Heap Scan", scan("Bitmap Index Scan", rows=2), rows=2),
        scan("Seq Scan", "pipeline", rows=3),
        scan("Seq Scan", "outbox", rows=0),
        over("Sort", scan(rows=50), rows=50),
        over("ModifyTable", {"Node Type": "Result", "Actual Rows": 1, "Actual Loops": 1}),
        scan("Index Scan", rows=1, **{"Shared Hit Blocks": 12}),
    ],
)
def test_a_plan_that_reads_what_it_was_asked_about_is_accepted(plan):
    assert objections(plan, AT_MOST) == []


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        (scan("Seq Scan", rows=0), "reads the whole of submission"),
        (over("Limit", scan("Seq Scan", rows=1)), "reads the whole of submission"),
        (over("Nested Loop", scan("Seq Scan", "pipeline"), scan("Seq Scan")), "reads the whole of submission"),
        (scan("Sample Scan"), "reads the whole of submission"),
        (scan(rows=AT_MOST + 1), "Index Scan reads 101 rows of submission"),
        (scan(rows=1, loops=AT_MOST + 1), "Index Scan reads 101 rows of submission"),
        (scan(rows=1, **{"Rows Removed by Filter": 5000}), "Index Scan reads 5001 rows of submission"),
        (scan(rows=0, **{"Rows Removed by Index Recheck": 5000}), "Index Scan reads 5000 rows of submission"),
        (over("Sort", rows=5000), "Sort reads 5000 rows"),
        (over("Hash", rows=5000), "Hash reads 5000 rows"),
        (over("Nested Loop", rows=1, **{"Rows Removed by Join Filter": 5000}), "Nested Loop reads 5001 rows"),
        (
            {"Node Type": "Bitmap Index Scan", "Index Name": "everything", "Actual Rows": 5000, "Actual Loops": 1},
            "Bitmap Index Scan reads 5000 rows by everything",
        ),
        (scan(rows=1, **{"Shared Hit Blocks": 3000, "Shared Read Blocks": 2000}), "goes through 5000 pages"),
    ],
)
def test_a_plan_that_reads_more_is_refused_with_the_reason(plan, reason):
    assert reason in objections(plan, AT_MOST)


def test_a_table_nobody_listed_counts_as_one_that_grows():
    assert objections(scan("Seq Scan", "added_tomorrow"), AT_MOST) == ["reads the whole of added_tomorrow"]


def test_a_table_that_holds_little_here_may_be_read_whole():
    assert objections(scan("Seq Scan", "audit", rows=3), AT_MOST, {"audit"}) == []
    assert objections(scan("Seq Scan", "submission", rows=3), AT_MOST, {"audit"}) != []


def test_many_rows_in_between_count_although_the_table_is_small():
    crossed = over("Nested Loop", scan("Seq Scan", "outbox", rows=500), rows=125_250)
    assert objections(crossed, AT_MOST) == ["Nested Loop reads 125250 rows"]


def test_the_drivers_questions_about_types_are_told_from_queries():
    asked = Statement("scoring", "WITH RECURSIVE typeinfo", over("Hash Join", scan("Seq Scan", "pg_type", rows=651)))
    assert asked.is_introspection and asked.tables == {"pg_type"}
    assert not Statement("scoring", "SELECT", over("Limit", scan())).is_introspection
