"""What the check of a pipeline finds."""

from decimal import Decimal
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from stage_engine.domain.boxes import intersect
from stage_engine.domain.document import from_document
from stage_engine.domain.finding import LintFinding, ScoreReach, Severity
from stage_engine.domain.grammar import Cell
from stage_engine.domain.lint import lint
from stage_engine.domain.lint_approvals import approval_findings
from stage_engine.domain.lint_criteria import stage_findings
from stage_engine.domain.lint_overlap import overlap_findings
from stage_engine.domain.pipeline import Pipeline
from stage_engine.engine import cell_fault, compiled
from stage_engine.schemas.pipelines import DraftBody
from stage_engine.templates import templates
from testing.pace import spent

from tests.rule_tables import largest_pipeline, tables

PROSPECTING = ScoreReach(Decimal(10), Decimal(70), tuple(map(Decimal, (10, 20, 40, 50, 70))))

REACH = {
    "prospecting": PROSPECTING,
    "discovery": ScoreReach(Decimal(0), Decimal(100)),
    "demo": ScoreReach(Decimal(0), Decimal(100)),
    "sales_feedback": ScoreReach(Decimal(0), Decimal(100)),
}


def check(document: dict[str, Any], reach: dict[str, ScoreReach] | None = None) -> list[LintFinding]:
    return lint(from_document(document, 1), REACH if reach is None else reach, cell_fault)


def found(findings: list[LintFinding], code: str) -> LintFinding:
    matches = [f for f in findings if f.code == code]
    assert len(matches) == 1, [f.code for f in findings]
    return matches[0]


def errors(findings: list[LintFinding]) -> list[str]:
    return [f.code for f in findings if f.severity is Severity.ERROR]


class TestTemplates:
    @pytest.mark.parametrize("key", sorted(templates()))
    def test_every_template_can_be_published(self, key: str) -> None:
        assert errors(check(templates()[key])) == []

    def test_the_field_example_warns_of_its_known_traps(self, world: Any) -> None:
        findings = check(world.document())
        won = found(findings, "won_is_automatic")
        assert (won.severity, won.pointer) == (Severity.WARNING, "/rules/3/mode")
        selective = found(findings, "threshold_selective")
        assert selective.message == "only 70 of 10, 20, 40, 50, 70 passes"
        assert selective.witness == {"prospecting.score": "70"}
        lost = found(findings, "stage_without_rule")
        assert (lost.severity, lost.pointer) == (Severity.INFO, "/stages/5")

    def test_it_has_the_rules_verbatim(self, world: Any) -> None:
        rules = [(r.from_stage, r.conditions[0], r.to_stage) for r in world.pipeline().rules]
        assert [(f, c.fact, c.cell, t) for f, c, t in rules] == [
            ("prospecting", "prospecting.score", "> 60", "discovery"),
            ("discovery", "discovery.score", "> 75", "demo"),
            ("demo", "demo.score", "> 80", "negotiation"),
            (None, "sales_feedback.score", "= 100", "closed_won"),
        ]


class TestThresholds:
    @pytest.mark.parametrize(
        ("cell", "told"),
        [
            ("> 70", "at most 70"),
            (">= 71", "at most 70"),
            ("= 100", "at most 70"),
            ("[80..90]", "at most 70"),
            ("65", "gives 10, 20, 40, 50, 70"),
            ("(50..70)", "gives 10, 20, 40, 50, 70"),
        ],
    )
    def test_one_that_no_score_meets_is_refused_with_the_maximum(self, world: Any, cell: str, told: str) -> None:
        rule = {"conditions": [{"fact": "prospecting.score", "cell": cell}]}
        finding = found(check(world.document(rule_0=rule)), "threshold_unreachable")
        assert (finding.severity, finding.pointer) == (Severity.ERROR, "/rules/0/conditions/0/cell")
        assert finding.message.endswith(told)
        assert finding.witness == {"prospecting.score": "70"}

    def test_one_below_every_score_is_refused_with_the_minimum(self, world: Any) -> None:
        rule = {"conditions": [{"fact": "prospecting.score", "cell": "< 10"}]}
        finding = found(check(world.document(rule_0=rule)), "threshold_unreachable")
        assert finding.witness == {"prospecting.score": "10"}

    def test_one_that_every_score_meets_is_told(self, world: Any) -> None:
        rule = {"conditions": [{"fact": "prospecting.score", "cell": ">= 10"}]}
        assert found(check(world.document(rule_0=rule)), "condition_always_true").severity is Severity.WARNING

    def test_several_passing_scores_need_no_warning(self, world: Any) -> None:
        rule = {"conditions": [{"fact": "prospecting.score", "cell": "> 40"}]}
        assert "threshold_selective" not in [f.code for f in check(world.document(rule_0=rule))]

    def test_unknown_assessments_are_only_warned_of(self, world: Any) -> None:
        findings = check(world.document(), {})
        assert errors(findings) == []
        assert [f.pointer for f in findings if f.code == "assessment_unknown"] == [
            f"/stages/{i}/assessment_keys/0" for i in range(4)
        ]

    def test_conditions_that_exclude_one_another_are_refused(self, world: Any) -> None:
        both = [{"fact": "demo.score", "cell": "> 80"}, {"fact": "demo.score", "cell": "< 60"}]
        finding = found(check(world.document(rule_2={"conditions": both})), "rule_contradiction")
        assert finding.pointer == "/rules/2/conditions/1/cell"


class TestCells:
    @pytest.mark.parametrize(
        ("condition", "code", "member"),
        [
            ({"fact": "prospecting.score", "cell": "> > 60"}, "cell_invalid", "cell"),
            ({"fact": "prospecting.points", "cell": "> 60"}, "fact_unknown", "fact"),
            ({"fact": "opportunity.colour", "cell": "> 60"}, "fact_unknown", "fact"),
            ({"fact": "prospecting.score", "cell": "'high'"}, "cell_type_mismatch", "cell"),
            ({"fact": "opportunity.owner_id", "cell": "> 5"}, "cell_type_mismatch", "cell"),
            ({"fact": "demo.score", "cell": "> 60"}, "evidence_not_in_stage", "fact"),
        ],
    )
    def test_are_refused_with_their_place(self, world: Any, condition: dict[str, str], code: str, member: str) -> None:
        finding = found(check(world.document(rule_0={"conditions": [condition]})), code)
        assert (finding.severity, finding.pointer) == (Severity.ERROR, f"/rules/0/conditions/0/{member}")


class TestStructure:
    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"rule_0": {"to_stage": "nowhere"}}, "stage_unknown"),
            ({"rule_0": {"from_stage": "nowhere"}}, "stage_unknown"),
            ({"rule_0": {"to_stage": "prospecting"}}, "rule_goes_nowhere"),
            ({"rule_0": {"from_stage": "closed_lost"}}, "rule_leaves_closed_stage"),
            ({"rule_2": {"to_stage": "prospecting"}}, "rule_goes_back"),
            ({"rule_0": {"to_stage": "demo"}}, "rule_skips"),
            ({"rule_0": {"rule_id": "discovery_to_demo"}}, "rule_duplicate_id"),
            ({"rule_0": {"conditions": []}}, "rule_without_conditions"),
        ],
    )
    def test_rules_that_cannot_work_are_refused(self, world: Any, changes: dict[str, Any], code: str) -> None:
        assert code in errors(check(world.document(**changes)))

    def test_a_circle_of_automatic_rules_is_refused(self, world: Any) -> None:
        findings = check(world.document(rule_1={"to_stage": "prospecting"}))
        assert "prospecting → discovery → prospecting" in found(findings, "rules_circular").message

    def test_stages_must_be_in_order_and_named_once(self, world: Any) -> None:
        stages = world.document()["stages"]
        assert "open_after_closed" in errors(check(world.document(stages=[stages[4], *stages[:4], stages[5]])))
        assert "stage_duplicate" in errors(check(world.document(stages=[*stages, stages[0]])))
        assert "no_open_stage" in errors(check(world.document(stages=stages[4:], rules=[])))

    def test_an_open_stage_that_no_rule_leads_to_is_told(self, world: Any) -> None:
        rules = world.document()["rules"]
        findings = check(world.document(rules=[rules[0], *rules[2:]]))
        assert (
            found([f for f in findings if f.severity is Severity.WARNING], "stage_without_rule").pointer == "/stages/2"
        )


class TestCriteria:
    def criterion(self, fact: str, cell: str, key: str = "k") -> dict[str, Any]:
        return {"key": key, "name": key.title(), "conditions": [{"fact": fact, "cell": cell}]}

    def with_exit(self, world: Any, *criteria: dict[str, Any], stages: tuple[int, ...] = (0,)) -> list[LintFinding]:
        changed = world.document()["stages"]
        for i in stages:
            changed[i] = {**changed[i], "exit": list(criteria)}
        return check(world.document(stages=changed))

    @pytest.mark.parametrize(
        ("fact", "cell", "code"),
        [
            ("opportunity.colour", "known", "fact_unknown"),
            ("opportunity.amount", "'much'", "cell_type_mismatch"),
            ("opportunity.close_date", "< now - 36h", "cell_type_mismatch"),
            ("nowhere.score", "> 5", "evidence_not_in_stage"),
        ],
    )
    def test_one_that_cannot_be_met_is_refused(self, world: Any, fact: str, cell: str, code: str) -> None:
        finding = found(self.with_exit(world, self.criterion(fact, cell)), code)
        assert (finding.severity, finding.pointer[:25]) == (Severity.ERROR, "/stages/0/exit/0/conditio")

    def test_what_a_stage_leaves_out_is_told(self, world: Any) -> None:
        findings = self.with_exit(world, self.criterion("opportunity.amount", "> 0"), stages=(0, 1))
        assert [f.pointer for f in findings if f.code == "exit_criterion_missing"] == [
            f"/stages/{i}/exit" for i in (2, 3)
        ]
        assert [f.pointer for f in findings if f.code == "criteria_without_buyer"] == [
            f"/stages/{i}/exit" for i in (0, 1)
        ]
        assert found(findings, "criteria_repeated").message.endswith("the same as Prospecting")
        many = [self.criterion("contacts.buyers", f">= {n}", f"k{n}") for n in range(8)]
        assert found(self.with_exit(world, *many), "criteria_too_many").severity is Severity.WARNING

    def test_two_of_one_key_are_refused(self, world: Any) -> None:
        twice = self.criterion("contacts.buyers", ">= 1")
        assert "criterion_duplicate" in errors(self.with_exit(world, twice, twice))

    def test_a_rule_leads_back_only_on_purpose_and_on_what_excludes_the_way_on(self, world: Any) -> None:
        back = {
            "rule_id": "zz",
            "from_stage": "discovery",
            "to_stage": "prospecting",
            "mode": "auto",
            "reason_code": "X",
        }
        rules = world.document()["rules"]
        stages = world.document()["stages"]
        stages[1] = {**stages[1], "assessment_keys": ["discovery", "prospecting"]}

        def of(cell: str, **given: Any) -> list[str]:
            rule = {**back, "conditions": [{"fact": "prospecting.score", "cell": cell}], **given}
            return errors(check(world.document(stages=stages, rules=[*rules, rule])))

        assert "rule_goes_back" in of("< 20")
        assert of("< 20", back=True) == []
        assert of("> 40", back=True) == ["rules_circular"]
        assert "rule_not_back" in of("< 20", back=True, to_stage="demo")


class TestWaysBack:
    """Rules that lead back, on facts that rules lead on by."""

    def of(self, world: Any, back: dict[str, Any], on: dict[str, Any], **changes: Any) -> list[str]:
        base = {"mode": "auto", "reason_code": "X"}
        rules = [
            {"rule_id": "on", "to_stage": "demo", **base, **on},
            {"rule_id": "back", "from_stage": "demo", "to_stage": "discovery", "back": True, **base, **back},
        ]
        given = {"facts": [{"name": "account.health", "type": "decimal"}], "rules": rules}
        return errors(check(world.document(**(given | changes))))

    def cell(self, cell: str) -> dict[str, Any]:
        return {"conditions": [{"fact": "account.health", "cell": cell}]}

    @pytest.mark.parametrize("source", ["discovery", None])
    @pytest.mark.parametrize(("back", "circular"), [("< 3", False), ("<= 5", False), ("< 6", True)])
    def test_that_hold_where_a_way_on_does_would_go_round(
        self, world: Any, source: str | None, back: str, circular: bool
    ) -> None:
        found = self.of(world, {**self.cell(back), "lasting": "3d"}, {**self.cell("> 5"), "from_stage": source})
        assert found == (["rules_circular"] if circular else [])

    @pytest.mark.parametrize(
        ("on", "circular"), [("discovery.score", False), ("discovery.answers.budget", False), ("account.size", True)]
    )
    def test_need_not_exclude_a_way_on_that_takes_new_answers(self, world: Any, on: str, circular: bool) -> None:
        facts = [{"name": name, "type": "decimal"} for name in ("account.health", "account.size")]
        on_rule = {"from_stage": "discovery", "conditions": [{"fact": on, "cell": "> 5"}]}
        found = self.of(world, self.cell("< 3"), on_rule, facts=facts)
        assert found == (["rules_circular"] if circular else [])

    @pytest.mark.parametrize(("lasting", "code"), [("3 days", "duration_invalid"), ("2bd", None)])
    def test_name_a_duration(self, world: Any, lasting: str, code: str | None) -> None:
        found = self.of(
            world, {**self.cell("< 3"), "lasting": lasting}, {**self.cell("> 5"), "from_stage": "discovery"}
        )
        assert found == ([code] if code else [])

    def test_at_once_are_warned_about(self, world: Any) -> None:
        base = {"rule_id": "back", "from_stage": "demo", "to_stage": "discovery", "back": True, "reason_code": "X"}
        rule = {**base, **self.cell("< 3"), "mode": "auto"}
        facts = [{"name": "account.health", "type": "decimal"}]

        def codes(**given: Any) -> list[str]:
            found = check(world.document(rules=[*world.document()["rules"], {**rule, **given}], facts=facts))
            return [each.code for each in found if each.pointer.endswith("/lasting")]

        assert (codes(), codes(lasting="3d"), codes(mode="propose")) == (["back_at_once"], [], [])

    @pytest.mark.parametrize("source", ["discovery", None])
    def test_alone_wait_until_it_lasts(self, world: Any, source: str | None) -> None:
        on = {**self.cell("> 5"), "from_stage": source, "lasting": "3d"}
        assert self.of(world, self.cell("< 3"), on) == ["lasting_not_back"]

    @pytest.mark.parametrize(("at_most", "codes"), [(1, []), (6, []), (7, ["cascade_too_long"])])
    def test_a_cascade_has_no_more_moves_than_stages(self, world: Any, at_most: int, codes: list[str]) -> None:
        on = {**self.cell("> 5"), "from_stage": "discovery"}
        assert self.of(world, self.cell("< 3"), on, cascade_at_most=at_most) == codes


class TestGaps:
    def with_rule(self, world: Any, **rule: Any) -> list[LintFinding]:
        base = {"rule_id": "zz", "from_stage": "demo", "to_stage": "closed_lost", "reason_code": "X", "priority": 1}
        reach = {**REACH, "demo": ScoreReach(Decimal(0), Decimal(100), tuple(map(Decimal, (0, 50, 90, 100))))}
        stages = world.document()["stages"]
        stages[2]["assessment_keys"] = ["demo", "prospecting"]
        return check(world.document(rules=[*world.document()["rules"], {**base, **rule}], stages=stages), reach)

    @pytest.mark.parametrize(
        ("cell", "gap"), [("< 50", "[50..80]"), ("<= 50", "(50..80]"), ("<= 80", ""), ("> 10", "")]
    )
    def test_a_stretch_between_two_rules_in_which_none_acts_is_told(self, world: Any, cell: str, gap: str) -> None:
        findings = self.with_rule(world, conditions=[{"fact": "demo.score", "cell": cell}])
        told = [f.message for f in findings if f.code == "rules_leave_gap"]
        assert told == ([f"in demo no rule acts while demo.score is in {gap}"] if gap else [])

    def test_the_combinations_that_pass_are_listed(self, world: Any) -> None:
        both = [{"fact": "demo.score", "cell": "> 80"}, {"fact": "prospecting.score", "cell": ">= 50"}]
        finding = found(self.with_rule(world, conditions=both), "combinations_that_pass")
        assert finding.message.endswith("pass: 90 with 50; 90 with 70; 100 with 50; 100 with 70")
        assert finding.message.startswith("4 of 20 combinations of demo.score and prospecting.score")


class TestAutomation:
    @pytest.mark.parametrize(("mode", "severity"), [("auto", Severity.ERROR), ("propose", Severity.WARNING)])
    def test_a_rule_without_a_test_does_not_act_by_itself(self, world: Any, mode: str, severity: Severity) -> None:
        conditions = [{"fact": "prospecting.score", "cell": ""}, {"fact": "opportunity.amount", "cell": " "}]
        finding = found(check(world.document(rule_0={"conditions": conditions, "mode": mode})), "rule_always_true")
        assert finding.severity is severity

    @pytest.mark.parametrize("category", ["lost", "abandoned"])
    def test_a_rule_gives_an_opportunity_up_only_with_a_reason(self, world: Any, category: str) -> None:
        stages = world.document()["stages"]
        stages[5] = {**stages[5], "category": category}
        changes = {"rule_0": {"to_stage": "closed_lost", "mode": "auto"}, "stages": stages}
        finding = found(check(world.document(**changes)), "rule_without_reason")
        assert (finding.severity, finding.pointer) == (Severity.ERROR, "/rules/0/reason_code")
        changes["rule_0"]["reason_code"] = "NO_FIT"
        assert errors(check(world.document(**changes))) == []
        rules = compiled(from_document(world.document(**changes), 1))
        opportunity = world.opportunity(rules=rules)
        decision = world.decide(opportunity, world.submission("prospecting", "70", opportunity), rules)
        assert decision.transition is not None and decision.transition.reason_code == "NO_FIT"


class TestCompetition:
    def added(self, world: Any, **rule: Any) -> list[LintFinding]:
        base = {"rule_id": "zz", "from_stage": "demo", "to_stage": "negotiation", "mode": "auto", "priority": 1}
        return check(world.document(rules=[*world.document()["rules"], {**base, **rule}]))

    def condition(self, cell: str) -> list[dict[str, str]]:
        return [{"fact": "demo.score", "cell": cell}]

    def test_equal_priority_and_kind_is_refused_with_a_witness(self, world: Any) -> None:
        finding = found(self.added(world, conditions=self.condition("> 90"), priority=0), "rules_tie")
        assert (finding.severity, finding.pointer) == (Severity.ERROR, "/rules/4/priority")
        assert finding.witness == {"demo.score": "91"}

    def test_no_tie_where_the_conditions_never_meet(self, world: Any) -> None:
        findings = self.added(world, conditions=self.condition("< 20"), priority=0)
        assert errors(findings) == []

    def test_a_rule_behind_a_wider_one_never_acts(self, world: Any) -> None:
        finding = found(self.added(world, conditions=self.condition("> 90")), "rule_masked")
        assert (finding.severity, finding.pointer) == (Severity.WARNING, "/rules/4")

    def test_the_same_rule_twice_is_refused(self, world: Any) -> None:
        assert errors(self.added(world, conditions=self.condition("> 80"))) == ["rules_duplicate"]

    def test_a_partial_overlap_to_another_stage_is_named_with_the_winner(self, world: Any) -> None:
        findings = self.added(world, conditions=self.condition("[70..85]"), to_stage="closed_lost", reason_code="X")
        finding = found(findings, "rules_overlap")
        assert "demo_to_negotiation goes first" in finding.message

    @given(tables())
    def test_a_pair_is_named_exactly_where_one_case_meets_both(self, pipeline: Pipeline) -> None:
        pairs = {f.message for f in overlap_findings(pipeline)}
        rules = compiled(pipeline)
        for stage, table in rules.tables.items():
            for first, second in combinations([p for p in table if p.acts and p.possible], 2):
                if not first.facts & second.facts:
                    continue
                named = any(
                    f"{first.rule.rule_id} and {second.rule.rule_id}" in text
                    or f"{second.rule.rule_id} never acts: {first.rule.rule_id}" in text
                    for text in pairs
                )
                cells: dict[str, list[Cell]] = {}
                for condition in (*first.conditions, *second.conditions):
                    cells.setdefault(condition.fact, []).append(condition.cell)
                assert named == all(intersect(each) is not None for each in cells.values()), stage

    @pytest.mark.parametrize("shape", ["all overlap", "differ in the last fact", "lists"])
    def test_the_largest_pipeline_is_checked_and_compiled_in_a_moment(self, shape: str) -> None:
        document = largest_pipeline(shape)
        DraftBody.model_validate({k: v for k, v in document.items() if k != "key"})
        with spent() as checked:
            findings = check(document, {})
        assert checked.seconds < 1
        assert len(findings) < 2000
        taken: list[float] = []
        for _ in range(3):
            with spent() as one:
                rules = compiled(from_document(document, 1))
                rules.hits("s0", {})
            taken.append(one.seconds)
        assert min(taken) < 0.1

    def test_rules_on_different_evidence_do_not_compete(self, world: Any) -> None:
        amount = [{"fact": "opportunity.amount", "cell": "> 0"}]
        findings = self.added(world, conditions=amount, priority=0)
        assert not {"rules_tie", "rules_overlap", "rule_masked"} & {f.code for f in findings}


def test_a_short_record_id_in_a_cell_is_told_with_the_one_that_facts_have(world: Any) -> None:
    document = world.document()
    document["rules"][0]["conditions"].append({"fact": "opportunity.owner_id", "cell": "'005Qy00000AbCdE'"})
    finding = found(check(document), "record_id_short")
    assert (finding.severity, finding.pointer) == (Severity.WARNING, "/rules/0/conditions/1/cell")
    assert "'005Qy00000AbCdEIAV'" in finding.message


class TestTimers:
    def document(self, timer: dict[str, Any], *, read: bool = True) -> dict[str, Any]:
        document = templates()["field_example"]
        stages = [dict(stage) for stage in document["stages"]]
        stages[0]["timers"] = [{"key": "quiet", "after": "14d", **timer}]
        rule = {"rule_id": "quiet", "from_stage": "prospecting", "to_stage": "closed_lost", "mode": "propose",
                "conditions": [{"fact": "timers.quiet.fired", "cell": "known"}]}  # fmt: skip
        return {**document, "stages": stages, "rules": [*document["rules"], *([rule] if read else [])]}

    @pytest.mark.parametrize(
        ("timer", "code", "pointer"),
        [
            ({"after": "soon"}, "duration_invalid", "/stages/0/timers/0/after"),
            ({"after": "501bd"}, "duration_invalid", "/stages/0/timers/0/after"),
            ({"after": "0m"}, "duration_invalid", "/stages/0/timers/0/after"),
            ({"repeats": "0h"}, "duration_invalid", "/stages/0/timers/0/repeats"),
            ({"starts": "after_fact"}, "timer_fact_missing", "/stages/0/timers/0/fact"),
            ({"starts": "after_fact", "fact": "no.such"}, "fact_unknown", "/stages/0/timers/0/fact"),
            ({"starts": "after_fact", "fact": "demo.score"}, "timer_fact_worked_out", "/stages/0/timers/0/fact"),
            ({"fact": "activity.last_touch_at"}, "timer_fact_unused", "/stages/0/timers/0/fact"),
        ],
    )
    def test_one_that_cannot_run_is_refused(self, timer: dict[str, Any], code: str, pointer: str) -> None:
        finding = found(check(self.document(timer)), code)
        assert (finding.severity, finding.pointer) == (Severity.ERROR, pointer)

    def test_one_that_nothing_reads_is_named_and_one_that_is_read_must_exist(self) -> None:
        assert found(check(self.document({}, read=False)), "timer_unread").severity is Severity.WARNING
        assert not [f for f in check(self.document({})) if f.code.startswith("timer")]
        assert found(check(self.document({"key": "other"})), "fact_unknown").pointer == "/rules/4/conditions/0/fact"

    def test_each_has_a_key_of_its_own_and_an_open_stage(self) -> None:
        document = self.document({})
        document["timers"] = [{"key": "quiet", "after": "1d"}]
        document["stages"][-1] = {**document["stages"][-1], "timers": [{"key": "late", "after": "1d"}]}
        codes = [f.code for f in check(document)]
        assert (codes.count("timer_duplicate"), codes.count("timer_in_closed_stage")) == (2, 1)


def _approvals(approval: dict[str, Any], **of: Any) -> dict[str, Any]:
    return {"approvers": {"roles": ["manager"]}, **approval, **of}


class TestApprovals:
    @pytest.mark.parametrize(
        ("approval", "code", "pointer"),
        [
            ({"approvers": {}}, "approval_without_approvers", "approvers"),
            ({"approvers": {"roles": ["boss"]}}, "approver_unknown", "approvers/roles/0"),
            ({"approvers": {"people": ["cfo", "gone"]}}, "approver_unknown", "approvers/people/1"),
            ({"approvers": {"teams": ["gone"]}}, "approver_unknown", "approvers/teams/0"),
            ({"approvers": {"people": ["cfo"]}, "needed": 2}, "approval_needs_more", "needed"),
            ({"approvers": {"people": ["cfo", "cfo"]}, "needed": 2}, "approval_needs_more", "needed"),
            ({"approvers": {"people": ["cfo"]}}, "approval_needs_all", "needed"),
            ({"needed": 0}, "approval_needs_no_one", "needed"),
            ({"expires_after": "soon"}, "duration_invalid", "expires_after"),
        ],
    )
    def test_one_that_no_one_can_give(self, world: Any, approval: dict[str, Any], code: str, pointer: str) -> None:
        stages = [dict(s) for s in world.document()["stages"]]
        stages[1]["approval"] = _approvals(approval)
        pipeline = world.pipeline(stages=stages, crm_edit_policy="validate_then_adopt")
        found = [(f.code, f.pointer) for f in approval_findings(pipeline, frozenset({"cfo"}))]
        assert found == [(code, f"/stages/1/approval/{pointer}")]

    def test_one_that_is_hardly_asked_for(self, world: Any) -> None:
        stages = [{**s, "approval": _approvals({})} for s in world.document()["stages"]]
        found = [(f.code, f.pointer) for f in approval_findings(world.pipeline(stages=stages), None)]
        assert found == [("approval_not_led_to", f"/stages/{i}/approval") for i in (0, 5)]

    def test_a_map_of_another_pipeline_that_leads_past_one(self, world: Any) -> None:
        stages = [dict(s) for s in world.document()["stages"]]
        stages[2]["approval"] = _approvals({})
        places = {"other": {s["key"]: s["key"] for s in stages[:4]}}
        found = approval_findings(world.pipeline(stages=stages, reassign=places), None)
        led = [f.pointer for f in found if f.code == "reassign_past_approval"]
        assert led == [f"/reassign/other/{s['key']}" for s in stages[2:4]]

    def test_a_start_by_criteria_needs_some(self, world: Any) -> None:
        stages = [dict(s) for s in world.document()["stages"]]
        entry = {"key": "budget", "name": "Budget", "conditions": [{"fact": "opportunity.amount", "cell": "> 1"}]}
        for need, codes in (("advisory", ["start_without_criteria"]), ("required", [])):
            stages[1]["entry"] = [{**entry, "need": need}]
            found = stage_findings(world.pipeline(stages=stages, start_by_criteria=True))
            assert [f.code for f in found if f.pointer == "/start_by_criteria"] == codes

    def test_one_step_asks_for_one(self, world: Any) -> None:
        rules = world.document()["rules"]
        twin = {**rules[0], "rule_id": "twin", "approval": _approvals({}, needed=2)}
        rules[0]["approval"] = _approvals({})
        findings = list(
            approval_findings(
                world.pipeline(rules=[*rules, twin], proposals_expire_after="x", crm_edit_policy="revert"), None
            )
        )
        assert [(f.code, f.pointer) for f in findings] == [
            ("approval_ambiguous", f"/rules/{len(rules)}/approval"), ("duration_invalid", "/proposals_expire_after"),
        ]  # fmt: skip
