"""What the pages about the design name is there: tests, decisions, and the files that they link to."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEMANTICS = ROOT / "docs/semantics-and-tests.md"
ADR = ROOT / "docs/adr"
PAGES = sorted(ADR.glob("0*.md"))


def rows(page: Path) -> list[list[str]]:
    """The cells of each line of its tables."""
    lines = page.read_text().splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]


def test_every_rule_and_edge_case_has_tests_that_exist() -> None:
    found = {row[0]: re.findall(r"\[(test_\w+)\]\(\.\./([\w/.-]+)\)", row[2]) for row in rows(SEMANTICS)}
    named = {key: tests for key, tests in found.items() if re.fullmatch(r"S?\d+", key)}
    assert named.keys() == {f"S{n}" for n in range(1, 17)} | {str(n) for n in range(1, 30)}
    for key, tests in named.items():
        assert tests, key
        for name, file in tests:
            assert re.search(rf"def {name}\b", (ROOT / file).read_text()), (key, name, file)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem[:4])
def test_a_decision_has_its_number_date_and_status_as_the_index_says(page: Path) -> None:
    title, _, status, *_ = page.read_text().splitlines()
    index = {row[0]: row[1:] for row in rows(ADR / "README.md")}
    number, name = page.stem[:4], title.removeprefix(f"# {page.stem[:4]} ")
    assert title == f"# {number} {name}"
    assert status == " · ".join(index[f"[{number}]({page.name})"][:2])
    assert index[f"[{number}]({page.name})"][2] == name
    assert re.match(r"\d{4}-\d\d-\d\d · accepted(; replaces .+)?$", status)


def test_numbers_are_given_once_and_those_that_are_gone_were_replaced() -> None:
    numbers = [int(page.stem[:4]) for page in PAGES]
    said = [page.read_text().splitlines()[2].partition("; replaces ")[2] for page in PAGES]
    replaced = {int(number) for each in said for number in re.findall(r"\d{4}", each)}
    assert sorted({*numbers, *replaced}) == list(range(1, max(numbers) + 1))
    assert len(numbers) == len(set(numbers)) and not replaced & set(numbers)
    assert len([row for row in rows(ADR / "README.md") if row[0].startswith("[")]) == len(numbers)
