"""What a condition is made of, and how it is written. `forms.conditions` has the grammar."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

Literal = str | Decimal | bool | tuple[str | Decimal | bool, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    question_key: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """`operator` is one of = != < <= > >= contains notcontains anyof allof noneof."""

    operator: str
    left: "Operand"
    right: "Operand"


@dataclass(frozen=True, slots=True)
class Emptiness:
    operand: Reference
    empty: bool


@dataclass(frozen=True, slots=True)
class Truth:
    """An operand alone, which holds when its value is true-like."""

    operand: "Operand"


@dataclass(frozen=True, slots=True)
class Not:
    part: "Condition"


@dataclass(frozen=True, slots=True)
class And:
    parts: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class Or:
    parts: "tuple[Condition, ...]"


Operand = Reference | Literal
Condition = Comparison | Emptiness | Truth | Not | And | Or

Leaf = Comparison | Emptiness | Truth


def leaves(condition: Condition) -> Iterator[Leaf]:
    """The tests on operands that a condition is built of."""
    match condition:
        case And(parts) | Or(parts):
            for part in parts:
                yield from leaves(part)
        case Not(part):
            yield from leaves(part)
        case _:
            yield condition


def references(condition: Condition) -> frozenset[str]:
    """Keys of the questions a condition looks at."""
    return frozenset(
        operand.question_key
        for leaf in leaves(condition)
        for operand in operands(leaf)
        if isinstance(operand, Reference)
    )


def operands(leaf: Leaf) -> tuple[Operand, ...]:
    return (leaf.left, leaf.right) if isinstance(leaf, Comparison) else (leaf.operand,)


def written(condition: Condition) -> str:
    """The condition as its author could have written it; `parse` reads it back."""
    match condition:
        case And(parts):
            return "(" + " and ".join(map(written, parts)) + ")"
        case Or(parts):
            return "(" + " or ".join(map(written, parts)) + ")"
        case Not(part):
            return f"!({written(part)})"
        case Comparison(operator, left, right):
            return f"{_operand(left)} {operator} {_operand(right)}"
        case Emptiness(operand, empty):
            return f"{_operand(operand)} {'empty' if empty else 'notempty'}"
        case Truth(operand):
            return _operand(operand)


def _operand(operand: Operand) -> str:
    match operand:
        case Reference(key):
            return f"{{{key}}}"
        case bool():
            return str(operand).lower()
        case Decimal():
            return format(operand, "f")
        case str():
            return "'" + operand.replace("'", "\\'").replace('"', '\\"') + "'"
        case tuple():
            return "[" + ", ".join(map(_operand, operand)) + "]"
