"""The judge of a run finds what is lost, doubled, out of order or different; and nothing in a clean run."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbox.story.measure import latency_of
from sandbox.story.org_load import OrgOpportunity
from sandbox.story.partner import Change, Partner
from sandbox.story.verify import EngineOpportunity, Evidence, judge

STAGES = ("prospecting", "discovery", "demo")


def change(revision: int, opportunity_id: str = "006A", event_id: str = "") -> Change:
    to_stage = STAGES[(revision - 1) % len(STAGES)]
    identity = event_id or f"{opportunity_id}-{revision}"
    return Change(identity, opportunity_id, revision, to_stage, f"s{revision}", "", float(revision))


def partner_with(changes: Sequence[Change]) -> Partner:
    partner = Partner()
    for each in changes:
        partner.receive(each)
    return partner


def evidence(partner: Partner | None = None) -> Evidence:
    """Two opportunities: one at its third revision after two submissions, one just imported."""
    changes = [change(1), change(1, "006B"), change(2), change(3)]
    return Evidence(
        accepted=frozenset({"s2", "s3"}),
        scores={"s2": 1, "s3": 1},
        decisions={"s2": 1, "s3": 1},
        engine={
            "006A": EngineOpportunity("demo", "demo", 3, 100.0),
            "006B": EngineOpportunity("prospecting", "prospecting", 1, 50.0),
        },
        org={
            "006A": OrgOpportunity("A", "Demo", 100.0, ("s2", "s3")),
            "006B": OrgOpportunity("B", "Prospecting", 50.0, ()),
        },
        partner=partner or partner_with(changes),
    )


class TestJudge:
    def test_a_clean_run_passes(self) -> None:
        verdict = judge(evidence())
        assert verdict.passed
        assert verdict.findings == ()

    @pytest.mark.parametrize("what", ["scores", "decisions"])
    def test_a_submission_without_score_or_decision_is_lost(self, what: str) -> None:
        verdict = judge(replace(evidence(), **{what: {"s2": 1}}))
        assert (verdict.lost, verdict.doubled, verdict.passed) == (1, 0, False)
        assert "s3" in verdict.findings[0]

    @pytest.mark.parametrize("what", ["scores", "decisions"])
    def test_two_scores_or_decisions_are_doubled(self, what: str) -> None:
        verdict = judge(replace(evidence(), **{what: {"s2": 1, "s3": 2}}))
        assert (verdict.lost, verdict.doubled, verdict.passed) == (0, 1, False)

    def test_a_score_for_what_was_never_accepted_is_doubled(self) -> None:
        verdict = judge(replace(evidence(), scores={"s2": 1, "s3": 1, "s9": 1}))
        assert (verdict.doubled, verdict.passed) == (1, False)

    def test_answers_that_never_reached_the_org_are_lost(self) -> None:
        run = evidence()
        org = {**run.org, "006A": OrgOpportunity("A", "Demo", 100.0, ("s2",))}
        assert judge(replace(run, org=org)).lost == 1

    def test_answers_twice_in_the_org_are_doubled(self) -> None:
        run = evidence()
        org = {**run.org, "006A": OrgOpportunity("A", "Demo", 100.0, ("s2", "s3", "s3"))}
        assert judge(replace(run, org=org)).doubled == 1

    def test_another_stage_in_the_org_is_not_equal(self) -> None:
        run = evidence()
        org = {**run.org, "006B": OrgOpportunity("B", "Discovery", 50.0, ())}
        verdict = judge(replace(run, org=org))
        assert not verdict.salesforce_equal
        assert not verdict.passed
        assert verdict.partner_exactly_once

    @pytest.mark.parametrize("side", ["engine", "org"])
    def test_a_opportunity_that_one_side_lacks_is_not_equal(self, side: str) -> None:
        run = evidence()
        left = {"006A": getattr(run, side)["006A"]}
        verdict = judge(replace(run, **{side: left}))
        assert not verdict.salesforce_equal
        assert not verdict.passed


class TestPartner:
    def test_a_missing_change_is_lost(self) -> None:
        verdict = judge(evidence(partner_with([change(1), change(1, "006B"), change(3)])))
        assert (verdict.lost, verdict.partner_exactly_once, verdict.passed) == (1, False, False)

    def test_a_missing_last_change_is_lost(self) -> None:
        verdict = judge(evidence(partner_with([change(1), change(1, "006B"), change(2)])))
        assert verdict.lost == 1
        assert not verdict.partner_exactly_once

    def test_a_repeated_delivery_is_recognised(self) -> None:
        partner = partner_with([change(1), change(1, "006B"), change(2), change(2), change(3), change(1)])
        assert judge(evidence(partner)).passed
        assert partner.repeated_deliveries == 2

    def test_one_revision_under_two_event_ids_is_doubled(self) -> None:
        partner = partner_with([change(1), change(1, "006B"), change(2), change(2, event_id="again"), change(3)])
        verdict = judge(evidence(partner))
        assert (verdict.doubled, verdict.partner_exactly_once, verdict.passed) == (1, False, False)

    def test_a_late_change_is_out_of_order(self) -> None:
        verdict = judge(evidence(partner_with([change(1), change(1, "006B"), change(3), change(2)])))
        assert (verdict.out_of_order, verdict.lost, verdict.partner_exactly_once) == (1, 0, False)
        assert not verdict.passed

    def test_a_change_that_the_engine_never_made_is_found(self) -> None:
        verdict = judge(evidence(partner_with([change(1), change(1, "006B"), change(2), change(3), change(4)])))
        assert not verdict.partner_exactly_once

    @given(st.permutations(range(1, 9)))
    def test_only_the_right_order_keeps_the_promise(self, order: list[int]) -> None:
        partner = partner_with([change(revision) for revision in order])
        assert (partner.out_of_order == 0) is (order == sorted(order))
        assert partner.missing("006A", 8) == 0

    @given(st.sets(st.integers(1, 8)))
    def test_every_gap_is_counted(self, got: set[int]) -> None:
        assert partner_with([change(revision) for revision in sorted(got)]).missing("006A", 8) == 8 - len(got)


class TestLatency:
    def test_percentiles_are_measured_values(self) -> None:
        found = latency_of([number / 1000 for number in range(100, 0, -1)])
        assert (found.p50, found.p95, found.p99, found.count) == (50.0, 95.0, 99.0, 100)

    def test_one_value_is_every_percentile(self) -> None:
        assert latency_of([0.25]).as_figures == {"p50": 250.0, "p95": 250.0, "p99": 250.0}

    def test_nothing_measured(self) -> None:
        assert latency_of([]).count == 0
