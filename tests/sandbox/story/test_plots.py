"""The stories about three processes find what comes out otherwise, and rest on moments that have passed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.record_ids import full_record_id
from sandbox.story import plots
from sandbox.story.plots import RITA, RON, SAM, Calls, Given, Speed, Way
from sandbox.story.told import Told, id_of
from stage_engine.domain.calendar import DEFAULT
from stage_engine.domain.clocks import duration_of
from stage_engine.domain.document import from_document
from stage_engine.processes import process_templates

WAYS = {each.name: each.outcome for each in plots.ASKED}
PERSONS = {"Lund Retail": RITA, "Mora Steel": RON, "North Bank": SAM, "Ostra Paper": RITA}
GIVEN = {each.name: Given(PERSONS[each.name], each.rule_id, "in turn", each.state) for each in plots.FRESH}
SPEED = Speed(4, 2, 6600)
MINUTES = st.integers(0, 20 * 365 * 24 * 60)


def wrong_calls() -> list[dict[str, Calls]]:
    late = Calls(2, 1, 1, 0, frozenset({"gull-freight"}))
    other = replace(plots.EXPECTED_CALLS[RON], not_in_time=frozenset({"ibis-tools"}))
    return [
        {**plots.EXPECTED_CALLS, RITA: late},
        {**plots.EXPECTED_CALLS, RON: other},
        {**plots.EXPECTED_CALLS, "": Calls(1, 1, 0, 0)},
        {RITA: plots.EXPECTED_CALLS[RITA]},
        {},
    ]


class TestAsTold:
    @pytest.mark.parametrize(
        ("told", "line"),
        [
            (plots.survey_told(WAYS), "5 asked: 2 go on, 1 wants the price alone: walked away, 2 silent: another way"),
            (plots.calls_told(plots.EXPECTED_CALLS), "of 4 customers 2 were called in time, 1 late and 1 not at all"),
            (
                plots.leads_told(GIVEN, SPEED),
                "2 of 4 called in time (Rita, Sam), 1 late (Ron), 1 not (Rita); median 110",
            ),
        ],
    )
    def test_what_comes_out_as_told_is_said_with_its_figures(self, told: Told, line: str) -> None:
        assert told.findings == ()
        assert told.as_figures["came_out"] is True
        assert line in told.line
        assert len(told.details) > 1


class TestOtherwise:
    @pytest.mark.parametrize("name", WAYS)
    def test_every_opportunity_that_goes_elsewhere_is_named(self, name: str) -> None:
        for way in (Way("surveyed", ""), replace(WAYS[name], then="")):
            (finding,) = plots.survey_told({**WAYS, name: way}).findings
            assert finding.startswith(name)

    @pytest.mark.parametrize("calls", wrong_calls())
    def test_every_other_report_of_calls_is_found(self, calls: dict[str, Calls]) -> None:
        assert not plots.calls_told(calls).came_out

    @pytest.mark.parametrize("name", GIVEN)
    def test_every_lead_with_another_owner_rule_or_state_is_named(self, name: str) -> None:
        for changes in ({"person": ""}, {"rule_id": ""}, {"state": "open"}):
            told = plots.leads_told({**GIVEN, name: replace(GIVEN[name], **changes)}, SPEED)
            assert any(finding.startswith(name) for finding in told.findings)

    def test_one_who_takes_every_turn_is_found(self) -> None:
        turns = {
            name: replace(each, person=RITA if each.person == RON else each.person) for name, each in GIVEN.items()
        }
        assert not plots.leads_told(turns, SPEED).came_out

    def test_a_speed_that_the_ledger_does_not_bear_out_is_found(self) -> None:
        for speed in (replace(SPEED, judged=3), replace(SPEED, in_time=3)):
            assert not plots.leads_told(GIVEN, speed).came_out


class TestMoments:
    @given(MINUTES)
    def test_the_call_is_due_two_hours_of_business_after_the_lead_came(self, minutes: int) -> None:
        now = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
        came = plots.came_at(now)
        assert plots.due_at(now) == duration_of("2bh").after(came, DEFAULT)
        assert plots.due_at(now) < now - timedelta(days=1)

    def test_the_silent_ones_let_the_time_of_the_survey_pass_and_the_others_did_not(self) -> None:
        (document,) = process_templates()[plots.SURVEY].pipelines
        assert isinstance(document, dict)
        (timer,) = from_document(document, 1).stage("surveyed").timers
        length = duration_of(timer.after).length(DEFAULT)
        assert timedelta(days=plots.ASKED_DAYS_AGO) < length < timedelta(days=plots.SILENT_FOR_DAYS)
        assert plots.ANSWERED_DAYS_AGO < plots.ASKED_DAYS_AGO

    def test_ids_are_the_same_in_paths_and_in_events(self) -> None:
        names = [each.name for each in (*plots.ASKED, *plots.CUSTOMERS, *plots.FRESH)]
        assert [full_record_id(id_of(name)) for name in names] == [id_of(name) for name in names]
        assert len({*names}) == len(names)
