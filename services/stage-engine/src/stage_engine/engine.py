"""The adapter to zen-engine, the only module that knows it: pipeline versions become decision tables."""

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any

import zen
from kit.numbers import plain

from stage_engine.domain.evaluate import EngineFault, Ruleset
from stage_engine.domain.facts import Facts
from stage_engine.domain.grammar import Among, Blank, Both, Cell, Is, OneOf, Presence, Range, Scale, parse
from stage_engine.domain.literals import Known, Moment
from stage_engine.domain.modes import AS_PUBLISHED, Modes
from stage_engine.domain.parsed import ParsedRule, Tables
from stage_engine.domain.pipeline import Pipeline

# The last row of every table. It always holds: its absence from a result means that the table did not run.
CATCH_ALL = "no-rule"


def cell_fault(cell: str) -> str | None:
    """What the engine itself objects to in a cell of our grammar; None when it accepts it."""
    test = to_zen(parse(cell))
    fault = zen.validate_unary_expression(test) if test else None
    return None if fault is None else "{type}: {source}".format_map(fault)


class _Column(Enum):
    """How a fact is given to the engine; a test names the one that it reads."""

    VALUE = 0
    TEXTS = 1
    AT = 2
    AHEAD = 3
    PRESENT = 4


def _column(cell: Cell) -> _Column:
    match cell:
        case Presence():
            return _Column.PRESENT
        case Among():
            return _Column.TEXTS
        case OneOf(scale=scale) | Range(scale=scale) if scale is not Scale.NUMBER:
            return _Column.AT if scale is Scale.AT else _Column.AHEAD
        case _:
            return _Column.VALUE


def to_zen(cell: Cell) -> str:
    """The cell as a unary test of zen-engine. `$` is always written out: the bare forms `= 100` and `1.50` pass for
    tests that never match."""
    match cell:
        case Blank():
            return ""
        case Presence(known):
            return "$ == true" if known else "$ == null"
        case Is(wanted):
            return f"$ == {json.dumps(wanted)}"
        case Among(values, has_one):
            return f"{'some' if has_one else 'none'}($, # in [{', '.join(map(_literal, values))}])"
        case OneOf(values) if len(values) == 1:
            return f"$ == {_literal(values[0])}"
        case OneOf(values):
            return f"$ in [{', '.join(map(_literal, values))}]"
        case Range(low, low_closed, high, high_closed):
            tests = []
            if low is not None:
                tests.append(f"$ {'>=' if low_closed else '>'} {plain(low)}")
            if high is not None:
                tests.append(f"$ {'<=' if high_closed else '<'} {plain(high)}")
            return " and ".join(tests)
        case Both(cells):
            return " and ".join(map(to_zen, cells))


def _literal(value: Decimal | str) -> str:
    return plain(value) if isinstance(value, Decimal) else f"'{value}'"


Field = tuple[str, _Column]


def _tests(parsed: ParsedRule) -> dict[Field, str]:
    """The test of each column that the rule reads; of one read more than once, all its tests together."""
    tests: dict[Field, list[str]] = {}
    for condition in parsed.conditions:
        tests.setdefault((condition.fact, _column(condition.cell)), []).append(to_zen(condition.cell))
    return {field: " and ".join(filter(None, parts)) for field, parts in tests.items()}


def _fields(rules: Sequence[ParsedRule]) -> dict[Field, str]:
    """The name of each column inside the engine, where a key such as `sales-feedback` would be a subtraction."""
    read = {(c.fact, _column(c.cell)) for parsed in rules for c in parsed.conditions}
    fields = sorted(read, key=lambda field: (field[0], field[1].value))
    return {field: f"f{i}" for i, field in enumerate(fields)}


def decision_table(rules: Sequence[ParsedRule]) -> dict[str, Any]:
    """The rules of one stage as JDM: every row that holds is collected, so that competing rules can be compared; the
    rows are in the order in which they go first."""
    fields = _fields(rules)
    blank = dict.fromkeys(fields.values(), "")
    rows: list[dict[str, str]] = []
    for parsed in rules:
        tests = {fields[field]: test for field, test in _tests(parsed).items()}
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
                    "inputs": [{"id": name, "name": field[0], "field": name} for field, name in fields.items()],
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


# The engine reads numbers of a JSON text as decimals; floats it would round to 15 digits, so that 99.99999999999999
# equals 100.
def _value(value: Known) -> str:
    if value.__class__ is Decimal:
        return plain(value)  # pyright: ignore[reportArgumentType]
    return json.dumps(value) if isinstance(value, (str, bool)) else ""


def _texts(value: Known) -> str:
    if isinstance(value, str):
        return json.dumps([value])
    return json.dumps(sorted(value)) if isinstance(value, frozenset) else ""


_WRITERS: dict[_Column, Callable[[Known], str]] = {
    _Column.VALUE: _value,
    _Column.TEXTS: _texts,
    _Column.AT: lambda value: plain(value.at) if isinstance(value, Moment) else "",
    _Column.AHEAD: lambda value: plain(value.ahead) if isinstance(value, Moment) else "",
    _Column.PRESENT: lambda value: "true",
}


class _Table:
    """The table of one stage, ready to run."""

    def __init__(self, name: str, rules: Sequence[ParsedRule]) -> None:
        self.name = name
        self.engine = zen.ZenEngine({"loader": {"type": "static", "content": {name: decision_table(rules)}}})
        # The facts it reads, the labels they have in the engine's context, and what writes their values: nothing
        # where a value has not the kind of the column.
        self.labels = [(fact, f'"{name}":', _WRITERS[column]) for (fact, column), name in _fields(rules).items()]


class ZenMatcher:
    """Matches the rules of one pipeline version: each open stage is a table of zen-engine, made when it is needed. So
    are the criteria and milestones of a stage."""

    def __init__(self, read: Tables) -> None:
        self._name = f"{read.pipeline.key}/{{}}@{read.pipeline.version}"
        self._rules = read.every()
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
        for fact, label, write in table.labels:
            value = facts.get(fact)
            if value is not None and (text := write(value)):
                known.append(label + text)
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
    read, opened = Tables.of(modes.applied(pipeline)), modes.breaker_open
    return Ruleset(read, ZenMatcher(read), modes.revision, automation=modes.automation, breaker_open=opened)
