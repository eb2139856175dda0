"""The adapter to zen-engine, the only module that knows it: pipeline versions become decision tables."""

import json
from collections.abc import Sequence
from typing import Any

import zen

from stage_engine.domain.evaluate import EngineFault, ParsedRule, Ruleset, rules_by_stage
from stage_engine.domain.facts import Facts
from stage_engine.domain.grammar import Literal, parse, plain, to_zen
from stage_engine.domain.modes import AS_PUBLISHED, Modes
from stage_engine.domain.pipeline import Pipeline

# The last row of every table. It always holds: its absence from a result means that the table did not run.
CATCH_ALL = "no-rule"


def cell_fault(cell: str) -> str | None:
    """What the engine itself objects to in a cell of our grammar; None when it accepts it."""
    test = to_zen(parse(cell))
    fault = zen.validate_unary_expression(test) if test else None
    return None if fault is None else "{type}: {source}".format_map(fault)


def _tests(parsed: ParsedRule) -> dict[str, str]:
    """The test of each fact that the rule reads; of a fact read more than once, all its tests together."""
    tests: dict[str, list[str]] = {}
    for condition in parsed.conditions:
        tests.setdefault(condition.fact, []).append(to_zen(condition.cell))
    return {fact: " and ".join(filter(None, parts)) for fact, parts in tests.items()}


def _fields(rules: Sequence[ParsedRule]) -> dict[str, str]:
    """The name of each fact inside the engine, where a key such as `sales-feedback` would be a subtraction."""
    facts = sorted({fact for parsed in rules for fact in parsed.facts})
    return {fact: f"f{i}" for i, fact in enumerate(facts)}


def decision_table(rules: Sequence[ParsedRule]) -> dict[str, Any]:
    """The rules of one stage as JDM: every row that holds is collected, so that competing rules can be compared; the
    rows are in the order in which they go first."""
    fields = _fields(rules)
    blank = dict.fromkeys(fields.values(), "")
    rows: list[dict[str, str]] = []
    for parsed in rules:
        tests = {fields[fact]: test for fact, test in _tests(parsed).items()}
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
                    "inputs": [{"id": field, "name": fact, "field": field} for fact, field in fields.items()],
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


class _Table:
    """The table of one stage, ready to run."""

    def __init__(self, name: str, rules: Sequence[ParsedRule]) -> None:
        self.name = name
        self.engine = zen.ZenEngine({"loader": {"type": "static", "content": {name: decision_table(rules)}}})
        # The facts it reads with the labels they have in the engine's context.
        self.labels = [(fact, f'"{field}":') for fact, field in _fields(rules).items()]


class ZenMatcher:
    """Matches the rules of one pipeline version: each open stage is a table of zen-engine, made when it is needed."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._name = f"{pipeline.key}/{{}}@{pipeline.version}"
        self._rules = rules_by_stage(pipeline)
        self._tables: dict[str, _Table] = {}

    def __call__(self, stage_key: str, facts: Facts) -> list[str]:
        """Ids of the rules that hold, those that go first in front. EngineFault when the table did not run."""
        table = self._tables.get(stage_key)
        if table is None:
            # Rules that cannot hold in a stage would only make its table larger.
            possible = [p for p in self._rules[stage_key] if p.possible]
            table = self._tables[stage_key] = _Table(self._name.format(stage_key), possible)
        name = table.name
        known: list[str] = []
        for fact, label in table.labels:
            value = facts.get(fact)
            if value is not None:
                known.append(label + _json(value))
        try:
            response = table.engine.evaluate(name, f"{{{','.join(known)}}}")
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


def compiled(pipeline: Pipeline, modes: Modes = AS_PUBLISHED) -> Ruleset:
    """A pipeline version ready to decide with, its rules as they are in force."""
    as_switched = modes.applied(pipeline)
    return Ruleset(as_switched, ZenMatcher(as_switched), modes.revision, automation=modes.automation)
