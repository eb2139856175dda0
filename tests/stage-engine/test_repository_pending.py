"""Lists of what waits for people read an index, however much has ended."""

import re
from typing import Any
from uuid import UUID

import pytest
from kit.http.ownership import Owners
from sqlalchemy import Select, text
from sqlalchemy.dialects import postgresql
from stage_engine.repository.pending import Decider, approvals_page, named_page, owned_page, proposals_page

from tests.stage_engine import Tenant

pytestmark = pytest.mark.stack

ROWS, OWNERS, MOST_READ = 100_000, 1000, 4000
FIRST = UUID(int=0)
_APPROVALS = """
    INSERT INTO approval (tenant_id, approval_id, opportunity_id, object_type, pipeline_key, owner_id, number,
        from_stage, to_stage, rule_id, asked_by, reason_code, text, needed, approved_by, asked_at, expires_at, state,
        ended_by, ended_text, missing)
    SELECT '{tenant}', ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'o' || n, 'opportunity', 'p',
        'u' || n % {owners}, 1, 'a', 'b', '', 'u' || n % {owners}, '', '', 2, '[]', now(), now(),
        CASE WHEN n % 100 = 0 THEN 'pending' ELSE 'approved' END, '', '', '[]'
    FROM generate_series(1, {rows}) AS n
"""
_APPROVERS = """
    INSERT INTO approver (tenant_id, approval_id, name)
    SELECT tenant_id, approval_id, name
    FROM approval, LATERAL (VALUES ('manager_of_owner'), ('role:manager'), ('barred:' || asked_by),
        ('person:cfo' || number % 50)) AS of (name)
    WHERE state = 'pending' AND tenant_id = '{tenant}'
"""
_PROPOSALS = """
    INSERT INTO proposal (tenant_id, proposal_id, opportunity_id, object_type, pipeline_key, owner_id, number, rule_id,
        from_stage, to_stage, why, made_at, expires_at, state, ended_by, ended_text, missing)
    SELECT '{tenant}', ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'o' || n, 'opportunity', 'p',
        'u' || n % {owners}, 1, 'r' || n % 20, 'a', 'b', '{{}}', now(), now(),
        CASE WHEN n % 100 = 0 THEN 'open' ELSE 'accepted' END, '', '', '[]'
    FROM generate_series(1, {rows}) AS n
"""


def pages() -> dict[str, Select[Any]]:
    """Every list, as each kind of caller asks for it."""
    all_, rep, manager = Owners(None), Owners(frozenset({"u7"})), Owners(frozenset(f"u{n}" for n in range(100, 120)))
    of = Decider("boss", frozenset({"manager"}), frozenset({"ceo"}), manager.person_ids or frozenset())
    admin = Decider("admin", frozenset({"admin", "manager"}), frozenset(), frozenset())
    return {
        "all approvals": approvals_page(None, all_, FIRST, 51),
        "pending approvals": approvals_page("pending", all_, FIRST, 51),
        "of a rep": approvals_page("pending", rep, FIRST, 51),
        "all of a rep": approvals_page(None, rep, FIRST, 51),
        "of a team": approvals_page("pending", manager, FIRST, 51),
        "that name a person": named_page(of.names, of.person_id, FIRST, 51),
        "for a manager to decide": owned_page(of, manager, FIRST, 51),
        "for an administrator to decide": owned_page(admin, all_, FIRST, 51),
        "all proposals": proposals_page(None, all_, FIRST, 51),
        "open proposals": proposals_page("open", all_, FIRST, 51),
        "proposals of a rep": proposals_page("open", rep, FIRST, 51),
        "proposals of a team": proposals_page("open", manager, FIRST, 51),
    }


async def test_lists_read_few_rows(world_of: Tenant) -> None:
    given = {"tenant": world_of.tenant, "owners": OWNERS, "rows": ROWS}
    for statement in (_APPROVALS, _APPROVERS, _PROPOSALS):
        await world_of.rows(statement.format(**given))
    await world_of.rows("ANALYZE approval, approver, proposal")
    async with world_of.service.database.unit_of_work(world_of.tenant) as uow:
        for name, page in pages().items():
            asked = page.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
            found = await uow.session.execute(text(f"EXPLAIN (ANALYZE, TIMING off) {asked}".replace(":", "\\:")))
            plan = "\n".join(row[0] for row in found)
            assert "Seq Scan on approval" not in plan and "Seq Scan on proposal" not in plan, (name, plan)
            read = sum(int(float(rows)) * int(loops) for rows, loops in _READ.findall(plan))
            removed = sum(map(int, re.findall(r"Rows Removed by Filter: (\d+)", plan)))
            assert read + removed < MOST_READ, (name, plan)


_READ = re.compile(r"Scan .*\(actual rows=([\d.]+) loops=(\d+)\)")
