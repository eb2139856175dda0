"""No expression of a service or a library can be made to try exponentially many ways."""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PACKAGES = ["kit", "forms", "assessment", "scoring", "stage_engine", "crm_connector", "recommender"]
# The parser of `re` is the only one that agrees with it, and it has no public name.
_parser: Any = importlib.import_module("re._parser")
_REPEATS = {"MAX_REPEAT", "MIN_REPEAT"}


def modules(package: str) -> Iterator[ModuleType]:
    root = importlib.import_module(package)
    yield root
    for found in pkgutil.walk_packages(root.__path__, f"{package}."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def expressions(module: ModuleType) -> Iterator[str]:
    """Those compiled at import, and those written where they are used."""
    yield from (value.pattern for value in vars(module).values() if isinstance(value, re.Pattern))
    for node in ast.walk(ast.parse(Path(module.__file__ or "").read_text())):
        match node:
            case ast.Call(ast.Attribute(ast.Name("re")), [ast.Constant(str(pattern)), *_]):
                yield pattern


def nested(parsed: Any, *, inside: bool = False) -> bool:
    """Whether something that repeats without end holds something that does as well: what both match is ambiguous."""
    for operation, argument in parsed:
        repeats = str(operation) in _REPEATS and argument[1] is _parser.MAXREPEAT
        if inside and repeats:
            return True
        if any(nested(part, inside=inside or repeats) for part in parts(argument)):
            return True
    return False


def parts(argument: Any) -> Iterator[Any]:
    if isinstance(argument, _parser.SubPattern):
        yield argument
    elif isinstance(argument, list | tuple):
        for each in argument:
            yield from parts(each)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_repetition_repeats_without_end(package: str) -> None:
    found = {pattern for module in modules(package) for pattern in expressions(module)}
    assert [pattern for pattern in found if nested(_parser.parse(pattern, re.VERBOSE))] == []


@pytest.mark.parametrize("pattern", [r"(a+)+", r"(?:[^\W\d_]+[\s/]*)+", r"(?:x|y*)*z", r"((?:a*)b?)*"])
def test_one_that_does_is_found(pattern: str) -> None:
    assert nested(_parser.parse(pattern))
