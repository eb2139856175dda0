"""No statement has a parameter for each value of a set: PostgreSQL takes 32,767 of them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [path for part in ("libs", "services") for path in sorted((ROOT / part).glob("*/src/**/*.py"))]
# The one place where conditions on sets are made.
ALLOWED = {"libs/kit/src/kit/database/sets.py"}


def offences(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute | ast.Name):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
        if name in ("in_", "not_in", "notin_"):
            yield f"line {node.lineno}: {name}(); use kit.database.sets.among"
        if name == "values" and isinstance(node.func, ast.Attribute) and node.args:
            yield f"line {node.lineno}: values() of a list of rows; use kit.database.bulk.insert"
        if name == "bindparam" and any(keyword.arg == "expanding" for keyword in node.keywords):
            yield f"line {node.lineno}: an expanding parameter; use = ANY(...)"


@pytest.mark.parametrize(
    "source", ["c.id.in_(ids)", "c.id.not_in(ids)", "insert(t).values(rows)", "bindparam('ids', expanding=True)"]
)
def test_a_parameter_for_each_value_is_found(source: str) -> None:
    assert list(offences(source))


def test_no_source_spells_out_a_set() -> None:
    assert len(SOURCES) > 200
    found = {
        place: wrong
        for path in SOURCES
        if (place := str(path.relative_to(ROOT))) not in ALLOWED and (wrong := list(offences(path.read_text())))
    }
    assert found == {}
