"""Assignment: which rule chooses whom, and why."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from stage_engine.domain.assigned import Assigned
from stage_engine.domain.assignment import (
    MOST_ABSENCES,
    MOST_FACTS,
    MOST_FALLBACKS,
    MOST_OF_A_POOL,
    MOST_POOLS,
    MOST_RULES,
    Absence,
    AssignmentRule,
    AssignmentRules,
    Bench,
    Goal,
    Pool,
    Turn,
    Worker,
    assign,
    taken,
)
from stage_engine.domain.calendar import DEFAULT
from stage_engine.domain.finding import Severity
from stage_engine.domain.installing import merged, staffed
from stage_engine.domain.lint_assignment import assignment_findings
from stage_engine.domain.literals import FactType
from stage_engine.domain.rules import DeclaredFact
from stage_engine.domain.stages import Condition
from stage_engine.engine import cell_fault
from stage_engine.processes import process_templates
from stage_engine.schemas.assignment import out

MONDAY = datetime(2026, 3, 2, 10, tzinfo=UTC)
INDUSTRY = "account.industry"
DECLARED = (DeclaredFact(INDUSTRY, FactType.TEXT), DeclaredFact("account.owner", FactType.TEXT))


def worker(person_id: str, load: int = 0, hours_ago: int | None = None, active: bool = True) -> Worker:
    last = None if hours_ago is None else MONDAY - timedelta(hours=hours_ago)
    return Worker(person_id, active, load, last, DEFAULT)


def bench(*workers: Worker) -> Bench:
    return {each.person_id: each for each in workers}


def rule(rule_id: str, to: Goal, *conditions: tuple[str, str], role: str = "owner") -> AssignmentRule:
    return AssignmentRule(rule_id, tuple(Condition(*each) for each in conditions), to, role)


BANKS = rule("banks", Goal(pool="banking"), (INDUSTRY, "'Banking'"))
LARGE = rule("large", Goal(person="mona"), ("opportunity.amount", "> 50000"))
RULES = AssignmentRules(
    (BANKS, LARGE), (Pool("banking", ("rita", "ron")),), fallback={"owner": Goal(person="desk")}, facts=DECLARED
)
PEOPLE = bench(worker("rita"), worker("ron"), worker("mona"), worker("desk"))


def owner(rules: AssignmentRules, facts: dict[str, Any], people: Bench = PEOPLE, now: datetime = MONDAY) -> Assigned:
    return assign(rules, facts, people, now)[0]


class TestAssign:
    def test_the_first_rule_that_holds_decides_and_says_why(self) -> None:
        facts = {INDUSTRY: "Banking", "opportunity.amount": Decimal(90_000)}
        chosen = owner(RULES, facts)
        assert (chosen.person_id, chosen.rule_id, chosen.pool) == ("rita", "banks", "banking")
        assert "account.industry is 'Banking'" in chosen.reason
        assert owner(replace(RULES, rules=(LARGE, BANKS)), facts).person_id == "mona"

    def test_without_a_rule_the_fallback_takes_it(self) -> None:
        chosen = owner(RULES, {})
        assert (chosen.person_id, chosen.rule_id) == ("desk", "")
        assert chosen.reason.startswith("no rule holds; fallback")
        unassigned = owner(replace(RULES, fallback={}), {})
        assert (unassigned.person_id, "no fallback" in unassigned.reason) == ("", True)

    def test_an_unknown_fact_or_another_currency_makes_no_rule_hold(self) -> None:
        assert owner(RULES, {"opportunity.amount": Decimal(90_000)}).person_id == "mona"
        other = {"opportunity.amount": Decimal(90_000), "opportunity.currency": "JPY"}
        assert owner(RULES, other).person_id == "desk"

    @pytest.mark.parametrize(
        ("people", "why"),
        [
            (bench(worker("ron", active=False), worker("rita", active=False)), "has left"),
            (bench(), "is no user of the CRM"),
            (bench(worker("ron", 3), worker("rita", 9)), "is at capacity with 3"),
        ],
    )
    def test_who_cannot_take_it_is_passed_over_with_the_reason(self, people: Bench, why: str) -> None:
        pool = Pool("banking", ("rita", "ron"), capacity=3)
        chosen = owner(replace(RULES, pools=(pool,)), {INDUSTRY: "Banking"}, {**people, "desk": worker("desk")})
        assert (chosen.person_id, why in chosen.reason) == ("desk", True)

    def test_the_next_rule_that_holds_is_asked_where_the_first_finds_no_person(self) -> None:
        facts = {INDUSTRY: "Banking", "opportunity.amount": Decimal(90_000)}
        chosen = owner(RULES, facts, bench(worker("mona"), worker("desk")))
        assert (chosen.person_id, chosen.rule_id) == ("mona", "large")
        assert chosen.reason.startswith("banks holds, but")

    def test_the_absent_take_nothing_until_they_are_back(self) -> None:
        away = Absence("rita", MONDAY, MONDAY + timedelta(days=1))
        rules = replace(RULES, absences=(away,))
        assert owner(rules, {INDUSTRY: "Banking"}).person_id == "ron"
        assert owner(rules, {INDUSTRY: "Banking"}, now=away.until).person_id == "rita"

    def test_only_those_at_work_take_part_where_hours_are_asked(self) -> None:
        rules = replace(RULES, pools=(Pool("banking", ("rita", "ron"), working_hours=True),))
        assert owner(rules, {INDUSTRY: "Banking"}).person_id == "rita"
        sunday = owner(rules, {INDUSTRY: "Banking"}, now=MONDAY - timedelta(days=1))
        assert (sunday.person_id, "outside working hours" in sunday.reason) == ("desk", True)
        closing = MONDAY.replace(hour=17)
        assert owner(rules, {INDUSTRY: "Banking"}, now=closing).person_id == "desk"
        assert owner(rules, {INDUSTRY: "Banking"}, now=MONDAY.replace(hour=9)).person_id == "rita"

    def test_who_has_least_or_waited_longest_goes_first(self) -> None:
        people = bench(worker("rita", 5, 9), worker("ron", 2, 1), worker("desk"))
        facts = {INDUSTRY: "Banking"}
        assert owner(RULES, facts, people).person_id == "ron"
        turns = replace(RULES, pools=(Pool("banking", ("rita", "ron"), Turn.ROUND_ROBIN),))
        assert owner(turns, facts, people).person_id == "rita"
        assert owner(turns, facts, {**people, "ron": worker("ron", 2)}).person_id == "ron"

    def test_a_fact_may_name_the_person(self) -> None:
        rules = replace(RULES, rules=(rule("theirs", Goal(person_of="account.owner")),))
        assert owner(rules, {"account.owner": "mona"}).person_id == "mona"
        assert owner(rules, {}).person_id == "desk"
        assert owner(rules, {"account.owner": "gone"}).person_id == "desk"

    def test_roles_of_a_team_are_given_the_same_way(self) -> None:
        engineer = rule("se", Goal(person="mona"), role="engineer")
        rules = replace(RULES, rules=(*RULES.rules, engineer))
        assert [(each.role, each.person_id) for each in assign(rules, {}, PEOPLE, MONDAY)] == [
            ("owner", "desk"), ("engineer", "mona"),
        ]  # fmt: skip

    def test_another_owner_is_found_for_what_was_left_alone(self) -> None:
        [chosen] = assign(RULES, {INDUSTRY: "Banking"}, PEOPLE, MONDAY, besides={"rita"})
        assert (chosen.person_id, "rita had it before" in chosen.reason) == ("ron", True)

    def test_it_stays_in_its_pool_whatever_is_known_by_now(self) -> None:
        [first] = assign(RULES, {INDUSTRY: "Banking"}, PEOPLE, MONDAY)
        again = assign(RULES, {}, PEOPLE, MONDAY, besides={first.person_id}, before={first.role: first})
        assert {first.person_id, again[0].person_id} == {"rita", "ron"}
        assert again[0].pool == first.pool
        alone = assign(RULES, {}, PEOPLE, MONDAY, besides={"rita", "ron"}, before={first.role: first})
        assert (alone[0].person_id, alone[0].pool) == ("desk", "")


@settings(max_examples=50)
@given(
    loads=st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 5), min_size=1),
    turn=st.sampled_from(Turn),
    number=st.integers(1, 30),
)
def test_a_pool_shares_evenly_whatever_its_order(loads: dict[str, int], turn: Turn, number: int) -> None:
    def shares(people: tuple[str, ...]) -> list[str]:
        rules = AssignmentRules((rule("all", Goal(pool="p")),), (Pool("p", people, turn, capacity=20),))
        chosen, now = list[str](), MONDAY
        able = bench(*(worker(each, load) for each, load in loads.items()))
        for n in range(number):
            now = MONDAY + timedelta(minutes=n)
            one = assign(rules, {}, able, now)
            chosen.append(one[0].person_id)
            able = taken(able, one, now)
        return chosen

    first = shares(tuple(loads))
    assert shares(tuple(reversed(loads))) == first
    assert all(first.count(each) + load <= 20 for each, load in loads.items())
    if turn is Turn.ROUND_ROBIN and "" not in first:
        counts = [first.count(each) for each in loads]
        full = any(first.count(each) + load == 20 for each, load in loads.items())
        assert full or max(counts) - min(counts) <= 1
    elif "" not in first:
        ends = {each: load + first.count(each) for each, load in loads.items() if each in first}
        assert max(ends.values()) - min(ends.values()) <= 1


class Counted(dict[str, Worker]):
    """A bench that counts how often someone is looked at."""

    looks = 0

    def __getitem__(self, key: str) -> Worker:
        self.looks += 1
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.looks += 1
        return super().get(key, default)


@pytest.mark.parametrize("away", [True, False])
def test_however_many_rules_lead_to_a_pool_each_of_its_people_is_looked_at_once(away: bool) -> None:
    ids = [f"p{n:03}" for n in range(MOST_OF_A_POOL)]
    pool = Pool("all", tuple(ids), capacity=1, working_hours=True)
    absences = tuple(Absence(each, MONDAY, MONDAY + timedelta(days=1)) for each in ids)
    led = tuple(replace(rule("r", Goal(pool="all")), rule_id=f"r{n}") for n in range(MOST_RULES))
    rules = AssignmentRules(led, (pool,), absences if away else (), {"owner": Goal(pool="all")})
    counted = Counted(bench(*(worker(each, 5) for each in ids)))
    [chosen] = assign(rules, {}, counted, MONDAY)
    assert chosen.person_id == ("" if away else "p000")
    assert counted.looks <= 4 * len(ids)
    # The reason is kept with the subject: it names the first, and counts the rest.
    assert len(chosen.reason) < 10_000
    assert f"and {MOST_RULES - 10} more rules" in chosen.reason
    assert f"and {MOST_OF_A_POOL - 10} more people" in chosen.reason


@pytest.mark.parametrize(
    ("rules", "code", "pointer"),
    [
        (replace(RULES, rules=(BANKS, BANKS)), "rule_duplicate", "/rules/0/rule_id"),
        (replace(RULES, facts=()), "fact_unknown", "/rules/0/conditions/0/fact"),
        (replace(RULES, rules=(rule("x", Goal()),)), "goal_unclear", "/rules/0/to"),
        (replace(RULES, rules=(rule("x", Goal("rita", pool="banking")),)), "goal_unclear", "/rules/0/to"),
        (replace(RULES, pools=()), "pool_unknown", "/rules/0/to/pool"),
        (replace(RULES, pools=(Pool("banking", ()),)), "pool_empty", "/pools/0/people"),
        (replace(RULES, pools=(*RULES.pools, *RULES.pools)), "pool_duplicate", "/pools/0/key"),
        (replace(RULES, rules=(LARGE,)), "pool_unused", "/pools/0"),
        (replace(RULES, fallback={}), "fallback_missing", "/fallback"),
        (replace(RULES, absences=(Absence("rita", MONDAY, MONDAY),)), "absence_empty", "/absences/0/until"),
        (replace(RULES, rules=(rule("x", Goal("rita")), BANKS)), "rule_shadowed", "/rules/1"),
        (replace(RULES, rules=(rule("x", Goal("rita"), ("visit.age_days", "> 1")),)), "fact_worked_out",
         "/rules/0/conditions/0/fact"),
    ],
)  # fmt: skip
def test_what_cannot_assign_is_found(rules: AssignmentRules, code: str, pointer: str) -> None:
    assert (code, pointer) in [(each.code, each.pointer) for each in assignment_findings("lead", rules, cell_fault)]


@pytest.mark.parametrize(
    ("rules", "pointer"),
    [
        (replace(RULES, rules=(LARGE,) * (MOST_RULES + 1)), "/rules"),
        (replace(RULES, pools=RULES.pools * (MOST_POOLS + 1)), "/pools"),
        (replace(RULES, absences=(Absence("rita", MONDAY, MONDAY),) * (MOST_ABSENCES + 1)), "/absences"),
        (replace(RULES, fallback={f"r{n}": Goal("rita") for n in range(MOST_FALLBACKS + 1)}), "/fallback"),
        (replace(RULES, facts=RULES.facts * (MOST_FACTS + 1)), "/facts"),
        (replace(RULES, pools=(Pool("banking", ("rita",) * (MOST_OF_A_POOL + 1)),)), "/pools/0/people"),
    ],
)
def test_no_more_come_into_force_than_can_be_shown(rules: AssignmentRules, pointer: str) -> None:
    found = assignment_findings("lead", rules, cell_fault)
    assert ("too_many", pointer) in [(each.code, each.pointer) for each in found]
    with pytest.raises(ValidationError):
        out("lead", 1, rules, [])


def test_installing_a_process_again_and_again_ends_before_its_rules_cannot_be_shown() -> None:
    shipped = process_templates()["expected_to_qualified"]
    people = {pool: ["rita"] for pool in shipped.pools}
    there: AssignmentRules | None = None
    for number in range(MOST_POOLS):
        there = merged(there, staffed(shipped.assignment_rules["opportunity"], f"p{number}", people)).rules
        errors = [e for e in assignment_findings("opportunity", there, cell_fault) if e.severity is Severity.ERROR]
        if errors:
            break
        assert len(out("opportunity", 1, there, []).rules) == len(there.rules)
    assert {each.code for each in errors} == {"too_many"}


def test_sound_rules_have_no_findings() -> None:
    assert assignment_findings("lead", RULES, cell_fault) == []
