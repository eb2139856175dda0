"""The adapter to zen-engine, the only module that knows it: pipeline versions become decision tables."""

import json
from collections.abc import Sequence
from typing import Any

import zen

from stage_engine.domain.evaluate import EngineFault, Facts, ParsedRule, Ruleset, rules_by_stage
from stage_engine.domain.grammar import Literal, parse, plain, to_zen
from stage_engine.domain.pipeline import Pipeline

# The last row of every table. It always holds: its absence from a result means that the table did not run.
CATCH_ALL = "no-rule"


def cell_fault(cell: str) -> str | None:
    """What the engine itself objects to in a cell of our grammar; None when it accepts it."""
    test = to_zen(parse(cell))
    fault = zen.validate_unary_expression(test) if test else None
    return None if fault is None else "{type}: {source}".format_map(fault)


def _columns(rules: Sequence[ParsedRule]) -> list[tuple[str, int]]:
    """One column for a fact, and one more each time a rule tests the fact again."""
    return list(dict.fromkeys(column for parsed in rules for column, _ in _cells(parsed)))


def _cells(parsed: ParsedRule) -> list[tuple[tuple[str, int], str]]:
    seen: dict[str, int] = {}
    cells = []
    for condition in parsed.conditions:
        times = seen.get(condition.fact, 0)
        cells.append(((condition.fact, times), to_zen(condition.cell)))
        seen[condition.fact] = times + 1
    return cells


def _fields(rules: Sequence[ParsedRule]) -> dict[str, str]:
    """The name of each fact inside the engine, where a key such as `sales-feedback` would be a subtraction."""
    facts = sorted({fact for parsed in rules for fact in parsed.facts})
    return {fact: f"f{i}" for i, fact in enumerate(facts)}


def decision_table(rules: Sequence[ParsedRule]) -> dict[str, Any]:
    """The rules of one stage as JDM: every row that holds is collected, so that competing rules can be compared; the
    rows are in the order in which they go first."""
    columns, fields = _columns(rules), _fields(rules)
    ids = {column: f"c{i}" for i, column in enumerate(columns)}
    blank = dict.fromkeys(ids.values(), "")
    rows: list[dict[str, str]] = []
    for parsed in rules:
        tests = {ids[column]: test for column, test in _cells(parsed)}
        rows.append(_row(parsed.rule.rule_id) | blank | tests)
    rows.append(_row(CATCH_ALL) | blank)
    place = {"x": 0, "y": 0}
    return {
        "nodes": [
            {"id": "facts", "type": "inputNode", "name": "facts", "position": place},
            {
                "id": "rules",
                "type": "decisionTableNode",
                "name": "rules",
                "position": place,
                "content": {
                    "hitPolicy": "collect",
                    "inputs": [{"id": ids[c], "name": c[0], "field": fields[c[0]]} for c in columns],
                    "outputs": [{"id": "rule", "name": "rule", "field": "rule"}],
                    "rules": rows,
                },
            },
            {"id": "hits", "type": "outputNode", "name": "hits", "position": place},
        ],
        "edges": [
            {"id": "in", "type": "edge", "sourceId": "facts", "targetId": "rules"},
            {"id": "out", "type": "edge", "sourceId": "rules", "targetId": "hits"},
        ],
    }


def _row(rule_id: str) -> dict[str, str]:
    return {"_id": rule_id, "rule": json.dumps(rule_id)}


def _json(value: Literal) -> str:
    # The engine reads numbers of a JSON text as decimals; floats it would round to 15 digits, so that
    # 99.99999999999999 equals 100.
    return json.dumps(value) if isinstance(value, str) else plain(value)


class ZenMatcher:
    """Matches the rules of one pipeline version: each open stage is a table of zen-engine."""

    def __init__(self, pipeline: Pipeline) -> None:
        tables = rules_by_stage(pipeline)
        names = {stage: f"{pipeline.key}/{stage}@{pipeline.version}" for stage in tables}
        content: dict[str, Any] = {names[stage]: decision_table(rules) for stage, rules in tables.items()}
        self._engine = zen.ZenEngine({"loader": {"type": "static", "content": content}})
        # The name of each stage's table, and the facts it reads with the labels they have in the engine's context.
        self._tables = {
            stage: (names[stage], [(fact, f'"{field}":') for fact, field in _fields(rules).items()])
            for stage, rules in tables.items()
        }

    def __call__(self, stage_key: str, facts: Facts) -> list[str]:
        """Ids of the rules that hold, those that go first in front. EngineFault when the table did not run."""
        name, labels = self._tables[stage_key]
        known: list[str] = []
        for fact, label in labels:
            value = facts.get(fact)
            if value is not None:
                known.append(label + _json(value))
        try:
            response = self._engine.evaluate(name, f"{{{','.join(known)}}}")
        except RuntimeError as error:
            raise EngineFault(f"{name}: {error}") from error
        # The engine's own trace would double the cost and say less than our reading does.
        try:
            rows = [row["rule"] for row in response["result"]]
        except (TypeError, KeyError):
            rows = []
        if not rows or rows.pop() != CATCH_ALL:
            raise EngineFault(f"{name} gave {response['result']}")
        return rows


def compiled(pipeline: Pipeline) -> Ruleset:
    """A pipeline version ready to decide with."""
    return Ruleset(pipeline, ZenMatcher(pipeline))
