"""What a shipped process becomes at a tenant."""

from dataclasses import replace
from typing import Any

import pytest
from kit.http.auth import Principal
from stage_engine.domain.assignment import AssignmentRule, AssignmentRules, Goal, Pool
from stage_engine.domain.document import from_document
from stage_engine.domain.finding import Severity
from stage_engine.domain.installing import merged, renamed, same_content, staffed
from stage_engine.domain.lint import lint
from stage_engine.domain.pipeline import FactType
from stage_engine.domain.rules import DeclaredFact
from stage_engine.engine import cell_fault
from stage_engine.processes import process_templates
from stage_engine.service.assignment_rules import checked
from stage_engine.service.installing import order_of
from stage_engine.templates import templates

ME = Principal("acme", "ada", "", frozenset(), frozenset())
RULES = AssignmentRules(
    rules=(AssignmentRule("in_turn", (), Goal(pool="inside")),),
    pools=(Pool("inside", ("rita",)),),
    fallback={"owner": Goal(pool="inside")},
    facts=(DeclaredFact("lead.industry", FactType.TEXT),),
)


@pytest.mark.parametrize("prefix", ["", "emea"])
@pytest.mark.parametrize("key", sorted(process_templates()))
def test_each_process_can_be_published_under_any_prefix(key: str, prefix: str) -> None:
    order = order_of(key, prefix, {}, ME, take_over_default=False)
    for content in order.pipelines:
        pipeline = from_document(content, 1)
        errors = [each for each in lint(pipeline, {}, cell_fault) if each.severity is Severity.ERROR]
        assert errors == []
        assert set(pipeline.assessment_keys) <= set(order.assessments)
        assert pipeline.key.startswith(prefix)
    for object_type, rules in order.assignment_rules.items():
        assert all(each.severity is not Severity.ERROR for each in checked(object_type, rules))
        assert all(pool.people == ("ada",) for pool in rules.pools)


def test_a_prefix_begins_the_keys_that_must_not_meet_and_no_others() -> None:
    content: dict[str, Any] = templates()["field_example"] | {
        "assessment_max_age": {"demo": 30},
        "reassign": {"leads": {"prospecting": "discovery"}},
        "on_first_sight": [{"key": "a", "kind": "task", "text": "{demo.score|none} {demography.x}"}],
    }
    found = renamed(content, "emea", ["prospecting", "demo"])
    assert (found["key"], found["is_default"]) == ("emea_field_example", False)
    # Stages keep their keys, also where an assessment is called the same.
    assert [stage["key"] for stage in found["stages"]] == [stage["key"] for stage in content["stages"]]
    assert found["stages"][0]["assessment_keys"] == ["emea_prospecting"]
    assert found["rules"][0]["conditions"] == [{"fact": "emea_prospecting.score", "cell": "> 60"}]
    assert found["rules"][1]["conditions"] == [{"fact": "discovery.score", "cell": "> 75"}]
    assert found["assessment_max_age"] == {"emea_demo": 30}
    assert found["reassign"] == {"emea_leads": {"prospecting": "discovery"}}
    assert found["on_first_sight"][0]["text"] == "{emea_demo.score|none} {demography.x}"
    assert renamed(content, "", ["prospecting"]) == content


def test_the_same_pipeline_is_the_same_whatever_it_was_released_with() -> None:
    content = templates()["field_example"]
    assert same_content({**content, "assessment_versions": {"demo": 3}}, content)
    assert not same_content({**content, "name": "Ours"}, content)


def test_what_is_there_stays_and_goes_first() -> None:
    ours = staffed(RULES, "", {"inside": ["ron"]})
    assert merged(None, ours).rules == ours
    again = merged(ours, staffed(RULES, "", {"inside": ["sam"]}))
    assert (again.rules, again.clashes) == (ours, ())
    beside = merged(ours, staffed(RULES, "emea", {"inside": ["sam"]})).rules
    assert [rule.rule_id for rule in beside.rules] == ["in_turn", "emea_in_turn"]
    assert [(pool.key, pool.people) for pool in beside.pools] == [("inside", ("ron",)), ("emea_inside", ("sam",))]
    assert beside.fallback == {"owner": Goal(pool="inside")}


def test_another_content_under_the_same_key_is_named() -> None:
    other_rule = replace(RULES, rules=(replace(RULES.rules[0], role="engineer"),))
    other_fact = replace(RULES, facts=(DeclaredFact("lead.industry", FactType.TEXTS),))
    assert [pointer for pointer, _ in merged(other_rule, RULES).clashes] == ["/rules/in_turn"]
    assert [pointer for pointer, _ in merged(other_fact, RULES).clashes] == ["/facts/lead.industry"]
